package plan

import (
	"time"

	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// Host is the machine as a step sees it: the facts, for a dry-run, or the
// live machine with what the phase is about to write laid over it, for Apply.
type Host struct {
	Now time.Time
	// History is what the journal says. In a run it grows; use Claim.
	History journal.History
	// SupervisorRuns says whether a supervisor of this root answers.
	SupervisorRuns func() bool
	// Look says what is at an absolute path.
	Look func(path string) resource.Seen
	// Claim says what of a resource is ours, by the journal.
	Claim func(resource.Resource) (resource.Claim, bool)
}

// At returns the claim to the file or directory at a path.
func (h Host) At(path string) (resource.Claim, bool) { return resource.At(path, h.Claim) }
