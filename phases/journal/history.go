package journal

import (
	"maps"
	"slices"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// History is what a journal adds up to. It is a value: a copy does not change.
type History struct {
	// Records is how many records there are; 0 without a journal.
	Records int
	// Verb is the verb of the last run, Done whether that run ended well.
	Verb string
	Done bool
	// SetUp is true from the end of an init that left pods running to the next
	// reset: the configuration is settled, and another one is refused.
	SetUp bool
	// Node is what the last run settled on.
	Node Identity
	// Config is the configuration that the last run of init settled on; nil in
	// a journal that has none. What init brought up runs with it if SetUp is true.
	Config *config.Settled
	// Claims are the resources that we made and did not remove. A path has one
	// claim, as a file, a directory or a tree.
	Claims map[resource.Resource]resource.Claim
	// Before are paths that we use and that were there before us.
	Before map[string]resource.Claim
}

// Claim returns the claim to a resource.
func (h History) Claim(r resource.Resource) (resource.Claim, bool) {
	c, ours := h.Claims[r]
	return c, ours
}

// At returns the claim to the file or directory at a path.
func (h History) At(path string) (resource.Claim, bool) { return resource.At(path, h.Claim) }

// InOrder returns the claims in the order in which the resources were made.
func (h History) InOrder() []resource.Claim {
	return slices.SortedFunc(maps.Values(h.Claims), func(a, b resource.Claim) int { return a.Order - b.Order })
}

// Add folds one record into the history. It changes the maps in place.
func (h *History) Add(r Record) {
	if h.Claims == nil {
		h.Claims, h.Before = map[resource.Resource]resource.Claim{}, map[string]resource.Claim{}
	}
	h.Records++
	switch r.What {
	case RunBegun:
		h.Verb, h.Done = r.Verb, false
		if r.Verb == VerbReset {
			h.SetUp = false
		}
		if r.Node != nil {
			h.Node = *r.Node
		}
		if r.Config != nil {
			h.Config = r.Config
		}
	case RunDone:
		h.Done = true
	case NodeSetUp:
		h.SetUp = true
	case Intent, StepDone:
		if r.Claim != nil {
			h.claim(*r.Claim, r.What == StepDone)
		}
	case Removed:
		if r.Claim != nil {
			known, _ := h.known(r.Claim.Clean())
			delete(h.Claims, known.Resource)
			delete(h.Before, r.Claim.Key)
		}
	case StepFailed: // says nothing about what is on the machine
	}
}

// The verbs that change what a History means.
const (
	VerbInit  = "init"
	VerbReset = "reset"
)

// known is the claim to a resource, or the one to the same path as another kind.
func (h *History) known(r resource.Resource) (resource.Claim, bool) {
	if r.IsPath() {
		return h.At(r.Key)
	}
	return h.Claim(r)
}

func (h *History) claim(c resource.Claim, done bool) {
	c.Resource = c.Clean()
	known, ours := h.known(c.Resource)
	if c.Existed {
		// An intent that nobody carried out before somebody else made it is void.
		if !known.Done {
			delete(h.Claims, known.Resource)
			h.Before[c.Key] = c
		}
		return
	}
	c.Order, c.Sums, c.Done = known.Order, known.Sums, known.Done || done
	if !ours {
		c.Order = h.Records
	}
	if c.SHA256 != "" && !known.Wrote(c.SHA256) {
		c.Sums = append(slices.Clip(c.Sums), c.SHA256)
	}
	if known.Kind == resource.Tree && c.Kind == resource.Dir {
		c.Kind = resource.Tree // also named as the parent of something
	}
	delete(h.Claims, known.Resource)
	h.Claims[c.Resource] = c
}
