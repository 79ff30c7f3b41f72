// Package process is the Runtime on host processes: a container is a program of this machine, run as it
// is, with the machine's network, files and processes. It is what brings up a control plane where there
// is no container engine.
//
//	Pod --Refuse, OpenPod--> log directory, volumes, cgroup --Start--> launch --spawn--> process
//	                                                                               |  own session, clean environment,
//	   state file <-- record --------------------------------- container <--pidfd--+  stdout and stderr are the log file
//	        |                                                   ^    |
//	        +--- List: record, pidfd, start time, marker -------+    +--exit--> Exit --> sweep (what it left)
//
// A container outlives its supervisor: no pipe leads to it and nobody must wait for it. The next
// supervisor finds it by its record, or, when the supervisor died between the start and the
// record, by a sealed marker in its environment; both lead to the same process only if PID, start time and boot are the same.
//
// No signal is ever sent to a PID. A pidfd is opened first, then the process behind it is identified, and
// then the signal goes through the pidfd: a PID that was reused in between cannot be hit.
//
// What is as in a container: the program is the first process of its session, and when it ends, all that it started
// ends; standard input is empty; umask is 0022; no descriptor is inherited; root has the capabilities that container
// engines leave it, and more only if the pod adds them or is privileged. A cgroup keeps its processes together, and its
// limits. Volumes that are read-only or elsewhere than on the host are mounted in a namespace of the container's own.
// Where we may not make those, what needs them is refused, but for readOnly at a path's own place, which every kubeadm
// manifest has.
//
// What is not: the network, processes and users are the host's, and the RuntimeDefault seccomp and AppArmor profiles are
// not applied. What a pod asks for beyond that, and cannot have, is refused (see Refuse).
package process

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/process/cgroup"
)

// Options says where things lie. The directories are absolute; all but ComponentsDir are made when missing.
type Options struct {
	Root          string // identifies the installation: containers of another root are never seen or touched; "" is "/"
	ComponentsDir string // programs that a bare name in a command means before those in PATH; "" for none
	LogDir        string // /var/log/pods
	StateDir      string // records of what runs; only ours
	HostIP        string // for the field references status.hostIP and status.podIP; "" refuses them

	LogMaxBytes  int64 // a log is rotated at this size; 0 is 10 MiB
	LogMaxFiles  int   // files kept of one restart; 0 is 5
	KeepRestarts int   // restarts whose logs are kept; 0 is 5
	KeepPodLogs  int   // log directories kept of earlier pods of a name, which have other UIDs; 0 is 5
}

// Runtime runs containers as host processes. It is safe for concurrent use.
type Runtime struct {
	opts   Options
	root   string // hash of Options.Root
	key    sealKey
	bootID string

	mu          sync.Mutex
	containers  map[string]*container // by marker; those that run
	pods        map[string]podKey     // by UID; those that were opened
	podsChanged bool                  // since Housekeep last looked for logs of earlier pods
	crowded     map[string]bool       // log directories where a restart has added a file, or a container has ended
	looked      map[string]bool       // those of the containers that ran when Housekeep looked last

	mountable func() error // whether containers can have mounts of their own, tried once
	children  childSet
	sweeps    sweeper
	cgroups   *cgroup.Tree
	tidied    bool // cgroups that a dead supervisor left have been looked for, or something was started
}

var (
	_ runtime.Runtime     = (*Runtime)(nil)
	_ runtime.Housekeeper = (*Runtime)(nil)
	_ runtime.Execer      = (*container)(nil)
)

// New checks the options and makes the directories. It starts and looks for nothing yet.
func New(opts Options) (*Runtime, error) {
	if opts.Root == "" {
		opts.Root = "/"
	}
	for name, dir := range map[string]string{"Root": opts.Root, "LogDir": opts.LogDir, "StateDir": opts.StateDir} {
		if !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("cannot use the process runtime: %s %q is not an absolute path", name, dir)
		}
	}
	if opts.ComponentsDir != "" && !filepath.IsAbs(opts.ComponentsDir) {
		return nil, fmt.Errorf("cannot use the process runtime: ComponentsDir %q is not an absolute path", opts.ComponentsDir)
	}
	opts.LogMaxBytes = orDefault(opts.LogMaxBytes, 10<<20)
	opts.LogMaxFiles = orDefault(opts.LogMaxFiles, 5)
	opts.KeepRestarts = orDefault(opts.KeepRestarts, 5)
	opts.KeepPodLogs = orDefault(opts.KeepPodLogs, 5)

	if err := checkPidfds(); err != nil {
		return nil, fmt.Errorf("cannot use the process runtime: %w", err)
	}
	if err := checkProc(); err != nil {
		return nil, fmt.Errorf("cannot use the process runtime: %w", err)
	}
	bootID, err := procfs.BootID()
	if err != nil {
		return nil, fmt.Errorf("cannot use the process runtime: %w", err)
	}
	if err := durable.MkdirAll(opts.LogDir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot use the process runtime: %w", err)
	}
	if err := durable.MkdirAll(opts.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot use the process runtime: %w", err)
	}
	key, err := readSealKey(opts.StateDir)
	if err != nil {
		return nil, fmt.Errorf("cannot use the process runtime: %w", err)
	}
	root := rootID(opts.Root)
	return &Runtime{
		opts:       opts,
		root:       root,
		key:        key,
		cgroups:    cgroup.NewTree(root),
		mountable:  sync.OnceValue(mountable),
		bootID:     bootID,
		containers: make(map[string]*container),
		pods:       make(map[string]podKey),
		crowded:    make(map[string]bool),
	}, nil
}

func orDefault[T int | int64](value, def T) T {
	if value == 0 {
		return def
	}
	return value
}

// running returns the containers that run.
func (r *Runtime) running() []*container {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.containers))
}

// find returns a running container of a pod, any for an empty name; nil if none runs.
func (r *Runtime) find(uid, name string) *container {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.containers {
		if c.rec.UID == uid && (name == "" || c.rec.Container == name) {
			return c
		}
	}
	return nil
}
