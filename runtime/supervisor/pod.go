package supervisor

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
)

// afterStop says what follows when all containers of a stopping pod are gone.
type afterStop string

const (
	thenClose   afterStop = "close"   // the pod is removed or replaced
	thenFinish  afterStop = "finish"  // the sidecars of a finished pod were stopped
	thenRestart afterStop = "restart" // all containers start again in the same sandbox
	thenReopen  afterStop = "reopen"  // the sandbox has ended: all containers start again in a new one
)

// pod runs what is wanted under one full name, one content after the other and never two at once
// (statement 44). One goroutine owns it; everything else reaches it as an event.
//
// Its states and the ways between them, as TestPicture makes them from podTransitions:
//
//	Idle
//	  --> Waiting       wanted, and pods before it have not started (event Waiting)
//	  --> Opening       wanted, and may start
//	  --> Held          adopted, and nothing of it is alive
//	  --> Adopting      adopted, and something of it is alive
//	  --> Finished      adopted, and it had finished before
//	  --> Closing       adopted, and only its record is left
//	Waiting
//	  --> Opening       wanted, and may start
//	  --> Idle          not wanted any more
//	Opening
//	  --> Initializing  opened
//	  --> Closing       opened, and not wanted any more
//	  --> Retrying      opening failed
//	Retrying
//	  --> Opening       the delay is over
//	  --> Waiting       wanted, and pods before it have not started
//	  --> Idle          not wanted any more
//	Held
//	  --> Initializing  its turn, and it is open
//	  --> Adopting      its turn, and it is not open yet
//	  --> Leaving       its turn, and it must go when others have ended
//	  --> Stopping      must go
//	Adopting
//	  --> Initializing  opened, and init containers are left
//	  --> Running       opened
//	  --> Leaving       opened, and must go when others have ended
//	  --> Stopping      must go, or restarts
//	Initializing
//	  --> Running       all init containers have ended
//	  --> Leaving       must go when others have ended
//	  --> Stopping      an init container failed, must go, or restarts
//	Running
//	  --> Leaving       must go when others have ended
//	  --> Stopping      all containers ended, must go, or restarts
//	Leaving
//	  --> Initializing  wanted again, and init containers are left
//	  --> Running       wanted again
//	  --> Stopping      the others have ended, or it restarts
//	Stopping
//	  --> Closing       nothing runs, and it goes (event Stopped)
//	  --> Closing       nothing runs, and it gets a new sandbox
//	  --> Initializing  nothing runs, and it restarts
//	  --> Held          nothing runs, and it restarts in its turn
//	  --> Adopting      nothing runs, and it restarts; it is not open
//	  --> Leaving       nothing runs, and it restarts; must go when others have ended
//	  --> Finished      nothing runs, and nothing is left to run (event Completed)
//	Finished
//	  --> Closing       must go, or restarts in a new sandbox
//	  --> Initializing  restarts
//	  --> Held          restarts in its turn
//	  --> Adopting      restarts; it is not open
//	  --> Leaving       restarts; must go when others have ended
//	Closing
//	  --> Idle          closed; what is wanted now is looked at
//
// An event that a state does not expect is ignored on purpose: it is about a container, a sandbox or
// a timer of an earlier time. That is what the default arms below stand for.
type pod struct {
	*shared
	fullName string
	in       *mailbox[event]
	status   atomic.Pointer[runtime.PodStatus]
	told     report // what the supervisor was told last
	seq      int    // of the last evWant

	state      podState
	want       *runtime.Pod // what shall run; nil for nothing
	cur        *runtime.Pod // what the containers below were made of; nil while nothing is there
	mayStart   bool         // want may be started
	mayStop    bool         // cur may be stopped
	sandbox    runtime.Sandbox
	closers    []runtime.Closer // what must be closed and holds no containers: a sandbox that has ended, a record that was found
	containers []*container     // init containers, then containers, in the order of the spec
	after      afterStop
	stopBegan  time.Time
	phase      runtime.PodState // PodSucceeded or PodFailed when finished
	progress   podState         // Held, Initializing or Running: how far the containers are, also while it is adopted, leaves or stops
	opens      int              // failed attempts to open in a row
	timer      *time.Timer
	timers     int // counts them; an event of an earlier one is stale
	waitingFor string
	source     *container // the one whose restart rule restarts all
	openedAt   time.Time  // when cur was first opened
	deadline   *time.Timer

	startedAt, readyAt time.Time
	wasReady           bool
	lastExit           string // the last failure of a container
	problem            string // why it is not ready now
}

