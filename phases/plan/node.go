package plan

import (
	"context"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/runtime"
)

// Node is the machine that steps are applied to: its paths, its journal and
// the few things that phases may not import. cmd/cli wires it.
type Node struct {
	Paths      config.Paths
	Journal    *Journal
	Supervisor Supervisor
	Components Components
	Now        func() time.Time
}

// Supervisor is the supervisor process of this root, as far as steps need it.
type Supervisor interface {
	// Start leaves a supervisor running in the background and returns its PID once its socket
	// answers; one that runs already is left alone.
	Start(ctx context.Context) (pid int, err error)
	// Status is an error that wraps ErrNotRunning when no supervisor answers.
	Status(ctx context.Context) (runtime.Status, error)
	// Stop stops all pods in reverse start order, then the supervisor, and tells of each. With no
	// supervisor running it starts one that only adopts and stops.
	Stop(ctx context.Context, tell func(runtime.Event)) error
}

// Components stages the component binaries.
type Components interface {
	// Digest is what the staged directory is named after, "" when components come from a
	// directory or PATH and are not staged.
	Digest() string
	// Stage makes dir hold the whole and verified components; what is there and whole is kept.
	Stage(ctx context.Context, dir string) error
}
