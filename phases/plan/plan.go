// Package plan is what a verb is going to do, as data: phases of steps that
// can be printed, compared with the host, applied, and journalled, so that
// they can be resumed and undone.
//
//	phases.Init(cfg, facts) --> Plan --Print / Diff--> --dry-run
//	                             |
//	                             +--Apply--> the machine, with a journal record before and after each step
//	                                                                  |
//	journal --phases.Reset--> Plan (RemovePath ... in reverse) --Apply+
//
// A step that ran to its end is not redone differently when the plan is
// applied again: every kind of step looks at what is there and does the rest.
package plan

import (
	"context"
	"io/fs"
	"time"
)

// Plan is what one verb does, in phases.
type Plan struct {
	Verb   string  `json:"verb"` // "init"
	Phases []Phase `json:"phases"`
}

// Phase is a named list of steps. Its steps run in order; phases run as soon as those in After are done.
type Phase struct {
	Name  string   `json:"name"`            // "certs"
	Short string   `json:"short"`           // one line: what it does
	After []string `json:"after,omitempty"` // names of phases
	Steps []Step   `json:"steps"`
}

// Step is one thing to do, as comparable data (reflect.DeepEqual). What is random or slow happens in Apply.
type Step interface {
	// Kind names the step's type in the JSON plan and the journal: "WriteFile".
	Kind() string
	// Describe is one line for people: what, where, and no secrets.
	Describe() string
	// Apply does it, or what is left of it, and records what it makes through n.Journal.
	Apply(ctx context.Context, n *Node) error
}

// Made is what a step put on the machine, as the journal remembers it, and what reset removes.
type Made struct {
	Kind    MadeKind    `json:"kind"`
	Path    string      `json:"path"`
	SHA256  string      `json:"sha256,omitempty"` // of a file's bytes: another sum at reset means it was changed by hand
	Mode    fs.FileMode `json:"mode,omitempty"`
	Existed bool        `json:"existed,omitempty"` // it was there before us; reset leaves it
}

// MadeKind says how reset treats a Made.
type MadeKind string

// The kinds of Made.
const (
	MadeFile MadeKind = "file"    // removed if its bytes are still ours
	MadeDir  MadeKind = "dir"     // removed if empty
	MadeTree MadeKind = "tree"    // a directory whose content is the components' (etcd's data, logs): removed whole
	MadeProc MadeKind = "process" // the supervisor: stopped, pods in reverse start order
)

// Record is one line of the journal.
type Record struct {
	Time  time.Time `json:"time"`
	Verb  string    `json:"verb"`
	Phase string    `json:"phase,omitempty"`
	Step  string    `json:"step,omitempty"` // Describe of the step
	Kind  string    `json:"kind,omitempty"`
	What  What      `json:"what"`
	Made  *Made     `json:"made,omitempty"`
	Error string    `json:"error,omitempty"`
}

// What says which moment of a run or step a Record stands for.
type What string

// The moments of a run: the run begins, an intent (written before the machine is touched), a step done or failed, the run done.
const (
	RunBegun   What = "run-begun"
	Intent     What = "intent"
	StepDone   What = "done"
	StepFailed What = "failed"
	RunDone    What = "run-done"
	Removed    What = "removed"
)
