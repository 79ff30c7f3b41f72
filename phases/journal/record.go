package journal

import (
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// Identity is the part of the configuration that has a default which depends on the machine.
type Identity struct {
	Name             string `json:"name,omitempty"`
	AdvertiseAddress string `json:"advertiseAddress,omitempty"`
}

// Record is one line of the journal.
type Record struct {
	Time  time.Time      `json:"time"`
	Verb  string         `json:"verb"`
	Phase string         `json:"phase,omitempty"`
	Step  string         `json:"step,omitempty"` // Describe of the step
	Kind  string         `json:"kind,omitempty"`
	What  What           `json:"what"`
	Made  *resource.Made `json:"made,omitempty"`
	Node  *Identity      `json:"node,omitempty"` // of RunBegun
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
