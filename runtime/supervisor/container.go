package supervisor

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
)

// ctrState is the state of a container within a running or stopping pod.
//
//	Waiting --> Starting --> Hook --> Running --> Killing --+
//	               |  |                  ^  |               | ended
//	               |  +----- no hook ----+  +---- ended ----+--> Cleaning --+
//	               |                                                        | exited: nothing is left
//	               | failed                                                 +--> Exited, for good
//	               +------------> BackOff <---------------------------------+
//	                                 | due
//	                                 +--> Starting
type ctrState string

const (
	ctrWaiting  ctrState = "Waiting"  // not started in this sandbox
	ctrStarting ctrState = "Starting" // Sandbox.Start is under way
	ctrHook     ctrState = "Hook"     // it runs, and so does its postStart hook
	ctrRunning  ctrState = "Running"
	ctrKilling  ctrState = "Killing" // it was told to end
	// ctrCleaning: its process has ended, and what that left running is being removed. Nothing is started before that.
	ctrCleaning ctrState = "Cleaning"
	ctrBackOff  ctrState = "BackOff" // it ended or could not be started; the next start is due later
	ctrExited   ctrState = "Exited"  // it ended, and is not started again
)

// container is one container of a pod over all its runs. The pod's goroutine owns it.
type container struct {
	spec    *corev1.Container
	init    bool // one of initContainers
	sidecar bool // an init container with restartPolicy Always

	state    ctrState
	run      int // counts the starts; events of an earlier run are stale
	rc       runtime.Container
	info     runtime.ContainerInfo
	ctx      context.Context // of probes and hooks of this run
	cancel   context.CancelFunc
	restarts int  // RestartCount of the present or the last run, -1 for none
	began    bool // it has run in this sandbox
	due      bool // the back-off is over
	// unstarted says that the last start failed: there is no run that the restart follows.
	unstarted bool
	started   bool // the startup probe succeeded, or there is none
	ready     bool
	exit      *runtime.Exit // of the last run
	backOff   backOff
	failedAt  time.Time // when a start failed, or the container ended
	timer     *time.Timer

	killed  bool // by a probe or a hook: started again unless the policy is Never
	done    bool // it had succeeded under OnFailure when the sandbox ended: a new one does not run it again
	reason  runtime.Reason
	message string // why it waits or how it ended
	left    string // why the stop, or the removal of what it left, has failed the last time
	probe   string // the last failure's text
}

func newContainers(pod *runtime.Pod, counts map[string]int) []*container {
	var all []*container
	add := func(spec *corev1.Container, init bool) {
		c := &container{spec: spec, init: init, state: ctrWaiting, restarts: -1}
		c.sidecar = init && spec.RestartPolicy != nil && *spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if n, ok := counts[spec.Name]; ok {
			c.restarts = n
		}
		all = append(all, c)
	}
	for i := range pod.Spec.InitContainers {
		add(&pod.Spec.InitContainers[i], true)
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i], false)
	}
	return all
}

// busy says that something of it may run.
func (c *container) busy() bool {
	switch c.state {
	case ctrStarting, ctrHook, ctrRunning, ctrKilling, ctrCleaning:
		return true
	default:
		return false
	}
}

// reset makes it start from the beginning, with no back-off.
func (c *container) reset() {
	c.stopTimer()
	c.state, c.began, c.due, c.killed, c.backOff = ctrWaiting, false, false, false, backOff{}
	c.started, c.ready, c.reason, c.message = false, false, "", ""
}

func (c *container) stopTimer() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// current says whether an event is about this run of a container of the present pod.
func (p *pod) current(c *container, run int) bool {
	if c.run != run {
		return false
	}
	for _, mine := range p.containers {
		if mine == c {
			return true
		}
	}
	return false
}

// advance starts what can be started now: init containers one by one, then the others in the order of
// the spec. One start, with its postStart hook, ends before the next begins, as in the kubelet. It looks
// at the state and not at what happened, so that it can be called at any time.
func (p *pod) advance() {
	switch p.state {
	case podInitializing, podRunning, podLeaving:
	default:
		return
	}
	for _, c := range p.containers {
		if c.state == ctrStarting || c.state == ctrHook {
			return
		}
	}
	if !p.initialize() {
		return
	}
	ended := true
	for _, c := range p.containers {
		if c.init && !c.sidecar {
			continue
		}
		if c.state == ctrWaiting || c.state == ctrBackOff && c.due {
			if !c.init || p.mainsLeft() {
				p.start(c)
				return
			}
		}
		if !c.init && c.state != ctrExited {
			ended = false
		}
	}
	if ended {
		p.ended()
	}
}

// mainsLeft says whether a container is left for whose sake a sidecar is kept up.
func (p *pod) mainsLeft() bool {
	for _, c := range p.containers {
		if !c.init && c.state != ctrExited {
			return true
		}
	}
	return false
}

