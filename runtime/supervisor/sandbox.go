package supervisor

import (
	"context"
	"fmt"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// tryOpen opens the pod that is wanted, if the others allow it.
func (p *pod) tryOpen() {
	p.stopTimer()
	switch {
	case p.want == nil:
		p.state, p.opens = podIdle, 0
		return
	case !p.mayStart:
		if p.state != podWaiting && p.waitingFor != "" {
			p.event(nil, normal, reasonWaiting, "Waiting for "+p.waitingFor)
		}
		p.state = podWaiting
		return
	}
	p.state = podOpening
	p.openSandbox(p.want)
}

func (p *pod) openSandbox(pod *runtime.Pod) {
	p.async(func(ctx context.Context) event {
		sandbox, err := p.rt.OpenPod(ctx, pod)
		return evOpened{pod, sandbox, err}
	})
}

func (p *pod) onOpened(e evOpened) {
	switch p.state {
	case podOpening:
		if e.err != nil {
			p.openFailed(e)
			return
		}
		p.opens, p.problem = 0, ""
		p.sandbox = e.sandbox
		p.adoptSpec(e.pod)
		if p.leaving() {
			p.close()
			return
		}
		p.state = podRunning
		p.advance()
	case podRunning: // an adopted pod
		if e.err != nil {
			p.openFailed(e)
			return
		}
		p.opens, p.problem = 0, ""
		p.sandbox, p.closers = e.sandbox, nil
		p.advance()
	case podStopping: // an adopted pod that is being stopped already
		if e.err == nil {
			p.sandbox = e.sandbox
		}
	default:
		if e.err == nil && p.sandbox == nil {
			p.log.Warn("a sandbox came too late and is left alone", "pod", p.fullName, "state", string(p.state))
		}
	}
}

// openFailed retries what admission would refuse for good (statement 68), with the back-off of containers.
func (p *pod) openFailed(e evOpened) {
	p.problem = fmt.Sprintf("cannot open the pod: %v", e.err)
	p.event(nil, warning, reasonFailedSandbox, "Failed to create pod sandbox: "+e.err.Error())
	if p.state == podOpening {
		p.state = podWaiting
		if p.want == nil || p.want.Hash != e.pod.Hash {
			p.tryOpen() // the failure is of something that is no longer wanted
			return
		}
	}
	p.retryIn(p.openDelay())
}

// openDelay is 0, 10, 20, 40 ... like the restarts of a container.
func (p *pod) openDelay() time.Duration {
	delay := time.Duration(0)
	for range p.opens {
		delay = min(max(2*delay, p.limits.Initial), p.limits.Max)
	}
	p.opens++
	return delay
}

func (p *pod) retryIn(d time.Duration) {
	p.stopTimer()
	n := p.timers
	p.timer = time.AfterFunc(d, func() { p.in.put(evRetry{n}) })
}

func (p *pod) stopTimer() {
	p.timers++
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}

func (p *pod) onRetry(e evRetry) {
	if e.n != p.timers {
		return // a timer that was stopped too late
	}
	p.stopTimer()
	switch p.state {
	case podWaiting:
		p.tryOpen()
	case podRunning:
		if p.sandbox == nil {
			p.openSandbox(p.cur)
		}
	case podClosing:
		p.close()
	default:
	}
}

// close gives back the sandbox. What it was is remembered for its restart counts.
func (p *pod) close() {
	p.state = podClosing
	sandbox, closers := p.sandbox, p.closers
	p.async(func(ctx context.Context) event {
		var err error
		if sandbox != nil {
			err = sandbox.Close(ctx)
		}
		for _, c := range closers {
			if cerr := c.Close(ctx); err == nil {
				err = cerr
			}
		}
		return evClosed{err}
	})
}

func (p *pod) onClosed(e evClosed) {
	switch p.state {
	case podClosing:
		if e.err != nil { // statement 50: the successor waits until it is done
			p.problem = fmt.Sprintf("cannot close the pod: %v", e.err)
			p.event(nil, warning, reasonFailedKill, "Failed to close the pod: "+e.err.Error())
			p.opens++
			p.retryIn(min(time.Duration(p.opens)*time.Second, 10*time.Second))
			return
		}
		p.record() // with the last restart counts
		p.opens, p.problem = 0, ""
		p.sandbox, p.closers, p.cur, p.containers = nil, nil, nil, nil
		p.state = podIdle
		p.tryOpen()
	default:
	}
}
