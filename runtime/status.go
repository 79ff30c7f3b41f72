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

// PodStatus is one static pod.
type PodStatus struct {
	Name       string            `json:"name"` // the manifest's metadata.name, without the node's suffix
	Namespace  string            `json:"namespace"`
	UID        string            `json:"uid"`
	Ready      bool              `json:"ready"`
	State      string            `json:"state"` // Pending, Waiting, Starting, Running, BackOff, CleaningUp, Stopping, Succeeded, Failed
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
	Name         string     `json:"name"`
	Init         bool       `json:"init,omitempty"` // one of spec.initContainers, sidecars among them
	ID           string     `json:"id,omitempty"`
	Image        string     `json:"image"`
	State        string     `json:"state"` // Waiting, Running, Terminated
	Reason       string     `json:"reason,omitempty"`
	Started      bool       `json:"started"` // the startup probe succeeded, or there is none
	Ready        bool       `json:"ready"`
	RestartCount int        `json:"restartCount"`
	PID          int        `json:"pid,omitempty"`
	StartedAt    *time.Time `json:"startedAt,omitempty"`
	FinishedAt   *time.Time `json:"finishedAt,omitempty"`
	ExitCode     *int       `json:"exitCode,omitempty"`
	Signal       string     `json:"signal,omitempty"`
	Message      string     `json:"message,omitempty"` // why it waits, or how it ended
	LogPath      string     `json:"logPath,omitempty"`
	LastProbe    string     `json:"lastProbe,omitempty"` // the last probe failure's text
}

// Problem is a manifest or source that cannot be used.
type Problem struct {
	Source  string `json:"source"` // path or URL
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
	// Warning marks what does not hold up Status.Ready: a backup file, a duplicate, an entry that is no file.
	Warning bool `json:"warning,omitempty"`
}