// initialize runs the init containers and says whether they have done their work (statements 56, 58).
func (p *pod) initialize() bool {
	if p.progress == podRunning {
		return true
	}
	for _, c := range p.containers {
		if !c.init {
			continue
		}
		switch {
		case c.state == ctrWaiting, c.state == ctrBackOff && c.due:
			p.start(c)
			return false
		case c.sidecar && c.state == ctrRunning && c.started:
		case !c.sidecar && c.state == ctrExited && !initFailed(c.exit):
		case !c.sidecar && c.state == ctrExited:
			p.phase = runtime.PodFailed
			p.problem = p.lastExit
			p.stop(thenFinish)
			return false
		default:
			return false
		}
	}
	p.progress = podRunning
	p.goOn()
	return true
}

// initFailed counts an out-of-memory kill as a failure even with exit code 0 (isInitContainerFailed).
func initFailed(e *runtime.Exit) bool { return e == nil || e.Code != 0 || e.OOMKilled }

// ended is called when no container is left that runs or will run: sidecars are stopped, and that is that.
func (p *pod) ended() {
	p.phase = p.outcome()
	p.stop(thenFinish)
}

// outcome is the phase of a pod whose containers have all ended.
func (p *pod) outcome() runtime.PodState {
	for _, c := range p.containers {
		if !c.init && (c.exit == nil || c.exit.Code != 0) {
			return runtime.PodFailed
		}
	}
	return runtime.PodSucceeded
}

// start starts a container, for the first time or again.
func (p *pod) start(c *container) {
	c.stopTimer()
	if c.began || !c.failedAt.IsZero() {
		c.backOff.restarted(c.failedAt, time.Now(), p.limits)
	}
	c.run++
	c.state, c.due, c.killed, c.unstarted = ctrStarting, false, false, false
	c.started, c.ready, c.probe, c.left = false, false, "", ""
	c.reason, c.message = runtime.ReasonCreating, ""
	spec := runtime.ContainerSpec{Container: *c.spec, RestartCount: c.restarts + 1}
	run, sandbox := c.run, p.sandbox
	p.async(func(ctx context.Context) event {
		rc, err := sandbox.Start(ctx, spec)
		return evStarted{c, run, rc, err}
	})
}

func (p *pod) onStarted(e evStarted) {
	c := e.c
	if !p.current(c, e.run) || c.state != ctrStarting {
		if e.rc != nil {
			p.log.Error("a container came that nobody waits for", "pod", p.fullName, "container", c.spec.Name)
		}
		return
	}
	if e.err != nil {
		p.startFailed(c, e.err)
		return
	}
	p.running(c, e.rc)
	p.event(c, runtime.Normal, runtime.ReasonStarted, fmt.Sprintf("Started container %s (PID %d)", c.spec.Name, c.info.PID))
	switch {
	case p.state == podStopping:
		c.state = ctrRunning
		p.stopNext()
		return
	case c.spec.Lifecycle != nil && c.spec.Lifecycle.PostStart != nil:
		c.state = ctrHook
		p.postStart(c)
		return
	default:
		p.begin(c)
	}
}

// running takes over a container that runs: ours, or one that was found.
func (p *pod) running(c *container, rc runtime.Container) {
	c.rc, c.info = rc, rc.Info()
	c.restarts, c.began, c.exit = c.info.RestartCount, true, nil
	c.reason, c.message = "", ""
	if p.startedAt.IsZero() || !c.init {
		p.startedAt = c.info.StartedAt
	}
	p.watch(c)
}

// begin is the moment from which a container counts as running.
func (p *pod) begin(c *container) {
	c.state = ctrRunning
	c.started = c.spec.StartupProbe == nil
	c.ready = c.started && c.spec.ReadinessProbe == nil
	p.startProbes(c, false)
	p.advance()
}

func (p *pod) startFailed(c *container, err error) {
	c.reason, c.message = runtime.ReasonStartError, err.Error()
	p.problem = fmt.Sprintf("container %s cannot be started: %v%s", c.spec.Name, err, remedy(err))
	p.event(c, runtime.Warning, runtime.ReasonFailed, "Error: "+err.Error())
	if p.state == podStopping {
		c.state = ctrExited
		p.stopNext()
		return
	}
	c.failedAt, c.unstarted = time.Now(), true
	p.again(c)
	p.advance()
}

// again starts a container when its back-off allows it.
func (p *pod) again(c *container) {
	left := c.backOff.left(c.failedAt, time.Now(), p.limits)
	c.state = ctrBackOff
	if left <= 0 {
		c.due = true
		return
	}
	wait := c.backOff.Wait
	c.reason = runtime.ReasonCrashLoop
	c.message = fmt.Sprintf("back-off %s restarting failed container=%s pod=%s(%s)", wait, c.spec.Name, p.fullName, p.cur.UID)
	p.event(c, runtime.Warning, runtime.ReasonBackOff,
		"Back-off restarting failed container "+c.spec.Name+" in pod "+p.fullName+"("+string(p.cur.UID)+")")
	run := c.run
	c.timer = time.AfterFunc(left, func() { p.in.put(evDue{c, run}) })
}

func (p *pod) onDue(e evDue) {
	if !p.current(e.c, e.run) || e.c.state != ctrBackOff {
		return
	}
	e.c.due = true
	p.advance()
}
