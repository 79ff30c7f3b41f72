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

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// Plan is what one verb does, in phases.
type Plan struct {
	Verb string `json:"verb"` // "init"
	// Node is what the run settled on for this machine; the journal
	// remembers it, so that a run that continues another settles on the same.
	Node journal.Identity `json:"node"`
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
	Makes []resource.Claim
	// Unmakes is what Do removes for good.
	Unmakes []resource.Claim
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
