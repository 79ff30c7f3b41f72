package supervisor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
)

// A stop that was asked for has an end, whatever the containers do: a pod that is there stopSlack after its grace period
// is given up. It holds up nobody any more, and the stop's last event names what has not ended. Nothing is lost by that:
// the next supervisor finds what runs, and goes on.

// stopSlack is what a stop may take beyond the grace period: the kill, and the removal of what was left.
const stopSlack = 15 * time.Second

// workTimeout bounds the wait for the work that is under way when the supervisor ends.
const workTimeout = 30 * time.Second

// requestStop asks for an orderly stop of everything; more than once is the same as once.
func (s *supervisor) requestStop() { s.once.Do(func() { close(s.stops) }) }

// beginStop lets all members go.
func (s *supervisor) beginStop() {
	s.stopping = true
	s.history.add("", runtime.Event{Type: runtime.Normal, Reason: runtime.ReasonKilling, Message: "Stopping all pods, as asked for"})
	time.AfterFunc(stopSlack, func() { s.overdue.put("") })
	s.apply()
}

// limitStop makes a pod overdue when it does not end in time. It is called when the order lets the pod be stopped.
func (s *supervisor) limitStop(m *member) {
	if !s.stopping || m.limited {
		return
	}
	m.limited = true
	full := m.pod.fullName
	time.AfterFunc(longestGrace(m.spec)+stopSlack, func() { s.overdue.put(full) })
}

// longestGrace is how long the containers of a pod may take: sidecars go one by one, after the others.
func longestGrace(pod *runtime.Pod) time.Duration {
	seconds := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		seconds = *s
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, probe := range []*corev1.Probe{c.LivenessProbe, c.StartupProbe} {
			if probe != nil && probe.TerminationGracePeriodSeconds != nil {
				seconds = max(seconds, *probe.TerminationGracePeriodSeconds)
			}
		}
	}
	return time.Duration(seconds)*time.Second + time.Duration(len(pod.Spec.InitContainers)+1)*minimumGrace
}

// onOverdue gives up a pod, or with "" a runtime that does not say what runs.
func (s *supervisor) onOverdue(full string) {
	if full == "" && !s.adopted {
		s.unended = append(s.unended, "the runtime does not say what runs")
		return
	}
	m := s.members[full]
	if m == nil {
		return
	}
	m.stuck = true
	left := describe(m.pod.status.Load(), full)
	s.unended = append(s.unended, left)
	s.history.add(full, runtime.Event{Pod: shortName(m.spec), Namespace: m.spec.Namespace,
		Type: runtime.Warning, Reason: runtime.ReasonFailedKill, Message: "It is not waited for any longer: " + left})
	for _, other := range s.affects[full] {
		if m := s.members[other]; m != nil {
			s.permit(m)
		}
	}
}

// stopDone tells whether all that can be stopped is.
func (s *supervisor) stopDone() bool {
	if !s.stopping {
		return false
	}
	if !s.adopted {
		return len(s.unended) > 0
	}
	for m := range maps.Values(s.members) {
		if !m.stuck {
			return false
		}
	}
	return true
}

// describe says what of a pod has not ended.
func describe(status *runtime.PodStatus, full string) string {
	if status == nil {
		return "pod " + full
	}
	var left []string
	for _, c := range status.Containers {
		switch {
		case c.Reason == runtime.ReasonCleaningUp:
			left = append(left, fmt.Sprintf("container %s (%s)", c.Name, c.Message))
		case c.State == runtime.ContainerRunning && c.Message != "":
			left = append(left, fmt.Sprintf("container %s (PID %d: %s)", c.Name, c.PID, c.Message))
		case c.State == runtime.ContainerRunning:
			left = append(left, fmt.Sprintf("container %s (PID %d)", c.Name, c.PID))
		}
	}
	if len(left) == 0 {
		left = []string{strings.ToLower(string(status.State))}
	}
	return "pod " + status.Name + ": " + strings.Join(left, ", ")
}

// lastEvent is the last one of a stop. Without it the stop did not come to its end.
func (s *supervisor) lastEvent() runtime.Event {
	e := runtime.Event{Time: time.Now(), Offset: time.Since(s.history.begin),
		Type: runtime.Normal, Reason: runtime.ReasonStopped, Message: allStopped}
	if len(s.unended) > 0 {
		e.Type, e.Reason, e.Message = runtime.Warning, runtime.ReasonStopIncomplete, strings.Join(s.unended, "; ")
	}
	return e
}

// allStopped is the message of the last event of a complete stop.
const allStopped = "All pods are stopped"

// UnendedError says what has not ended although the stop has.
type UnendedError struct{ Left string }

func (e *UnendedError) Error() string { return "these have not ended: " + e.Left }

// Hint is the remedy.
func (e *UnendedError) Hint() string {
	return "the supervisor has ended all the same; 'kubecrank supervise' finds what is left and goes on. " +
		"A process in state D waits for a disk or a network file system"
}

// awaitWork waits for what is under way when the supervisor ends, but not for ever.
func (s *supervisor) awaitWork() {
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(workTimeout):
		s.log.Warn("work that does not end is left alone")
	}
}
