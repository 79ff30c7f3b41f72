package journal

import (
	"path/filepath"
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
	// Owned are the paths that we made and did not remove, by path.
	Owned map[string]resource.Owned
	// Before are paths that we use and that were there before us.
	Before map[string]resource.Made
}

// Paths returns the owned paths in the order in which they were made.
func (h History) Paths() []string {
	paths := make([]string, 0, len(h.Owned))
	for p := range h.Owned {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, func(a, b string) int { return h.Owned[a].Order - h.Owned[b].Order })
	return paths
}

// Add folds one record into the history. It changes the maps in place.
func (h *History) Add(r Record) {
	if h.Owned == nil {
		h.Owned, h.Before = map[string]resource.Owned{}, map[string]resource.Made{}
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
		if r.Made != nil {
			h.made(*r.Made, r.What == StepDone)
		}
	case Removed:
		if r.Made != nil {
			delete(h.Owned, r.Made.Path)
			delete(h.Before, r.Made.Path)
		}
	case StepFailed: // says nothing about what is on the machine
	}
}

// The verbs that change what a History means.
const (
	VerbInit  = "init"
	VerbReset = "reset"
)

func (h *History) made(m resource.Made, done bool) {
	m.Path = filepath.Clean(m.Path)
	owned, ours := h.Owned[m.Path]
	if m.Existed {
		// An intent that nobody carried out before somebody else made it is void.
		if !owned.Done {
			delete(h.Owned, m.Path)
			h.Before[m.Path] = m
		}
		return
	}
	if !ours {
		owned.Order = h.Records
	}
	if m.SHA256 != "" && !owned.Wrote(m.SHA256) {
		owned.Sums = append(slices.Clip(owned.Sums), m.SHA256)
	}
	if owned.Kind == resource.MadeTree && m.Kind == resource.MadeDir {
		m.Kind = resource.MadeTree // also named as the parent of something
	}
	owned.Made = m
	owned.Done = owned.Done || done
	h.Owned[m.Path] = owned
}
