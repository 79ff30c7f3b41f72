// Package timeline puts what a verb did and what the supervisor did on one axis, and shows it.
//
//	init: phases, steps --Line--> timeline.jsonl ---+
//	                                                +--Build--> Timeline --> Text, JSON, SVG
//	supervisor: runtime.Event --> events.jsonl -----+
//
// The two processes know nothing of each other. Each notes once when it began, by the clock on the wall and by
// the time since the machine's boot, and then counts on its monotonic clock; Build aligns them by the
// boot when it is the same, so a clock that is set in the middle of a bring-up moves nothing.
//
// A bring-up is of the pods that begin before all of them were ready once, or the run was over, and ends then: what is
// started or restarted later is no part of it. A container that was adopted runs from the begin of the axis, and is
// ready from the moment at which its supervisor says so.
//
// The package is pure: it reads no file and asks no clock.
package timeline

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// Line is one line of the file in which a verb keeps what it does, as it does it.
type Line struct {
	At    time.Duration `json:"at"` // since the run began
	What  What          `json:"what"`
	Phase string        `json:"phase,omitempty"`
	// After are the phases that this one waits for, in the line of its start.
	After  []string `json:"after,omitempty"`
	Step   string   `json:"step,omitempty"`
	State  string   `json:"state,omitempty"`  // of a step that ended: new, changed, unchanged ...
	Detail string   `json:"detail,omitempty"` // of a phase: what it does
	Error  string   `json:"error,omitempty"`
	Run    *Run     `json:"run,omitempty"` // of RunBegan
}

// Run is what the first line says.
type Run struct {
	Verb string    `json:"verb"`
	Time time.Time `json:"time"`
	Node string    `json:"node,omitempty"`
	// Boot is the kernel's boot ID, and Uptime the time since boot when the run began; "" and 0 if unknown.
	Boot   string        `json:"boot,omitempty"`
	Uptime time.Duration `json:"uptime,omitempty"`
}

// What says what a Line stands for.
type What string

// The moments of a run.
const (
	RunBegan      What = "run-began"
	PhaseStarted  What = "phase-started"
	PhasePrepared What = "phase-prepared" // all is compared and made in memory; now it is done
	StepStarted   What = "step-started"
	StepEnded     What = "step-ended"
	PhaseEnded    What = "phase-ended"
	RunEnded      What = "run-ended"
)

// ParseLines reads the lines of a file, and counts those that are none. A last line without an end was torn
// by a kill, and is left out.
func ParseLines(data []byte) (lines []Line, bad int) {
	for len(data) > 0 {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		if !ended {
			break
		}
		var l Line
		if json.Unmarshal(line, &l) != nil || l.What == "" {
			bad++
		} else {
			lines = append(lines, l)
		}
		data = rest
	}
	return lines, bad
}

// Timeline is one bring-up. All times are seconds since it began.
type Timeline struct {
	// Verb is what brought the pods up: "init", or "supervise" for a supervisor that started them by itself.
	Verb  string    `json:"verb"`
	Node  string    `json:"node,omitempty"`
	Began time.Time `json:"began"`
	// Result is "ready", "failed", or "unfinished": it still runs, was killed, or not all pods are ready yet.
	Result string `json:"result"`
	// Ready is when the last pod became ready for the first time, or was adopted and found to be so, if all did.
	Ready *float64 `json:"ready,omitempty"`
	// End is when the run ended, or the last thing that is known of one that did not.
	End        float64     `json:"end"`
	Error      string      `json:"error,omitempty"`
	Phases     []Phase     `json:"phases"`
	Supervisor *Supervisor `json:"supervisor,omitempty"`
	Pods       []Pod       `json:"pods"`
	// Critical is the chain of what the end waited for: making anything else quicker gains nothing.
	Critical []Link `json:"critical"`
	// Events are those of the supervisor, early probes left out.
	Events []Event `json:"events"`
}

// Phase is one phase of the verb.
type Phase struct {
	Name  string   `json:"name"`
	Short string   `json:"short,omitempty"`
	After []string `json:"after,omitempty"`
	Start float64  `json:"start"`
	// Prepared is when all was compared, and made in memory; what follows is written and done.
	Prepared *float64 `json:"prepared,omitempty"`
	End      *float64 `json:"end,omitempty"` // absent: it did not end
	Error    string   `json:"error,omitempty"`
	Steps    []Step   `json:"steps"`
}

// Step is one step of a phase.
type Step struct {
	Name   string   `json:"name"`
	State  string   `json:"state,omitempty"` // new, changed, unchanged, left
	Detail string   `json:"detail,omitempty"`
	Start  float64  `json:"start"`
	End    *float64 `json:"end,omitempty"`
	Error  string   `json:"error,omitempty"`
}

// Supervisor is the one that ran the pods.
type Supervisor struct {
	PID     int     `json:"pid"`
	Version string  `json:"version,omitempty"`
	Start   float64 `json:"start"` // before the run, if it ran already: negative
}

// Pod is one static pod.
type Pod struct {
	Name       string      `json:"name"`
	Namespace  string      `json:"namespace"`
	Waits      []Wait      `json:"waits,omitempty"` // for other pods
	Ready      *float64    `json:"ready,omitempty"` // for the first time
	Containers []Container `json:"containers"`
}

// Wait is a time in which a pod was not started because of another one.
type Wait struct {
	Start float64  `json:"start"`
	End   *float64 `json:"end,omitempty"`
	For   string   `json:"for"` // "kube-apiserver to start"
}

// Container is one container of a pod.
type Container struct {
	Name   string     `json:"name"`
	Runs   []Instance `json:"runs"`
	Probes []Probe    `json:"probes"`
}

// Instance is one start of a container.
type Instance struct {
	Start float64 `json:"start"` // its process runs
	// Started is when its startup probe succeeded; Start if it has none.
	Started *float64 `json:"started,omitempty"`
	Ready   *float64 `json:"ready,omitempty"` // readiness succeeded; Started if it is not probed
	End     *float64 `json:"end,omitempty"`
	Exit    string   `json:"exit,omitempty"` // how it ended
	// Adopted says that it ran before a supervisor found it: Start is where the axis begins, and Started and Ready
	// are when that supervisor knew.
	Adopted bool `json:"adopted,omitempty"`
}

// Probe is one result of a probe: each failure, and each first success.
type Probe struct {
	At   float64 `json:"at"`
	Kind string  `json:"kind"` // Startup, Liveness, Readiness
	OK   bool    `json:"ok"`
	Text string  `json:"text,omitempty"`
	// Early is one that did not count: it can only succeed.
	Early bool `json:"early,omitempty"`
}

// Link is one part of the critical chain.
type Link struct {
	Kind string `json:"kind"` // phase or pod
	Name string `json:"name"`
	// Took is by how much it moved the end: from the end of the link before it.
	Took float64 `json:"took"`
}

// Event is an event of the supervisor.
type Event struct {
	At        float64           `json:"at"`
	Pod       string            `json:"pod,omitempty"`
	Namespace string            `json:"namespace,omitempty"`
	Container string            `json:"container,omitempty"`
	Type      runtime.EventType `json:"type"`
	Reason    runtime.Reason    `json:"reason"`
	Message   string            `json:"message"`
}