// report tells the supervisor what the order of the pods depends on.
type report struct {
	fullName string
	hash     string // of cur
	started  bool   // cur has started: its startup probes succeeded
	alive    bool   // something of cur is there
	idle     bool   // nothing is there and nothing is wanted, as of
	seq      int    // the last evWant that it has handled
}

// run handles events until it is told to quit or ctx ends; then all containers are left running.
func (p *pod) run(ctx context.Context) {
	p.publish()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.in.ready:
		}
		for _, e := range p.in.take() {
			if _, quit := e.(evQuit); quit {
				return
			}
			p.handle(e)
		}
		p.publish()
	}
}

func (p *pod) handle(e event) {
	switch e := e.(type) {
	case evWant:
		p.onWant(e)
	case evOpened:
		p.onOpened(e)
	case evClosed:
		p.onClosed(e)
	case evSandbox:
		p.onSandboxEnded(e)
	case evDeadline:
		p.onDeadline(e)
	case evRetry:
		p.onRetry(e)
	case evRestart:
		p.onRestart()
	case evStarted:
		p.onStarted(e)
	case evHooked:
		p.onHooked(e)
	case evEnded:
		p.onEnded(e)
	case evLeft:
		p.onLeft(e)
	case evExited:
		p.onExited(e)
	case evDue:
		p.onDue(e)
	case evProbe:
		p.onProbe(e)
	default:
		p.log.Error("an event of an unknown kind", "pod", p.fullName, "kind", fmt.Sprintf("%T", e))
	}
}

// leaving says that what is there is not what is wanted.
func (p *pod) leaving() bool {
	return p.cur != nil && (p.want == nil || p.want.Hash != p.cur.Hash)
}

func (p *pod) onWant(e evWant) {
	waitedFor := p.waitingFor
	p.want, p.mayStart, p.mayStop, p.waitingFor, p.seq = e.pod, e.start, e.stop, e.waitingFor, e.seq
	switch p.state {
	case podIdle, podWaiting, podRetrying:
		p.tryOpen()
	case podHeld, podAdopting, podInitializing, podRunning, podLeaving:
		switch {
		case p.leaving() && p.mayStop:
			p.stop(thenClose)
		case p.state == podHeld && !p.mayStart && p.waitingFor != waitedFor:
			p.tell(runtime.ReasonWaiting)
		case p.state == podHeld:
			p.takeTurn()
		case p.state != podAdopting:
			p.goOn()
		}
	case podFinished:
		if p.leaving() && p.mayStop {
			p.close()
		}
	case podStopping:
		if p.leaving() {
			p.after = thenClose // whatever it was stopped for
		}
	default: // Opening, Closing: what is wanted is looked at when that is done
	}
}

// goOn enters the state in which the containers go on from where they are.
func (p *pod) goOn() {
	switch {
	case p.progress == podHeld:
		p.transition(podHeld)
	case p.sandbox == nil:
		p.transition(podAdopting)
	case p.leaving():
		p.transition(podLeaving)
	default:
		p.transition(p.progress)
	}
}

// takeTurn starts an adopted pod of which nothing is alive, if the others allow it.
func (p *pod) takeTurn() {
	if p.mayStart {
		p.progress = podInitializing
		p.goOn()
		p.advance()
	}
}

// adoptSpec makes the containers of a pod that nothing runs of yet. Under the same UID restart counts
// go on (statement 47), and a changed content starts with no back-off (statement 54).
func (p *pod) adoptSpec(pod *runtime.Pod) {
	counts := p.records.counts(p.fullName, pod.UID)
	p.cur, p.progress, p.phase, p.lastExit = pod, podInitializing, "", ""
	p.openedAt = time.Now()
	p.startedAt, p.readyAt, p.wasReady = time.Time{}, time.Time{}, false
	p.containers = newContainers(pod, counts)
}

