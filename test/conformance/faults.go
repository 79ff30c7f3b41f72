package conformance

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// faulty is a Runtime whose calls fail when a test says so, as those to a container engine do that is being restarted.
type faulty struct {
	runtime.Runtime
	hidden []string // containers that List does not tell of

	mu     sync.Mutex
	faults []fault
}

// fault is a call that fails.
type fault string

const (
	stopFails  fault = "stop"
	closeFails fault = "close"
)

var errAway = errors.New("the runtime is away")

// fail makes these calls fail from now on, and no others.
func (r *faulty) fail(faults []fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = faults
}

func (r *faulty) fails(f fault) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.faults, f) {
		return errAway
	}
	return nil
}

func (r *faulty) List(ctx context.Context) ([]runtime.Found, error) {
	found, err := r.Runtime.List(ctx)
	found = slices.DeleteFunc(found, func(c runtime.Found) bool { return slices.Contains(r.hidden, c.Info().Name) })
	for i := range found {
		found[i].Container = r.container(found[i].Container)
	}
	return found, err
}

func (r *faulty) OpenPod(ctx context.Context, pod *runtime.Pod) (runtime.Sandbox, error) {
	sandbox, err := r.Runtime.OpenPod(ctx, pod)
	if err != nil {
		return nil, err
	}
	s := &faultySandbox{sandbox, r}
	if notifier, ok := sandbox.(runtime.EndNotifier); ok {
		return struct {
			runtime.Sandbox
			runtime.EndNotifier
		}{s, notifier}, nil
	}
	return s, nil
}

type faultySandbox struct {
	runtime.Sandbox
	r *faulty
}

func (s *faultySandbox) Start(ctx context.Context, spec runtime.ContainerSpec) (runtime.Container, error) {
	c, err := s.Sandbox.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	return s.r.container(c), nil
}

func (s *faultySandbox) Close(ctx context.Context) error {
	if err := s.r.fails(closeFails); err != nil {
		return err
	}
	return s.Sandbox.Close(ctx)
}

// container wraps c, and leaves it able to run commands if it is.
func (r *faulty) container(c runtime.Container) runtime.Container {
	wrapped := &faultyContainer{c, r}
	if execer, ok := c.(runtime.Execer); ok {
		return struct {
			runtime.Container
			runtime.Execer
		}{wrapped, execer}
	}
	return wrapped
}

type faultyContainer struct {
	runtime.Container
	r *faulty
}

func (c *faultyContainer) Stop(ctx context.Context, grace time.Duration) error {
	if err := c.r.fails(stopFails); err != nil {
		return err
	}
	return c.Container.Stop(ctx, grace)
}
