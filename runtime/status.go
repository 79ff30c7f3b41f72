package runtime

import "time"

// Status is the answer to `status -o json`; the names are part of the command line's contract.
type Status struct {
	Ready      bool           `json:"ready"`   // every pod is ready and no manifest is refused
	Runtime    string         `json:"runtime"` // "process", ...
	Supervisor SupervisorInfo `json:"supervisor"`
	Pods       []PodStatus    `json:"pods"` // in start order, then by name
	// Problems are manifests that were refused, and sources that cannot be read.
	Problems []Problem `json:"problems,omitempty"`
}

// SupervisorInfo is the supervisor's own process.
type SupervisorInfo struct {
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"startedAt"`
	Version   string    `json:"version"`
}

// PodState is the state of a pod in the words of status.
type PodState string

// The states of a pod.
const (
	PodPending    PodState = "Pending"  // it is about to start, or waits until it is tried again
	PodWaiting    PodState = "Waiting"  // it starts after pods that have not started
	PodStarting   PodState = "Starting" // not every startup probe has succeeded
	PodRunning    PodState = "Running"
	PodBackOff    PodState = "BackOff"    // a container of it waits for its next start
	PodCleaningUp PodState = "CleaningUp" // a container of it has ended and left processes
	PodStopping   PodState = "Stopping"
	PodSucceeded  PodState = "Succeeded"
	PodFailed     PodState = "Failed"
)

// ContainerState is the state of a container in the words of status.
type ContainerState string

// The states of a container.
const (
	ContainerWaiting    ContainerState = "Waiting"
	ContainerRunning    ContainerState = "Running"
	ContainerTerminated ContainerState = "Terminated"
)

// PodStatus is one static pod.
type PodStatus struct {
	Name       string            `json:"name"` // the manifest's metadata.name, without the node's suffix
	Namespace  string            `json:"namespace"`
	UID        string            `json:"uid"`
	Ready      bool              `json:"ready"`
	State      PodState          `json:"state"`
	Restarts   int               `json:"restarts"`
	PID        int               `json:"pid,omitempty"` // of the first container
	StartedAt  *time.Time        `json:"startedAt,omitempty"`
	ReadyAt    *time.Time        `json:"readyAt,omitempty"`
	Source     string            `json:"source"` // the manifest's path or URL
	Containers []ContainerStatus `json:"containers"`
	Message    string            `json:"message,omitempty"` // what a waiting pod waits for, or what has not ended
	LastError  string            `json:"lastError,omitempty"`
}

// ContainerStatus is one container of a static pod.
type ContainerStatus struct {
	Name         string         `json:"name"`
	Init         bool           `json:"init,omitempty"` // one of spec.initContainers, sidecars among them
	ID           string         `json:"id,omitempty"`
	Image        string         `json:"image"`
	State        ContainerState `json:"state"`
	Reason       Reason         `json:"reason,omitempty"`
	Started      bool           `json:"started"` // the startup probe succeeded, or there is none
	Ready        bool           `json:"ready"`
	RestartCount int            `json:"restartCount"`
	PID          int            `json:"pid,omitempty"`
	StartedAt    *time.Time     `json:"startedAt,omitempty"`
	FinishedAt   *time.Time     `json:"finishedAt,omitempty"`
	ExitCode     *int           `json:"exitCode,omitempty"`
	Signal       string         `json:"signal,omitempty"`
	Message      string         `json:"message,omitempty"` // why it waits, or how it ended
	LogPath      string         `json:"logPath,omitempty"`
	LastProbe    string         `json:"lastProbe,omitempty"` // the last probe failure's text
}

// Problem is a manifest or source that cannot be used.
type Problem struct {
	Source  string `json:"source"` // path or URL
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
	// Warning marks what does not hold up Status.Ready: a backup file, a duplicate, an entry that is no file.
	Warning bool `json:"warning,omitempty"`
}
