package supervisor

import (
	"context"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// watch waits for the end of a run: of its process, and then of all that it left behind, for nothing
// may be started before the old one is wholly gone.
func (p *pod) watch(c *container) {
	c.ctx, c.cancel = context.WithCancel(p.ctx)
	rc, run, who := c.rc, c.run, p.who(c)
	p.async(func(ctx context.Context) event {
		var exit runtime.Exit
		// The end of ctx is not the end of the container: it must not be touched then.
		ended := p.insist(ctx, who, "cannot wait for the container", func() (err error) {
			exit, err = rc.Wait(ctx)
			return err
		}) && p.insist(ctx, who, "cannot remove what the container left running", func() error { return rc.Stop(ctx, 0) })
		if !ended {
			return nil
		}
		return evExited{c, run, exit}
	})
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
		who.Type, who.Reason, who.Message = warning, reasonFailedKill, what+": "+err.Error()
		p.history.add(p.fullName, who)
		sleepUntil(ctx, time.Now().Add(delay))
	}
}

func (p *pod) onExited(e evExited) {
	c := e.c
	if !p.current(c, e.run) || !c.busy() {
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
	c.started, c.ready, c.rc = false, false, nil
	wanted := c.state == ctrKilling
	c.state = ctrExited
	p.tellExit(c, wanted)
	switch p.state {
	case podStopping:
		p.stopNext()
	case podRunning:
		p.afterExit(c)
	default:
	}
}

// afterExit decides what becomes of a container that ended in a running pod (statements 52, 54, 62).
func (p *pod) afterExit(c *container) {
	switch decide(p.cur, c) {
	case restartAll:
		p.event(c, normal, reasonKilling, "Restarting all containers, as a rule of container "+c.spec.Name+" says")
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
	p.event(c, normal, reasonKilling, message)
	target, who := hookTarget{p.cur, c.spec, c.rc}, p.who(c)
	p.async(func(ctx context.Context) event {
		began := time.Now()
		if hooks := target.spec.Lifecycle; hooks != nil && hooks.PreStop != nil {
			if err := p.preStop(ctx, target, grace); err != nil {
				failed := who
				failed.Type, failed.Reason, failed.Message = warning, reasonPreStop, "PreStopHook failed: "+err.Error()
				p.history.add(p.fullName, failed)
			}
		}
		p.insist(ctx, who, "cannot stop the container", func() error {
			return target.rc.Stop(ctx, max(grace-time.Since(began), minimumGrace))
		})
		return nil // the watch tells of the end
	})
}

// minimumGrace is what every container gets (kuberuntime_container.go:905, statement 51).
const minimumGrace = 2 * time.Second