// stop stops all containers, mains first, then sidecars in reverse order (statement 58).
func (p *pod) stop(after afterStop) {
	p.stopTimer()
	p.transition(podStopping)
	p.after, p.stopBegan = after, time.Now()
	for _, c := range p.containers {
		c.stopTimer()
		if after != thenReopen && (c.state == ctrBackOff || c.state == ctrWaiting && after != thenRestart) {
			c.state = ctrExited
		}
	}
	p.stopNext()
}

// stopNext stops what may be stopped now, and goes on when nothing is left.
func (p *pod) stopNext() {
	grace := p.grace() - time.Since(p.stopBegan)
	mains, last := false, (*container)(nil)
	for _, c := range p.containers {
		if !c.busy() {
			continue
		}
		if c.sidecar {
			last = c
			continue
		}
		mains = true
		p.kill(c, grace, "Stopping container "+c.spec.Name)
	}
	switch {
	case mains:
	case last != nil:
		p.kill(last, grace, "Stopping container "+last.spec.Name)
	default:
		p.stopped()
	}
}

// stopped is called when nothing of the pod runs any more.
func (p *pod) stopped() {
	switch p.after {
	case thenRestart:
		if p.progress != podHeld {
			p.progress = podInitializing
		}
		p.goOn()
		for _, c := range p.containers {
			if c == p.source {
				p.again(c) // else one that always ends so would restart all of them without pause
			} else {
				c.reset()
			}
		}
		p.source = nil
		p.advance()
	case thenFinish:
		p.finish()
	default: // thenClose, thenReopen
		p.close()
	}
}

func (p *pod) finish() {
	if p.phase == "" {
		p.phase = p.outcome()
	}
	p.transition(podFinished)
	if p.leaving() && p.mayStop {
		p.close()
	}
}

// onRestart stops all containers and starts them again, whatever the restart policy says.
func (p *pod) onRestart() {
	switch p.state {
	case podHeld, podAdopting, podInitializing, podRunning, podLeaving:
		p.event(nil, runtime.Normal, runtime.ReasonKilling, "Restarting all containers, as asked for")
		p.source = nil
		p.stop(thenRestart)
	case podFinished:
		p.openedAt = time.Now()
		p.armDeadline()
		if len(p.closers) > 0 { // its sandbox has ended
			p.after = thenReopen
			p.close()
			return
		}
		p.phase, p.after, p.source = "", thenRestart, nil
		p.stopped()
		if p.sandbox == nil { // it was finished before this supervisor came
			p.openSandbox(p.cur)
		}
	default: // it is starting or stopping anyway
	}
}

// grace is the pod's termination grace period, at least a second (pkg/kubelet/pod_workers.go:1009).
func (p *pod) grace() time.Duration {
	seconds := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if s := p.cur.Spec.TerminationGracePeriodSeconds; s != nil {
		seconds = *s
	}
	return max(time.Duration(seconds)*time.Second, time.Second)
}

// async does something slow and comes back as an event, unless the supervisor has ended meanwhile.
func (p *pod) async(do func(ctx context.Context) event) {
	ctx := p.ctx
	p.work.Go(func() {
		if e := do(ctx); ctx.Err() == nil && e != nil {
			p.in.put(e)
		}
	})
}

// event records something that happened to the pod, or to one of its containers.
func (p *pod) event(c *container, kind runtime.EventType, reason runtime.Reason, message string) {
	e := p.who(c)
	e.Type, e.Reason, e.Message = kind, reason, message
	p.history.add(p.fullName, e)
}

// who is an event that says so far only whom it is about; c may be nil.
func (p *pod) who(c *container) runtime.Event {
	of := p.cur
	if of == nil {
		of = p.want
	}
	var e runtime.Event
	if of != nil {
		e.Pod, e.Namespace = shortName(of), of.Namespace
	}
	if c != nil {
		e.Container = c.spec.Name
	}
	return e
}

// shortName is the manifest's metadata.name: the pod's, without the node's suffix.
func shortName(pod *runtime.Pod) string {
	return strings.TrimSuffix(pod.Name, "-"+strings.ToLower(pod.Spec.NodeName))
}
