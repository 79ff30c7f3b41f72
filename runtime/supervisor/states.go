package supervisor

import (
	"fmt"
	"strings"

	"github.com/kubecrank/kubecrank/runtime"
)

// podState is the state of a pod's machine.
type podState string

const (
	podIdle         podState = "Idle"         // nothing is wanted, and nothing is there
	podWaiting      podState = "Waiting"      // wanted; pods before it have not started
	podRetrying     podState = "Retrying"     // opening it failed a moment ago
	podOpening      podState = "Opening"      // Runtime.OpenPod is under way
	podHeld         podState = "Held"         // adopted with nothing alive, as after a reboot: it waits for its turn
	podAdopting     podState = "Adopting"     // adopted; its sandbox is being opened, and nothing is started before
	podInitializing podState = "Initializing" // its init containers run, one after the other
	podRunning      podState = "Running"      // all its containers are started, and started again
	podLeaving      podState = "Leaving"      // it must go; it runs until the pods that must end first are gone
	podStopping     podState = "Stopping"     // its containers are being stopped; afterStop says what follows
	podClosing      podState = "Closing"      // Sandbox.Close is under way
	podFinished     podState = "Finished"     // all containers ended, and none is to be started again
)

// open says that containers run in this state, or are about to, and are started again when they end.
func (s podState) open() bool {
	switch s {
	case podHeld, podAdopting, podInitializing, podRunning, podLeaving:
		return true
	default:
		return false
	}
}

// podTransition is one way from a state to another, with the event that tells of it.
type podTransition struct {
	from   podState
	when   string // for the picture
	to     podState
	reason runtime.Reason // "" for no event
}

// podTransitions are all ways that a pod can take. Two rows with the same states differ in their event:
// that depends on what the stop was for.
func podTransitions() []podTransition {
	const wait, run = "wanted, and pods before it have not started", "wanted, and may start"
	return []podTransition{
		{podIdle, wait, podWaiting, runtime.ReasonWaiting},
		{podIdle, run, podOpening, ""},
		{podIdle, "adopted, and nothing of it is alive", podHeld, ""},
		{podIdle, "adopted, and something of it is alive", podAdopting, ""},
		{podIdle, "adopted, and it had finished before", podFinished, ""},
		{podIdle, "adopted, and only its record is left", podClosing, ""},
		{podWaiting, run, podOpening, ""},
		{podWaiting, "not wanted any more", podIdle, ""},
		{podOpening, "opened", podInitializing, ""},
		{podOpening, "opened, and not wanted any more", podClosing, ""},
		{podOpening, "opening failed", podRetrying, ""},
		{podRetrying, "the delay is over", podOpening, ""},
		{podRetrying, wait, podWaiting, ""},
		{podRetrying, "not wanted any more", podIdle, ""},
		{podHeld, "its turn, and it is open", podInitializing, ""},
		{podHeld, "its turn, and it is not open yet", podAdopting, ""},
		{podHeld, "its turn, and it must go when others have ended", podLeaving, ""},
		{podHeld, "must go", podStopping, ""},
		{podAdopting, "opened, and init containers are left", podInitializing, ""},
		{podAdopting, "opened", podRunning, ""},
		{podAdopting, "opened, and must go when others have ended", podLeaving, ""},
		{podAdopting, "must go, or restarts", podStopping, ""},
		{podInitializing, "all init containers have ended", podRunning, ""},
		{podInitializing, "must go when others have ended", podLeaving, ""},
		{podInitializing, "an init container failed, must go, or restarts", podStopping, ""},
		{podRunning, "must go when others have ended", podLeaving, ""},
		{podRunning, "all containers ended, must go, or restarts", podStopping, ""},
		{podLeaving, "wanted again, and init containers are left", podInitializing, ""},
		{podLeaving, "wanted again", podRunning, ""},
		{podLeaving, "the others have ended, or it restarts", podStopping, ""},
		{podStopping, "nothing runs, and it goes", podClosing, runtime.ReasonStopped},
		{podStopping, "nothing runs, and it gets a new sandbox", podClosing, ""},
		{podStopping, "nothing runs, and it restarts", podInitializing, ""},
		{podStopping, "nothing runs, and it restarts in its turn", podHeld, ""},
		{podStopping, "nothing runs, and it restarts; it is not open", podAdopting, ""},
		{podStopping, "nothing runs, and it restarts; must go when others have ended", podLeaving, ""},
		{podStopping, "nothing runs, and nothing is left to run", podFinished, runtime.ReasonCompleted},
		{podFinished, "must go, or restarts in a new sandbox", podClosing, ""},
		{podFinished, "restarts", podInitializing, ""},
		{podFinished, "restarts in its turn", podHeld, ""},
		{podFinished, "restarts; it is not open", podAdopting, ""},
		{podFinished, "restarts; must go when others have ended", podLeaving, ""},
		{podClosing, "closed; what is wanted now is looked at", podIdle, ""},
	}
}

// transition moves the pod to another state, and writes the event of that. It is the only place where the state is set.
func (p *pod) transition(to podState) {
	if p.state == to {
		return
	}
	for _, t := range podTransitions() {
		if t.from != p.state || t.to != to || t.reason == runtime.ReasonStopped && p.after != thenClose {
			continue
		}
		p.state = to
		p.tell(t.reason)
		return
	}
	p.log.Error("a transition that is not in the table", "pod", p.fullName, "from", string(p.state), "to", string(to))
	p.state = to
}

// tell writes the event of a transition.
func (p *pod) tell(reason runtime.Reason) {
	switch reason {
	case runtime.ReasonWaiting:
		if p.waitingFor != "" {
			p.event(nil, runtime.Normal, reason, "Waiting for "+p.waitingFor)
		}
	case runtime.ReasonStopped:
		p.event(nil, runtime.Normal, reason, "Stopped")
	case runtime.ReasonCompleted:
		p.event(nil, runtime.Normal, reason, "All containers have ended: "+string(p.phase))
	default: // a transition without an event
	}
}

// picture draws the table, for the comment of pod and for the page about the supervisor.
func picture(table []podTransition) string {
	var b strings.Builder
	from := podState("")
	for _, t := range table {
		if t.from != from {
			from = t.from
			fmt.Fprintln(&b, from)
		}
		event := ""
		if t.reason != "" {
			event = " (event " + string(t.reason) + ")"
		}
		fmt.Fprintf(&b, "  --> %-12s  %s%s\n", t.to, t.when, event)
	}
	return b.String()
}
