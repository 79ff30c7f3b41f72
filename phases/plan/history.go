package plan

import (
	"path/filepath"
	"slices"

	"github.com/kubecrank/kubecrank/manifests/config"
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
	Owned map[string]Owned
	// Before are paths that we use and that were there before us.
	Before map[string]Made
}

// Owned is a path of ours.
type Owned struct {
	Made
	// Sums are all SHA-256 sums that we ever meant to write there.
	Sums []string
	// Done is true once the journal knows that it was made, not just intended.
	Done bool
	// Order counts up in the order in which paths were first intended.
	Order int
}

// Wrote says whether bytes with this sum are ours.
func (o Owned) Wrote(sum string) bool { return slices.Contains(o.Sums, sum) }

// edited says whether bytes with this sum are the edit that a run has kept of what we wrote.
func (o Owned) edited(sum, wrote string) bool { return o.Edits == wrote && o.SHA256 == sum }

// Paths returns the owned paths in the order in which they were made.
func (h History) Paths() []string {
	paths := make([]string, 0, len(h.Owned))
	for p := range h.Owned {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, func(a, b string) int { return h.Owned[a].Order - h.Owned[b].Order })
	return paths
}

// add folds one record into the history. It changes the maps in place.
func (h *History) add(r Record) {
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

func (h *History) made(m Made, done bool) {
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
	if owned.Kind == MadeTree && m.Kind == MadeDir {
		m.Kind = MadeTree // also named as the parent of something
	}
	owned.Made = m
	owned.Done = owned.Done || done
	h.Owned[m.Path] = owned
}

func newHistory() History {
	return History{Owned: map[string]Owned{}, Before: map[string]Made{}}
}
