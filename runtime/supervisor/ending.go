package supervisor

import (
	"context"
	"errors"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// watch waits for the end of a run: of its process, and then of all that it left behind, for nothing
// may be started before the old one is wholly gone. The end is told first: what is left may take for ever.
func (p *pod) watch(c *container) {
	c.ctx, c.cancel = context.WithCancel(p.ctx)
	rc, run, who := c.rc, c.run, p.who(c)
	p.async(func(ctx context.Context) event {
		var exit runtime.Exit
		// The end of ctx is not the end of the container: it must not be touched then.
		ended := p.insist(ctx, who, "cannot wait for the container", func() (err error) {
			exit, err = rc.Wait(ctx)
			return err
		})
		if !ended {
			return nil
		}
		p.in.put(evEnded{c, run, exit})
		return p.clean(ctx, who, evExited{c, run}, rc)
	})
}

// clean removes what a container left running, as often as it takes.
func (p *pod) clean(ctx context.Context, who runtime.Event, done evExited, rc runtime.Container) event {
	gone := p.insist(ctx, who, "cannot remove what the container left running", func() error {
		err := rc.Stop(ctx, 0)
		if err != nil && ctx.Err() == nil {
			p.in.put(evLeft{done.c, done.run, err})
		}
		return err
	})
	if !gone {
		return nil
	}
	return done
}

// insist tries until it works: a runtime that is away for a while must not leave a pod stuck (statement 49).
// It returns false when ctx has ended first.
func (p *pod) insist(ctx context.Context, who runtime.Event, what string, do func() error) bool {
	delay := 500 * time.Millisecond
	for {
		if ctx.Err() != nil {
			return false
		}
		err := do()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		delay = min(2*delay, 10*time.Second)
		who.Type, who.Reason, who.Message = runtime.Warning, runtime.ReasonFailedKill, what+": "+err.Error()
		p.history.add(p.fullName, who)
		sleepUntil(ctx, time.Now().Add(delay))
	}
}

// onEnded publishes how a container ended. It counts as gone when evExited comes.
func (p *pod) onEnded(e evEnded) {
	c := e.c
	if !p.current(c, e.run) || !c.busy() || c.state == ctrCleaning {
		return
	}
	if c.cancel != nil {
		c.cancel()
	}
	now := time.Now()
	exit := e.exit
	if exit.FinishedAt.IsZero() || exit.FinishedAt.After(now) {
		exit.FinishedAt = now
	}
	c.exit, c.failedAt = &exit, exit.FinishedAt
	c.started, c.ready, c.rc, c.left = false, false, nil, ""
	wanted := c.state == ctrKilling
	c.state = ctrCleaning
	p.tellExit(c, wanted)
}

// onLeft takes note of why a container, or what it left, cannot be stopped. The next attempt is under way.
func (p *pod) onLeft(e evLeft) {
	if p.current(e.c, e.run) && e.c.busy() {
		e.c.left = e.err.Error()
	}
}

func (p *pod) onExited(e evExited) {
	c := e.c
	if !p.current(c, e.run) || c.state != ctrCleaning {
		return
	}
	c.state, c.left = ctrExited, ""
	switch p.state {
	case podStopping:
		p.stopNext()
	case podHeld, podAdopting, podInitializing, podRunning, podLeaving:
		p.afterExit(c)
	default:
	}
}

// afterExit decides what becomes of a container that ended in a running pod (statements 52, 54, 62).
func (p *pod) afterExit(c *container) {
	switch decide(p.cur, c) {
	case restartAll:
		p.event(c, runtime.Normal, runtime.ReasonKilling, "Restarting all containers, as a rule of container "+c.spec.Name+" says")
		p.source = c
		p.stop(thenRestart)
		return
	case restartOne:
		p.again(c)
	default:
	}
	p.advance()
}

// kill ends a container: its preStop hook and then its termination share the grace period (statement 59).
func (p *pod) kill(c *container, grace time.Duration, message string) {
	switch c.state {
	case ctrRunning, ctrHook:
	default: // starting: it is killed once it runs; killing already; or nothing runs
		return
	}
	c.state = ctrKilling
	c.ready = false
	if c.cancel != nil {
		c.cancel()
	}
	p.event(c, runtime.Normal, runtime.ReasonKilling, message)
	target, who, run := hookTarget{p.cur, c.spec, c.rc}, p.who(c), c.run
	p.async(func(ctx context.Context) event {
		began := time.Now()
		if hooks := target.spec.Lifecycle; hooks != nil && hooks.PreStop != nil {
			if err := p.preStop(ctx, target, grace); err != nil {
				failed := who
				failed.Type, failed.Reason = runtime.Warning, runtime.ReasonFailedPreStopHook
				failed.Message = "PreStopHook failed: " + err.Error()
				p.history.add(p.fullName, failed)
			}
		}
		p.insist(ctx, who, "cannot stop the container", func() error {
			err := target.rc.Stop(ctx, max(grace-time.Since(began), minimumGrace))
			if errors.Is(err, runtime.ErrLeftovers) {
				return nil // the container has ended, and the watch removes the rest
			}
			if err != nil && ctx.Err() == nil {
				p.in.put(evLeft{c, run, err})
			}
			return err
		})
		return nil // the watch tells of the end
	})
}

// minimumGrace is what every container gets (pkg/kubelet/kuberuntime/kuberuntime_container.go:905, statement 51).
const minimumGrace = 2 * time.Second
