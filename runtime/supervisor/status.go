package supervisor

import (
	"fmt"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// publish makes the pod's status, its record and the report to the supervisor from the machine's state.
func (p *pod) publish() {
	ready := p.isReady()
	switch {
	case ready && !p.wasReady:
		p.readyAt = time.Now()
		p.problem = ""
		p.event(nil, runtime.Normal, runtime.ReasonReady, "All containers are ready")
	case !ready && p.wasReady && p.state.open():
		p.event(nil, runtime.Warning, runtime.ReasonNotReady, "Not all containers are ready")
	}
	p.wasReady = ready
	p.record()
	p.status.Store(p.makeStatus(ready))
	r := report{fullName: p.fullName, started: p.hasStarted(), idle: p.state == podIdle && p.want == nil, seq: p.seq}
	if p.cur != nil {
		r.hash, r.alive = p.cur.Hash, true
	}
	if r != p.told {
		p.told = r
		p.reports.put(r)
	}
}

// isReady says that all containers, sidecars among them, run and are ready; a pod that has succeeded is
// as ready as it will be.
func (p *pod) isReady() bool {
	switch p.state {
	case podFinished:
		return p.phase == runtime.PodSucceeded
	case podHeld, podAdopting, podInitializing, podRunning:
	default:
		return false
	}
	for _, c := range p.containers {
		done := !c.init && c.state == ctrExited && c.exit != nil && c.exit.Code == 0
		if c.counts() && !done && (c.state != ctrRunning || !c.ready) {
			return false
		}
	}
	return true
}

// hasStarted says that those which start after this pod may go ahead.
func (p *pod) hasStarted() bool {
	switch p.state {
	case podFinished:
		return true
	case podHeld, podAdopting, podInitializing, podRunning, podLeaving:
	default:
		return false
	}
	for _, c := range p.containers {
		done := !c.init && c.state == ctrExited
		if c.counts() && !done && (c.state != ctrRunning || !c.started) {
			return false
		}
	}
	return true
}

// counts says whether the container stays as long as the pod does: all but ordinary init containers.
func (c *container) counts() bool { return !c.init || c.sidecar }

func (p *pod) makeStatus(ready bool) *runtime.PodStatus {
	of := p.cur
	if of == nil {
		of = p.want
	}
	if of == nil {
		return nil
	}
	s := &runtime.PodStatus{
		Name: shortName(of), Namespace: of.Namespace, UID: string(of.UID), Source: of.Origin,
		Ready: ready, State: p.stateName(), Containers: []runtime.ContainerStatus{},
		StartedAt: timePointer(p.startedAt),
	}
	if ready {
		s.ReadyAt = timePointer(p.readyAt)
	}
	if (p.state == podWaiting || p.state == podRetrying || p.state == podHeld) && !p.mayStart && p.waitingFor != "" {
		s.Message = "waiting for " + p.waitingFor
	}
	for _, c := range p.containers {
		if c.left != "" {
			s.Message = fmt.Sprintf("container %s: %s", c.spec.Name, c.status().Message)
		}
	}
	s.LastError = p.lastExit
	if p.problem != "" && !ready {
		s.LastError = p.problem
		if p.lastExit != "" && p.problem != p.lastExit {
			s.LastError += "; before that, " + p.lastExit
		}
	}
	for _, c := range p.containers {
		s.Restarts += max(c.restarts, 0)
		if !c.init && s.PID == 0 && c.rc != nil {
			s.PID = c.info.PID
		}
		s.Containers = append(s.Containers, c.status())
	}
	return s
}

// stateName is the pod's state in the words of runtime.PodStatus.
func (p *pod) stateName() runtime.PodState {
	switch p.state {
	case podWaiting, podRetrying:
		if !p.mayStart {
			return runtime.PodWaiting
		}
		return runtime.PodPending
	case podOpening:
		return runtime.PodStarting
	case podLeaving, podStopping, podClosing:
		return runtime.PodStopping
	case podFinished:
		return p.phase
	case podHeld, podAdopting, podInitializing, podRunning:
		if p.state == podHeld && !p.mayStart {
			return runtime.PodWaiting
		}
		for _, c := range p.containers {
			switch c.state {
			case ctrBackOff:
				return runtime.PodBackOff
			case ctrCleaning:
				return runtime.PodCleaningUp
			default:
			}
		}
		if !p.hasStarted() {
			return runtime.PodStarting
		}
		return runtime.PodRunning
	default:
		return runtime.PodPending
	}
}

func (c *container) status() runtime.ContainerStatus {
	s := runtime.ContainerStatus{
		Name: c.spec.Name, Init: c.init, Image: c.spec.Image, State: runtime.ContainerWaiting, Reason: c.reason, Message: c.message,
		Started: c.started, Ready: c.ready, RestartCount: max(c.restarts, 0), LastProbe: c.probe,
		ID: c.info.ID, LogPath: c.info.LogPath, StartedAt: timePointer(c.info.StartedAt),
	}
	switch {
	case c.rc != nil:
		s.State, s.PID = runtime.ContainerRunning, c.info.PID
		if c.left != "" {
			s.Message = c.left
		}
	case c.state == ctrCleaning:
		s.State, s.Reason, s.Message = runtime.ContainerTerminated, runtime.ReasonCleaningUp, cleaningUp
		if c.left != "" {
			s.Message += ": " + c.left
		}
	case c.state == ctrExited && c.exit != nil:
		s.State = runtime.ContainerTerminated
	case c.state == ctrWaiting:
		if s.Reason == "" {
			s.Reason = runtime.ReasonInitializing
		}
	}
	if c.exit != nil && c.rc == nil {
		s.ExitCode, s.Signal, s.FinishedAt = &c.exit.Code, c.exit.Signal, timePointer(c.exit.FinishedAt)
	}
	return s
}

// cleaningUp says that a container has ended, and something that it started has not.
const cleaningUp = "ended, cleaning up"

func timePointer(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
