package phases

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// resetPhases is what reset does, one after the other.
func resetPhases() []phase {
	return []phase{
		{name: "preflight", short: "check that this user may reset the node", steps: resetPreflight},
		{name: "stop", short: "stop the pods in reverse start order, then the supervisor", after: []string{"preflight"}, steps: stop},
		{name: "remove", short: "remove what the journal says was made, last made first", after: []string{"stop"}, steps: remove},
		{name: "state", short: "remove kubecrank's own files and the journal", after: []string{"remove"}, steps: removeState},
	}
}

// Reset plans the undoing of all that the journal of this root knows, whatever
// the configuration was. Without a journal the plan is a note that there is
// nothing to reset. Errors are as Init's.
func Reset(cfg config.Config, f facts.Facts) (plan.Plan, error) {
	s := &State{Config: cfg, Paths: cfg.Paths(), Facts: f}
	if f.JournalError != nil {
		return plan.Plan{}, f.JournalError
	}
	list := resetPhases()
	if f.History.Records == 0 {
		list = []phase{{name: "summary", short: "there is nothing to do", steps: nothingToReset}}
	}
	p, err := build(journal.VerbReset, list, s)
	if err != nil {
		return plan.Plan{}, err
	}
	p.From = f.History.Records
	if failed := plan.Preflight(p.Checks()); failed != nil {
		return p, failed
	}
	return p, nil
}

func nothingToReset(s *State) ([]plan.Step, error) {
	return []plan.Step{plan.Note{Text: fmt.Sprintf("There is nothing to reset: there is no journal %s.", s.Paths.Journal)}}, nil
}

func resetPreflight(s *State) ([]plan.Step, error) {
	return checkSteps(ignore(privileged(s), s.Config.IgnorePreflightErrors)), nil
}

func stop(s *State) ([]plan.Step, error) {
	_, started := s.Facts.History.Claim(resource.Resource{Kind: resource.Process, Key: s.Paths.Socket})
	if !started && !s.Facts.Unrecorded {
		return nil, nil
	}
	return []plan.Step{steps.StopSupervisor{Socket: s.Paths.Socket, Unrecorded: !started}}, nil
}

// remove leaves out kubecrank's own directories with their parents: they go last.
func remove(s *State) ([]plan.Step, error) {
	h := s.Facts.History
	var out []plan.Step
	for _, c := range slices.Backward(h.InOrder()) {
		switch own := s.isOwn(c.Key); {
		case c.Kind == resource.Process, own && (c.IsPath() || c.Kind == resource.Entries):
		default:
			out = append(out, steps.Undo{Resource: c.Resource})
		}
	}
	for _, path := range slices.Sorted(maps.Keys(h.Before)) {
		if !s.isOwn(path) {
			out = append(out, steps.Keep{Path: path})
		}
	}
	return out, nil
}

// isOwn is true in the directories of the journal and the lock, and above them.
func (s *State) isOwn(path string) bool {
	for _, own := range []string{s.Paths.State, s.Paths.Run} {
		if path == own || strings.HasPrefix(path, own+"/") || strings.HasPrefix(own, filepath.Clean(path)+"/") {
			return true
		}
	}
	return false
}

func removeState(s *State) ([]plan.Step, error) {
	return []plan.Step{steps.RemoveState{State: s.Paths.State, Run: s.Paths.Run}}, nil
}
