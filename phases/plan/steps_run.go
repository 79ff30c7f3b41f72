package plan

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/kubecrank/kubecrank/phases/cluster"
	"github.com/kubecrank/kubecrank/runtime"
)

// StageComponents makes the embedded components executables on disk.
type StageComponents struct {
	Dir    string `json:"dir"` // of all stages
	Digest string `json:"digest"`
}

// Kind implements Step.
func (StageComponents) Kind() string { return "StageComponents" }

// Describe implements Step.
func (s StageComponents) Describe() string {
	return fmt.Sprintf("stage the components in %s", s.Where())
}

// Where is the directory that is named after the digest.
func (s StageComponents) Where() string { return filepath.Join(s.Dir, s.Digest) }

// Compare implements Step. Whether a stage that is there is whole, only Stage itself finds out.
func (s StageComponents) Compare(h Host) Work {
	w := Work{State: New, Do: func(ctx context.Context, n *Node) (Outcome, error) {
		return Outcome{}, n.Components.Stage(ctx, s.Where())
	}}
	switch seen := h.Look(s.Where()); seen.Kind {
	case Absent:
	case Directory:
		w.State, w.Detail = Unchanged, "verified when it is applied"
	case Unreadable:
		return Work{State: Unknown, Detail: seen.Error}
	default:
		return Work{State: Conflict, Refused: NotOurs, Detail: fmt.Sprintf("it is a %s, not a directory", seen.Kind)}
	}
	return w
}

// StartSupervisor leaves a supervisor running in the background.
type StartSupervisor struct {
	Socket    string `json:"socket"`
	Manifests string `json:"manifests"`
}

// Kind implements Step.
func (StartSupervisor) Kind() string { return "StartSupervisor" }

// Describe implements Step.
func (s StartSupervisor) Describe() string {
	return fmt.Sprintf("start the supervisor of the static pods in %s", s.Manifests)
}

// Compare implements Step. A supervisor that runs without a record of an init is somebody's: it may read another
// directory, never see our manifests, and hold pods that a reset would stop. By hand or at boot, one may be
// started again where the journal has the record.
func (s StartSupervisor) Compare(h Host) Work {
	o, ours := h.Owned(s.Socket)
	runs := h.SupervisorRuns()
	if runs && !ours {
		return Work{State: Conflict, Refused: NotOurs, Detail: "a supervisor that init did not start answers on " + s.Socket,
			Hint: "give the control plane another --root, or stop that supervisor first (Ctrl-C stops its pods, too): init starts its own"}
	}
	w := Work{State: New, Do: func(ctx context.Context, n *Node) (Outcome, error) {
		pid, err := n.Supervisor.Start(ctx)
		if err != nil {
			return Outcome{}, err
		}
		return Outcome{Detail: fmt.Sprintf("PID %d", pid)}, nil
	}}
	if runs {
		w.State, w.Detail = Unchanged, "it runs"
	}
	// Once an init has recorded it, it is ours to stop even if somebody started it again by hand: it runs our pods.
	if !ours || !o.Done {
		w.Makes = []Made{{Kind: MadeProc, Path: s.Socket}}
	}
	return w
}

// StopSupervisor stops all pods in reverse start order, then the supervisor.
type StopSupervisor struct {
	Socket string `json:"socket"`
	// Unrecorded says that something runs although the journal knows of no start: it lost its end.
	Unrecorded bool `json:"unrecorded,omitempty"`
}

// Kind implements Step.
func (StopSupervisor) Kind() string { return "StopSupervisor" }

// Describe implements Step.
func (StopSupervisor) Describe() string {
	return "stop all pods in reverse start order, then the supervisor"
}

// Compare implements Step. A supervisor that does not answer may have left its
// pods running, so there is something to do as long as the journal says that one was started, or something runs.
func (s StopSupervisor) Compare(h Host) Work {
	o, ours := h.Owned(s.Socket)
	var unmakes []Made
	switch {
	case ours:
		unmakes = []Made{o.Made}
	case !s.Unrecorded:
		return Work{State: Unchanged, Detail: "none was started"}
	}
	return Work{State: New, Unmakes: unmakes, Do: func(ctx context.Context, n *Node) (Outcome, error) {
		return Outcome{}, n.Supervisor.Stop(ctx, func(e runtime.Event) { n.Tell(e.Pod + ": " + e.Message) })
	}}
}

// ApplyObject creates or updates an object through the API.
type ApplyObject struct {
	Object     cluster.Object `json:"object"`
	Server     string         `json:"server"`     // URL
	Kubeconfig string         `json:"kubeconfig"` // path; its server may be a load balancer that is not up yet
	Timeout    Span           `json:"timeout"`
}

// Kind implements Step.
func (ApplyObject) Kind() string { return "ApplyObject" }

// Describe implements Step.
func (s ApplyObject) Describe() string { return "apply " + s.Object.String() }

// Compare implements Step. The API server finds out whether there is anything to change.
func (s ApplyObject) Compare(Host) Work {
	return Work{State: Runs, Do: s.apply}
}

func (s ApplyObject) apply(ctx context.Context, n *Node) (Outcome, error) {
	seen := Look(s.Kubeconfig, n.Root == "")
	if seen.Kind != Regular {
		return Outcome{}, fmt.Errorf("cannot read %s: it is %s %s", s.Kubeconfig, seen.Kind, seen.Error)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	changed, err := n.API.Apply(ctx, Endpoint{Server: s.Server, Kubeconfig: seen.Data}, s.Object)
	switch {
	case err != nil:
		return Outcome{}, err
	case changed:
		return Outcome{State: Changed}, nil
	default:
		return Outcome{State: Unchanged}, nil
	}
}

// ClusterAPI is the API of a real cluster.
type ClusterAPI struct{}

// Apply implements API.
func (ClusterAPI) Apply(ctx context.Context, to Endpoint, obj cluster.Object) (bool, error) {
	c, err := cluster.ConnectTo(to.Kubeconfig, to.Server)
	if err != nil {
		return false, err
	}
	return c.Apply(ctx, obj)
}

// Open implements API.
func (ClusterAPI) Open(to Endpoint) (Reader, error) {
	return cluster.ConnectTo(to.Kubeconfig, to.Server)
}
