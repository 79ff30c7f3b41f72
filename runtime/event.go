package runtime

import "time"

// EventType says whether an event needs attention. The names are the kubelet's.
type EventType string

// The types of events.
const (
	Normal  EventType = "Normal"
	Warning EventType = "Warning"
)

// Reason names the kind of an event, or why a container is in its state. The names are part of the command line's contract.
type Reason string

// Reasons of events that the kubelet has too (pkg/kubelet/events/event.go, active_deadline.go).
const (
	ReasonStarted             Reason = "Started"
	ReasonKilling             Reason = "Killing"
	ReasonBackOff             Reason = "BackOff"
	ReasonFailed              Reason = "Failed"
	ReasonUnhealthy           Reason = "Unhealthy"
	ReasonProbeWarning        Reason = "ProbeWarning"
	ReasonFailedSandbox       Reason = "FailedCreatePodSandBox"
	ReasonFailedKill          Reason = "FailedKillPod"
	ReasonSandboxChanged      Reason = "SandboxChanged"
	ReasonFailedPostStartHook Reason = "FailedPostStartHook"
	ReasonFailedPreStopHook   Reason = "FailedPreStopHook"
	ReasonFailedValidation    Reason = "FailedValidation"
	ReasonDeadlineExceeded    Reason = "DeadlineExceeded"
)

// Reasons of events that only this supervisor has: the kubelet reports the same in the pod's status.
const (
	ReasonSupervisorStarted  Reason = "SupervisorStarted"
	ReasonAdopted            Reason = "Adopted"
	ReasonWaiting            Reason = "Waiting"
	ReasonExited             Reason = "Exited"
	ReasonEarlyProbe         Reason = "EarlyProbe" // a failure that does not count yet: see EagerProbeAnnotation
	ReasonStartupSucceeded   Reason = "StartupSucceeded"
	ReasonReadinessSucceeded Reason = "ReadinessSucceeded"
	ReasonReady              Reason = "Ready"
	ReasonNotReady           Reason = "NotReady"
	ReasonStopped            Reason = "Stopped"
	ReasonStopIncomplete     Reason = "StopIncomplete"
)

// ReasonCompleted is the reason of the event of a pod that has ended, and of a container that exited with 0.
const ReasonCompleted Reason = "Completed"

// Reasons of a container's state (ContainerStatus.Reason).
const (
	ReasonInitializing Reason = "PodInitializing"   // earlier containers of the pod start first
	ReasonCreating     Reason = "ContainerCreating" // the runtime starts it
	ReasonStartError   Reason = "StartError"        // the runtime cannot start it
	ReasonCrashLoop    Reason = "CrashLoopBackOff"  // its next start is due later
	ReasonError        Reason = "Error"             // it exited with another code than 0
	ReasonOOMKilled    Reason = "OOMKilled"
	// ReasonCleaningUp means that the container has ended while processes of it are left: Container.Wait has returned,
	// and Container.Stop has not returned nil yet. It does not run, and its next instance must not start.
	ReasonCleaningUp Reason = "CleaningUp"
)

// Event is something that happened to a pod.
type Event struct {
	Time      time.Time `json:"time"`
	Pod       string    `json:"pod"` // the manifest's metadata.name, as PodStatus.Name; "" for the supervisor itself
	Container string    `json:"container,omitempty"`
	Type      EventType `json:"type"`
	Reason    Reason    `json:"reason"`
	Message   string    `json:"message"`
	Namespace string    `json:"namespace,omitempty"`
	// Count is how often the event happened in a row; 0 and 1 are once. Time is then the last time, and Offset that of the first.
	Count int `json:"count,omitempty"`
	// Offset is the time since the supervisor started, by the monotonic clock: the axis of the timeline. Events of an
	// earlier supervisor have a negative one.
	Offset time.Duration `json:"offset"`
	// Session is set in the first event of a supervisor only.
	Session *Session `json:"session,omitempty"`
}

// Session is one run of a supervisor. Boot and Uptime put its offsets on one axis with those of other processes
// since the same boot, whatever happens to the wall clock.
type Session struct {
	PID     int           `json:"pid"`
	Version string        `json:"version,omitempty"`
	Boot    string        `json:"boot,omitempty"` // the kernel's boot ID; "" if it cannot be read
	Uptime  time.Duration `json:"uptime"`         // since boot, at Offset 0 (CLOCK_BOOTTIME)
}
