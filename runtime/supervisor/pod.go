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

// podState is the state of a pod's machine.
type podState string

const (
	podIdle     podState = "Idle"     // nothing wanted, nothing there
	podWaiting  podState = "Waiting"  // wanted; those before it have not started, or opening it failed a moment ago
	podOpening  podState = "Opening"  // Runtime.OpenPod is under way
	podRunning  podState = "Running"  // open: containers are started, run and are started again
	podStopping podState = "Stopping" // containers are being stopped, then goes on with after
	podClosing  podState = "Closing"  // Sandbox.Close is under way
	podFinished podState = "Finished" // all containers ended, and none is to be started again
)

// afterStop says what follows when all containers of a stopping pod are gone.
type afterStop string

const (
	thenClose   afterStop = "close"   // the pod is removed or replaced
	thenFinish  afterStop = "finish"  // the sidecars of a finished pod were stopped
	thenRestart afterStop = "restart" // all containers start again in the same sandbox
)

// pod runs what is wanted under one full name, one content after the other and never two at once
// (statement 44). One goroutine owns it; everything else reaches it as an event.
//
//	           want            permit, timer        opened
//	Idle ------------> Waiting -----------> Opening --------> Running <----------------+
//	 ^                  ^   ^                 |  |              |  |  \                 |
//	 |                  |   +---- failed -----+  | want other,  |  |   all ended         | restart:
//	 |  nothing wanted  |                        | nothing      |  |     |               | nothing runs
//	 |                  | successor              v              |  |     v               |
//	 +--- closed -------+-------- Closing <------+              |  |  Finished            |
//	                                 ^                          |  |     |               |
//	                                 |     want other, nothing  |  +-----|--> Stopping ---+
//	                                 +-- nothing runs -- Stopping <------+       |
//	                                                                             +- sidecars gone -> Finished
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
	closers    []runtime.Closer // records of found containers that have no sandbox of ours
	containers []*container     // init containers, then containers, in the order of the spec
	after      afterStop
	stopBegan  time.Time
	phase      string // Succeeded or Failed when finished
	inited     bool   // the init containers have done their work in this sandbox
	opens      int    // failed attempts to open in a row
	timer      *time.Timer
	timers     int // counts them; an event of an earlier one is stale
	waitingFor string

	startedAt, readyAt time.Time
	wasReady           bool
	lastExit           string // the last failure of a container
	problem            string // why it is not ready now
}

// event is something that happened to a pod; each kind has one method that handles it.
type event interface{ isEvent() }

type (
	// evWant says what shall run from now on, and what the order of the pods allows.
	evWant struct {
		pod         *runtime.Pod
		start, stop bool
		waitingFor  string // why not yet
		seq         int
	}
	evOpened struct {
		pod     *runtime.Pod
		sandbox runtime.Sandbox
		err     error
	}
	evClosed  struct{ err error }
	evRetry   struct{ n int } // opening or closing may be tried again
	evRestart struct{}        // somebody asked for it
	evQuit    struct{}
	// The events of containers carry the run they are about: an answer to an earlier run is stale.
	evStarted struct {
		c   *container
		run int
		rc  runtime.Container
		err error
	}
	evHooked struct {
		c   *container
		run int
		err error
	}
	evExited struct {
		c    *container
		run  int
		exit runtime.Exit
	}
	evDue struct { // the back-off is over
		c   *container
		run int
	}
	evProbe struct {
		c   *container
		run int
		probeReport
	}
)

func (evWant) isEvent()    {}
func (evOpened) isEvent()  {}
func (evClosed) isEvent()  {}
func (evRetry) isEvent()   {}
func (evRestart) isEvent() {}
func (evQuit) isEvent()    {}
func (evStarted) isEvent() {}
func (evHooked) isEvent()  {}
func (evExited) isEvent()  {}
func (evDue) isEvent()     {}
func (evProbe) isEvent()   {}

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
	case evRetry:
		p.onRetry(e)
	case evRestart:
		p.onRestart()
	case evStarted:
		p.onStarted(e)
	case evHooked:
		p.onHooked(e)
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
	p.want, p.mayStart, p.mayStop, p.waitingFor, p.seq = e.pod, e.start, e.stop, e.waitingFor, e.seq
	switch p.state {
	case podIdle, podWaiting:
		p.tryOpen()
	case podRunning:
		if p.leaving() && p.mayStop {
			p.stop(thenClose)
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

// adoptSpec makes the containers of a pod that nothing runs of yet. Under the same UID restart counts
// go on (statement 47), and a changed content starts with no back-off (statement 54).
func (p *pod) adoptSpec(pod *runtime.Pod) {
	counts := p.records.counts(p.fullName, pod.UID)
	p.cur, p.inited, p.phase, p.lastExit = pod, false, "", ""
	p.startedAt, p.readyAt, p.wasReady = time.Time{}, time.Time{}, false
	p.containers = newContainers(pod, counts)
}

// stop stops all containers, mains first, then sidecars in reverse order (statement 58).
func (p *pod) stop(after afterStop) {
	p.stopTimer()
	p.state, p.after, p.stopBegan = podStopping, after, time.Now()
	for _, c := range p.containers {
		c.stopTimer()
		if c.state == ctrBackOff || c.state == ctrWaiting && after != thenRestart {
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
		p.inited = false
		for _, c := range p.containers {
			c.reset()
		}
		p.state = podRunning
		p.advance()
	case thenFinish:
		p.finish()
	default:
		p.event(nil, normal, reasonStopped, "Stopped")
		p.close()
	}
}

func (p *pod) finish() {
	p.state = podFinished
	p.event(nil, normal, reasonCompleted, "All containers have ended: "+p.phase)
	if p.leaving() && p.mayStop {
		p.close()
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

// onRestart stops all containers and starts them again, whatever the restart policy says.
func (p *pod) onRestart() {
	switch p.state {
	case podRunning:
		p.event(nil, normal, reasonKilling, "Restarting all containers, as asked for")
		p.stop(thenRestart)
	case podFinished:
		p.phase, p.after = "", thenRestart
		p.stopped()
		if p.sandbox == nil { // it was finished before this supervisor came
			p.openSandbox(p.cur)
		}
	default: // it is starting or stopping anyway
	}
}

// grace is the pod's termination grace period, at least a second (pod_workers.go:1009).
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
func (p *pod) event(c *container, kind, reason, message string) {
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
