package journal

import (
	"encoding/json"
	"strings"
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
	Time  time.Time       `json:"time"`
	Verb  string          `json:"verb"`
	Phase string          `json:"phase,omitempty"`
	Step  string          `json:"step,omitempty"` // Describe of the step
	Kind  string          `json:"kind,omitempty"`
	What  What            `json:"what"`
	Claim *resource.Claim `json:"claim,omitempty"`
	Node  *Identity       `json:"node,omitempty"` // of RunBegun
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

// decode reads a line of the journal. Before there were kinds of resources, a record had "made" instead of "claim",
// with a path that some kinds added something to.
func decode(line []byte) (Record, error) {
	var read struct {
		Record
		Made *struct {
			resource.Claim
			Path string `json:"path"`
		} `json:"made"`
	}
	err := json.Unmarshal(line, &read)
	if old := read.Made; old != nil {
		read.Claim = &old.Claim
		read.Claim.Key = old.Path
		switch old.Kind {
		case resource.Entries:
			read.Claim.Key = strings.TrimSuffix(old.Path, "*")
		case resource.Owner:
			read.Claim.Key = strings.TrimSuffix(old.Path, "@owner")
		}
	}
	return read.Record, err
}
