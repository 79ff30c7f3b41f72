package supervisor

import (
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// A pod may have a deadline, activeDeadlineSeconds after it was first opened. Then it is stopped, has failed, and is
// not run again (pkg/kubelet/active_deadline.go).
const deadlineMessage = "Pod was active on the node longer than the specified deadline"

// evDeadline is the deadline of a content.
type evDeadline struct{ hash string }

func (evDeadline) isEvent() {}

// armDeadline starts the clock of what was opened at openedAt, if it has a deadline. A clock that was set back
// makes it no longer.
func (p *pod) armDeadline() {
	p.disarmDeadline()
	seconds := p.cur.Spec.ActiveDeadlineSeconds
	if seconds == nil {
		return
	}
	whole := time.Duration(*seconds) * time.Second
	left := min(whole-time.Since(p.openedAt), whole)
	hash := p.cur.Hash
	p.deadline = time.AfterFunc(left, func() { p.in.put(evDeadline{hash}) })
}

func (p *pod) disarmDeadline() {
	if p.deadline != nil {
		p.deadline.Stop()
		p.deadline = nil
	}
}

func (p *pod) onDeadline(e evDeadline) {
	if p.cur == nil || p.cur.Hash != e.hash || p.leaving() {
		return
	}
	fail := func() {
		p.phase, p.problem = runtime.PodFailed, deadlineMessage
		p.event(nil, runtime.Normal, runtime.ReasonDeadlineExceeded, deadlineMessage)
	}
	switch p.state {
	case podHeld, podAdopting, podInitializing, podRunning, podLeaving:
		fail()
		p.stop(thenFinish)
	case podStopping: // for another reason, which does not matter any more
		if p.after != thenFinish {
			fail()
			p.after = thenFinish
		}
	default: // it has ended, or is not there yet: a new sandbox has the clock started again
	}
}
