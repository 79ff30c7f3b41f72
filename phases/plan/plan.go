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
// One method of a step serves both ways out: Compare looks at a Host and
// returns the Work that is left. Diff asks it about the facts and only prints
// the answer; Apply asks it about the live machine and does the Work. So a
// dry-run cannot promise what a run does not do, and a plan that is applied
// again finds its own work done.
//
// Apply takes a phase's works together: it compares all steps, makes all bytes
// in memory (certificates too), commits one batch of intents to the journal,
// and only then touches the disk. An intent says that a path was not there and
// which bytes it will have, so a process killed anywhere leaves nothing that
// reset cannot tell for ours, and takes nothing for ours that is not.
package plan

import (
	"context"
	"io/fs"
	"time"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/manifests/config"
)

// Plan is what one verb does, in phases.
type Plan struct {
	Verb string `json:"verb"` // "init"
	// Node is what the run settled on for this machine; the journal
	// remembers it, so that a run that continues another settles on the same.
	Node Identity `json:"node"`
	// Settled is the configuration that the run settled on, without secrets. The
	// journal keeps it for the verbs that come later. Nil: this verb settles nothing.
	Settled *config.Settled `json:"-"`
	// From is History.Records of the journal that a reset was planned from. It
	// is applied to that journal only: what another run made since would be forgotten.
	From int `json:"-"`
	// SetsUp says that the node is set up once the plan is done (History.SetUp).
	SetsUp bool    `json:"-"`
	Phases []Phase `json:"phases"`
}

// Identity is the part of the configuration that has a default which depends on the machine.
type Identity struct {
	Name             string `json:"name,omitempty"`
	AdvertiseAddress string `json:"advertiseAddress,omitempty"`
}

// Phase is a named list of steps. Its steps run in order; phases run as soon as those in After are done.
type Phase struct {
	Name  string   `json:"name"`            // "certs"
	Short string   `json:"short"`           // one line: what it does
	After []string `json:"after,omitempty"` // names of phases; one that is not in the plan counts as done
	Steps []Step   `json:"steps"`
}

// Step is one thing to do, as comparable data (reflect.DeepEqual). What is random or slow happens in its Work.
type Step interface {
	// Kind names the step's type in the JSON plan and the journal: "WriteFile".
	Kind() string
	// Describe is one line for people: what, where, and no secrets.
	Describe() string
	// Compare says what is left to do on a host that looks like h. It changes nothing.
	Compare(h Host) Work
}

// State is what Compare found.
type State string

// The states of a step, relative to a host.
const (
	New       State = "new"       // nothing is there yet
	Changed   State = "changed"   // something of ours is there and will be replaced
	Unchanged State = "unchanged" // all is there: nothing to do
	Runs      State = "runs"      // done every time, and finds out by itself what is left: a wait, a note
	Conflict  State = "conflict"  // something is there that is not ours to replace: Apply refuses
	Left      State = "left"      // reset leaves it
	Unknown   State = "unknown"   // this user cannot look
)

// Work is what is left of a step. A Work whose State is Unchanged has Makes
// only for what was there before and is used (Existed).
type Work struct {
	State  State
	Detail string // one line: why this State
	Diff   string // unified diff of text that is replaced; never of a secret
	Hint   string // of a Conflict: what to do about it
	// Refused says what kind of Conflict it is.
	Refused Refusal
	// Makes is what Do puts on the machine. What Files puts there is added by Apply.
	Makes []Made
	// Unmakes is what Do removes for good.
	Unmakes []Made
	// Files returns the bytes to write, secrets included. Nil: no files.
	Files func(h Host) ([]durable.File, error)
	// Late says that Files looks at files that other steps of the phase are
	// about to write. The Files of all others are called first, side by side.
	Late bool
	// Do does the rest. Nil: nothing else to do.
	Do func(ctx context.Context, n *Node) (Outcome, error)
}

// Outcome is how a Do went.
type Outcome struct {
	State  State  // "": what Compare had found
	Detail string // one line for people
}

// Refusal says why a Conflict is one.
type Refusal string

// The kinds of Conflict.
const (
	NotOurs      Refusal = "not ours"       // somebody else's file, or changed by hand since
	OtherConfig  Refusal = "other config"   // this node was set up, to the end, with another configuration
	NotValid     Refusal = "not valid"      // an existing certificate, key or kubeconfig that cannot be used
	NotReachable Refusal = "not accessible" // it cannot be looked at
)

// Made is what a step put on the machine, as the journal remembers it, and what reset removes.
type Made struct {
	Kind    MadeKind    `json:"kind"`
	Path    string      `json:"path"`
	SHA256  string      `json:"sha256,omitempty"` // of a file's bytes: another sum at reset means it was changed by hand
	Mode    fs.FileMode `json:"mode,omitempty"`
	Existed bool        `json:"existed,omitempty"` // it was there before us; reset leaves it
	// Edits is the sum of what we wrote, if SHA256 is that of a user's edit of it.
	Edits string `json:"edits,omitempty"`
	// Except are names that were there before us (MadeEntries).
	Except []string `json:"except,omitempty"`
	// UID and GID are whom it belonged to (MadeOwner, and Mode with them).
	UID int64 `json:"uid,omitempty"`
	GID int64 `json:"gid,omitempty"`
}

// MadeKind says how reset treats a Made.
type MadeKind string

// The kinds of Made.
const (
	MadeFile MadeKind = "file" // removed if its bytes are still ours
	MadeDir  MadeKind = "dir"  // removed if empty
	MadeTree MadeKind = "tree" // a directory whose content is the components' (etcd's data, logs): removed whole
	// MadeEntries are what components put into a directory that was there
	// before us: Path is "dir/prefix*", Except those names that are not ours.
	MadeEntries MadeKind = "entries"
	// MadeLine is a line of /etc/passwd or /etc/group: Path is "FILE:NAME". Removed if it is still as we wrote it.
	MadeLine MadeKind = "line"
	// MadeOwner is somebody else's file that we gave to a user of ours: Path is "FILE@owner". Given back.
	MadeOwner MadeKind = "owner"
	MadeProc  MadeKind = "process" // the supervisor: stopped, pods in reverse start order
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
	Node  *Identity `json:"node,omitempty"` // of RunBegun
	// Config is what the run settled on, if that is not what the run before it had (RunBegun).
	Config *config.Settled `json:"config,omitempty"`
	Error  string          `json:"error,omitempty"`
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
	NodeSetUp  What = "node-set-up" // stands beside the RunDone of a Plan that SetsUp
)
