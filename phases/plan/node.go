package plan

import (
	"context"
	"encoding/json"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/cluster"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/runtime"
)

// Node is the machine that steps are applied to: its paths, its journal and
// the few things that phases may not import. cmd/cli wires it.
type Node struct {
	Root       string // config.Config.Root
	Paths      config.Paths
	Lock       *journal.Lock
	Journal    *journal.Journal
	Supervisor Supervisor
	Components Components
	// FlagNames names the flags of a component, for a suggestion when it refuses one; nil: none are known.
	FlagNames func(component string) []string
	API       API
	Now       func() time.Time
	// News is told how far a step is that takes long; apply sets it.
	News func(detail string)
}

// Tell passes on how far a step is that takes long.
func (n *Node) Tell(detail string) {
	if n.News != nil {
		n.News(detail)
	}
}

// Supervisor is the supervisor process of this root, as far as steps need it.
type Supervisor interface {
	// Start leaves a supervisor running in the background and returns its PID once its socket
	// answers; one that runs already is left alone.
	Start(ctx context.Context) (pid int, err error)
	// Status is an error that wraps runtime.ErrNotRunning when no supervisor answers.
	Status(ctx context.Context) (runtime.Status, error)
	// Stop stops all pods in reverse start order, then the supervisor, and tells of each. With no
	// supervisor running it starts one that only adopts and stops.
	Stop(ctx context.Context, tell func(runtime.Event)) error
}

// Restarter is implemented by a Supervisor that can start a pod's containers
// again at once, whatever their back-off: for a run that continues after its
// user has mended what was wrong.
type Restarter interface {
	Restart(ctx context.Context, pod string) error
}

// Components stages the component binaries.
type Components interface {
	// Digest is what the staged directory is named after, "" when components come from a
	// directory or PATH and are not staged.
	Digest() string
	// Stage makes dir hold the whole and verified components; what is there and whole is kept.
	Stage(ctx context.Context, dir string) error
}

// API is the cluster's API. ClusterAPI is the real one.
type API interface {
	// Apply makes obj what it says, at the API server with this URL, as the user
	// of a kubeconfig, and tells whether that changed anything. It tries again
	// until ctx ends as long as the server is merely not ready.
	Apply(ctx context.Context, to Endpoint, obj cluster.Object) (changed bool, err error)
	// Bootstrap creates objects and service accounts in a cluster that has no role yet, as soon as its server answers.
	Bootstrap(ctx context.Context, to Endpoint, objects []json.RawMessage, accounts []string) (made int, err error)
	// Open returns a reader that keeps its connection. It sends nothing yet.
	Open(to Endpoint) (Reader, error)
}

// Reader reads from the API server what shows that components work. Errors are *cluster.Error.
type Reader interface {
	Lease(ctx context.Context, name string) (cluster.Lease, error)
	Exists(ctx context.Context, obj cluster.Object) (bool, error)
}

// Endpoint is an API server, and who talks to it.
type Endpoint struct {
	Server     string // URL
	Kubeconfig []byte // its own server does not matter
}
