package steps

import (
	"time"

	"github.com/kubecrank/kubecrank/phases/diagnose"
	"github.com/kubecrank/kubecrank/phases/evidence"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/runtime"
)

// The pace of looking into containers that are not ready. An exit is looked
// into at once; one that merely runs and is not ready yet mostly needs time.
const (
	firstLook = 5 * time.Second
	nextLook  = 2 * time.Second
)

// examiner finds the causes why containers are not ready, without looking more
// often than something can have changed.
type examiner struct {
	options evidence.Options
	patient map[[2]string]*patient // by pod and container
}

// patient is one container.
type patient struct {
	restarts int
	state    runtime.ContainerState
	reason   runtime.Reason
	next     time.Time // when to look again
	found    *diagnose.Diagnosis
	since    time.Time // when the present cause was found first
}

func newExaminer(n *plan.Node, start time.Time) *examiner {
	return &examiner{
		options: evidence.Options{Root: n.Root, Names: n.FlagNames, Since: start},
		patient: map[[2]string]*patient{},
	}
}

// look returns what is known of the container, and whether it is certain by now that it will not become ready.
func (x *examiner) look(
	status runtime.Status, pod runtime.PodStatus, c runtime.ContainerStatus, now time.Time,
) (*diagnose.Diagnosis, bool) {
	p := x.patient[[2]string{pod.Name, c.Name}]
	failed := c.PID == 0 && (c.ExitCode != nil || c.Reason == runtime.ReasonCrashLoop)
	switch {
	case p == nil:
		p = &patient{restarts: c.RestartCount, state: c.State, reason: c.Reason, next: now.Add(firstLook)}
		x.patient[[2]string{pod.Name, c.Name}] = p
		if failed || c.RestartCount > 0 {
			p.next = now
		}
	case p.restarts != c.RestartCount || p.reason != c.Reason || p.state != c.State:
		started := p.state == runtime.ContainerWaiting && c.RestartCount == 0 && c.PID != 0
		p.restarts, p.state, p.reason = c.RestartCount, c.State, c.Reason
		if !started { // the first start is no news
			p.next = now
		}
	}
	if !now.Before(p.next) && (failed || c.PID != 0) {
		p.next = now.Add(nextLook)
		p.learn(x.diagnose(status, pod, c), now)
	}
	certain := p.found != nil && p.found.Certainty == diagnose.Certain && now.Sub(p.since) >= p.found.Holds
	return p.found, certain
}

func (p *patient) learn(d *diagnose.Diagnosis, now time.Time) {
	same := d != nil && p.found != nil && d.Cause == p.found.Cause && d.Certainty == p.found.Certainty
	if !same {
		p.since = now
	}
	p.found = d
}

func (x *examiner) diagnose(status runtime.Status, pod runtime.PodStatus, c runtime.ContainerStatus) *diagnose.Diagnosis {
	d, known := evidence.Diagnose(status, pod, c, x.options)
	if !known {
		return nil
	}
	return &d
}
