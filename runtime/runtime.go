// Package runtime is the contract between the supervisor and what runs
// containers: host processes (runtime/process), or a CRI runtime (runtime/cri).
//
//	source --> Pod --> supervisor --Runtime.OpenPod--> Sandbox --Start--> Container --Wait--> Exit
//	                        ^                                                               |
//	                        +------------------------- Event -------------------------------+
//
// The supervisor owns all policy: order, probes, back-off, restart counts, grace periods. A Runtime
// only does what it is told, and remembers enough on disk (or in the CRI) for List to find what an
// earlier supervisor left running.
package runtime

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Annotations of ours on static pods; all are optional. Names are those of the manifests
// (metadata.name, without the node's suffix), several separated by commas.
const (
	// StartAfterAnnotation names the pods that must have started before this one starts: their
	// startup probes have succeeded, or they run if they have none. A stop goes the other way.
	StartAfterAnnotation = "kubecrank.dev/start-after"
	// StopBeforeAnnotation names the pods that keep running until this one is gone, for pods that
	// start together and yet must stop in order (kube-apiserver before etcd).
	StopBeforeAnnotation = "kubecrank.dev/stop-before"
	// EagerProbeAnnotation is a Go duration: startup and readiness are also probed at this period,
	// from the container's start until the first success; such early failures do not count.
	EagerProbeAnnotation = "kubecrank.dev/eager-probe-period"
)

// ErrNotRunning is wrapped by errors of a client when no supervisor answers.
var ErrNotRunning = errors.New("no supervisor is running")

// ErrLeftovers is wrapped by errors about processes that a container left behind and that do not end although
// they were killed. Their names are in the error. The runtime goes on trying: the same call may succeed later.
var ErrLeftovers = errors.New("processes of the container are left")

// Pod is a static pod as the supervisor runs it: decoded, defaulted, validated, named and with its UID.
type Pod struct {
	*corev1.Pod
	Source string // "file" or "http"
	Origin string // the file's path or the URL
	Hash   string // of the whole spec, labels and annotations: any change of it restarts the pod
	// Ignored are complaints about fields of the manifest that no Pod has, or that stand twice: `unknown field "spec.restartpolicy"`.
	Ignored []string
}

// FullName is "name_namespace", the key by which the kubelet keeps static pods apart.
func (p *Pod) FullName() string { return p.Name + "_" + p.Namespace }

// Runtime opens pods and finds those that run already.
type Runtime interface {
	// List returns every container that was started by this Runtime under the same root and still
	// runs, and the last instance of those that have ended and whose pod was not closed. A container
	// in it has been identified beyond doubt. The error may come beside a result: it then names what
	// could not be read (a damaged record), and the result is good.
	List(ctx context.Context) ([]Found, error)
	// OpenPod prepares what the pod's containers share: CRI makes the sandbox, processes get their
	// log directory. It is called again for a pod that was found running, and then changes nothing.
	OpenPod(ctx context.Context, pod *Pod) (Sandbox, error)
}

// Sandbox is an open pod.
type Sandbox interface {
	// Start starts one container and returns as soon as it runs. While an earlier instance of the container has
	// processes left, it starts nothing, and the error wraps ErrLeftovers.
	Start(ctx context.Context, spec ContainerSpec) (Container, error)
	// Close removes what OpenPod made, logs excepted. No container of the pod may run.
	Close(ctx context.Context) error
}

// EndNotifier is implemented by a Sandbox that may end while its containers are wanted: a thing of its own, as
// CRI's is, and not only a name for what processes share.
type EndNotifier interface {
	// Ended blocks until the sandbox can hold no containers any more, which may be so from the start
	// for one that was found, and returns nil; or until ctx ends. The supervisor then stops what is
	// left in it, closes it and opens the pod anew (pkg/kubelet/kuberuntime/util PodSandboxChanged).
	Ended(ctx context.Context) error
}

// ContainerSpec is one start of one container.
type ContainerSpec struct {
	corev1.Container
	RestartCount int // 0 for the first start; names the log file
}

// Container is a started container.
type Container interface {
	// Info says what was started. It never blocks.
	Info() ContainerInfo
	// Wait blocks until the container's own process has exited, whoever started it, or ctx ends. Processes that it
	// started may be left then: Stop returns when they are gone. It may be called by several goroutines, and again after the exit.
	Wait(ctx context.Context) (Exit, error)
	// Stop asks the container to end (SIGTERM), kills all that is left of it after the grace
	// period, and returns nil when nothing of it runs. On a container that has exited it waits for the end of what
	// that left. It waits some seconds at most after the last signal: if something does not end although it was
	// killed, the error wraps ErrLeftovers. Call it again then: every call waits anew, and the runtime tries
	// again meanwhile. If the own process does not end, Wait has not returned either.
	Stop(ctx context.Context, grace time.Duration) error
}

// Execer is implemented by a Container in which commands can be run: exec probes and hooks.
type Execer interface {
	// Exec runs argv where the container's own process runs. Output is stdout and stderr, at most
	// 10 KiB. A non-zero exit code is not an error.
	Exec(ctx context.Context, argv []string) (output []byte, exitCode int, err error)
}

// ContainerInfo identifies a started container.
type ContainerInfo struct {
	PodUID       string
	PodFullName  string
	Name         string // of the container in the pod
	ID           string // unique for ever: "process://<boot id>/<pid>/<start time>" or "containerd://<id>"
	PID          int
	RestartCount int
	SpecHash     string // Pod.Hash at its start
	StartedAt    time.Time
	LogPath      string
}

// Found is a container that ran before the supervisor did.
type Found struct {
	Container
	// Exited says that it has ended. Wait returns at once then: with what its supervisor recorded,
	// or with Code -1 when it ended while nobody watched. It is listed for its restart count. Processes of it may
	// be left, as after Wait.
	Exited bool
	// Pod removes the record of the container's pod, as Sandbox.Close does, for a pod whose manifest is gone.
	Pod Closer
}

// Closer removes what was kept about a pod. No container of the pod may run.
type Closer interface {
	Close(ctx context.Context) error
}

// Housekeeper is implemented by a Runtime that must look after its logs now and then. The supervisor
// calls Housekeep every ten seconds or so; a call without work costs one stat per running container.
type Housekeeper interface {
	Housekeep(ctx context.Context) error
}

// Exit tells how a container ended.
type Exit struct {
	Code       int    // the exit code; 128+signal when a signal ended it; -1 when nobody could learn it
	Signal     string // "SIGKILL", "" for none
	OOMKilled  bool
	FinishedAt time.Time
	Message    string // the termination message, or the last log lines (FallbackToLogsOnError)
}

// LogRequest says which log of which container is wanted.
type LogRequest struct {
	Pod       string    // the pod's name, with or without the node's suffix; "name_namespace" if it is not unique
	Container string    // "" for the first one
	Previous  bool      // the container instance before the present one
	Follow    bool      // go on until the request's context ends
	Tail      int       // the last lines only; negative for all
	Since     time.Time // only lines from then on; zero for all
}
