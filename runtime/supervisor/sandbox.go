package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
)

// tryOpen opens the pod that is wanted, if the others allow it.
func (p *pod) tryOpen() {
	p.stopTimer()
	if p.leaving() {
		p.forget()
	}
	switch {
	case p.want == nil:
		p.opens = 0
		p.transition(podIdle)
		return
	case !p.mayStart:
		p.transition(podWaiting)
		return
	}
	p.transition(podOpening)
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
		if p.cur == nil { // else its sandbox has ended, and its containers are known
			p.adoptSpec(e.pod)
		}
		if p.leaving() {
			p.close()
			return
		}
		p.goOn()
		p.armDeadline()
		p.watchSandbox()
		p.advance()
	case podHeld, podAdopting:
		if e.err != nil {
			p.openFailed(e)
			return
		}
		p.opens, p.problem = 0, ""
		p.sandbox, p.closers = e.sandbox, nil
		p.watchSandbox()
		if p.state == podHeld {
			p.takeTurn()
			return
		}
		p.goOn()
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
	p.problem = fmt.Sprintf("cannot open the pod: %v%s", e.err, remedy(e.err))
	p.event(nil, runtime.Warning, runtime.ReasonFailedSandbox, "Failed to create pod sandbox: "+e.err.Error())
	if p.state == podOpening {
		p.transition(podRetrying)
		if p.want == nil || p.want.Hash != e.pod.Hash {
			p.tryOpen() // the failure is of something that is no longer wanted
			return
		}
	}
	p.retryIn(p.openDelay())
}

// remedy is what an error says should be done, on a line of its own; "" if it says nothing.
func remedy(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		return "\nhint: " + h.Hint()
	}
	return ""
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
	case podWaiting, podRetrying:
		p.tryOpen()
	case podHeld, podAdopting:
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
	p.transition(podClosing)
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
			p.event(nil, runtime.Warning, runtime.ReasonFailedKill, "Failed to close the pod: "+e.err.Error())
			p.opens++
			p.retryIn(min(time.Duration(p.opens)*time.Second, 10*time.Second))
			return
		}
		p.opens, p.problem = 0, ""
		p.sandbox, p.closers = nil, nil
		p.transition(podIdle)
		if p.after == thenReopen && !p.leaving() {
			p.reset()
		} else {
			p.forget()
		}
		p.tryOpen()
	default:
	}
}

// forget drops what is not there any more, and keeps its restart counts.
func (p *pod) forget() {
	p.record()
	p.disarmDeadline()
	p.cur, p.containers, p.after = nil, nil, thenClose
}

// watchSandbox tells of the end of a sandbox that can end by itself.
func (p *pod) watchSandbox() {
	sandbox := p.sandbox
	notifier, ok := sandbox.(runtime.EndNotifier)
	if !ok {
		return
	}
	p.async(func(ctx context.Context) event {
		for delay := time.Second; ; delay = min(2*delay, 10*time.Second) {
			if err := notifier.Ended(ctx); err == nil {
				return evSandbox{sandbox}
			}
			if !sleepUntil(ctx, time.Now().Add(delay)) { // a runtime that is away for a while
				return nil
			}
		}
	})
}

// onSandboxEnded starts the pod over in a new sandbox (statement 53), as computePodActions of
// pkg/kubelet/kuberuntime/kuberuntime_manager.go does: init containers too, but not what has succeeded under OnFailure;
// and nothing at all under Never, or when nothing is left to be run.
func (p *pod) onSandboxEnded(e evSandbox) {
	if p.sandbox != e.sandbox {
		return // it was closed, and that is why
	}
	switch {
	case p.state == podClosing:
		return
	case p.state == podStopping && p.after == thenRestart:
		p.after = thenReopen
	}
	p.sandbox, p.closers = nil, append(p.closers, e.sandbox)
	if !p.state.open() {
		return // it stops, or was kept for nothing but its logs
	}
	again, begun := false, false
	for _, c := range p.containers {
		succeeded := c.state == ctrExited && c.exit != nil && c.exit.Code == 0
		c.done = succeeded && policyOf(p.cur, c) == string(corev1.RestartPolicyOnFailure)
		again = again || !c.init && !c.done
		begun = begun || c.began
	}
	after := thenReopen
	if !again || begun && p.cur.Spec.RestartPolicy == corev1.RestartPolicyNever {
		after = thenFinish
	}
	message := "Pod sandbox changed, it will be killed and re-created."
	if after == thenFinish {
		message = "The pod's sandbox has ended, and nothing of the pod is to be run again"
	}
	p.event(nil, runtime.Normal, runtime.ReasonSandboxChanged, message)
	p.stop(after)
}

// reset makes the containers ready to start in a new sandbox. What waits for its back-off goes on waiting.
func (p *pod) reset() {
	p.progress, p.phase = podInitializing, ""
	for _, c := range p.containers {
		switch {
		case c.state == ctrBackOff && !c.init && !c.unstarted:
			p.again(c)
		case c.done && !c.init:
			c.state, c.done = ctrExited, false
		default:
			c.reset()
			c.failedAt, c.done = time.Time{}, false // it is not the container's fault
		}
	}
}
