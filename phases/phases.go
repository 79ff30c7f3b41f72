// Package phases computes what each verb is going to do: Init and Reset turn a
// configuration and the facts into a plan. Nothing here acts; apply.Run does.
//
//	config.Config + facts.Facts --Init--> plan.Plan --> Print, Diff, Apply
//	           facts.Facts.History --Reset--> plan.Plan
//
// A verb is one list of phases (init.go, reset.go); a phase is one file with
// one function that returns steps. To add a phase, write its function and put
// a line into the list. Parts of a phase (parts.go) are a choice of its steps.
package phases

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/cluster"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/plan"
)

// State is what the phases of one verb compute their steps from. No phase changes it.
type State struct {
	Config    config.Config // completed and valid
	Paths     config.Paths
	Facts     facts.Facts
	Payload   Payload
	Manifests []manifests.File
	// Remarks are about patches that have no effect.
	Remarks []string
}

// Payload is what is known of the components and of the runtime that runs them.
// Without a Digest they lie on the machine already, so that nothing is staged.
type Payload struct {
	Digest  string // Components.Digest
	Size    int64  // bytes on disk once staged; 0 if unknown
	Version string // of Kubernetes, "v1.36.3"; "" if unknown
	// Policy is what these components create in a new cluster; without objects it is not known.
	Policy cluster.Policy
	// Pods says what the runtime has against a manifest; nil: nobody is asked.
	Pods PodChecker
}

// phase is a named function from the State to steps.
type phase struct {
	name, short string
	after       []string
	steps       func(*State) ([]plan.Step, error)
	parts       []part // kubeadm's sub-phases; nil: none
}

// UnknownPhaseError is a phase name that the verb does not have (exit code 2).
type UnknownPhaseError struct {
	Verb, Name string
	Known      []string // with the parts of phases: "certs/ca"
}

func (e *UnknownPhaseError) Error() string {
	return fmt.Sprintf("cannot %s: there is no phase %q", e.Verb, e.Name)
}

// Hint lists the phases, and the parts that have this name; of all parts there are too many.
func (e *UnknownPhaseError) Hint() string {
	var whole, parts []string
	for _, name := range e.Known {
		_, part, ok := strings.Cut(name, "/")
		switch {
		case !ok:
			whole = append(whole, name)
		case part == e.Name:
			parts = append(parts, name)
		}
	}
	if len(parts) > 0 {
		return "a part is named with its phase: " + strings.Join(parts, " or ")
	}
	return "the phases are " + strings.Join(whole, ", ")
}

// PhaseInfo is a phase for help texts.
type PhaseInfo struct {
	Name, Short string
	After       []string // the phases whose work it needs
	Parts       []PartInfo
}

// PartInfo is a part of a phase, kubeadm's sub-phase, for help texts.
type PartInfo struct {
	Name, Short string   // "apiserver", of certs
	Reads       []string // the files that have to be there, on a machine without a root
}

func infos(list []phase) []PhaseInfo {
	out := make([]PhaseInfo, len(list))
	for i, p := range list {
		out[i] = PhaseInfo{Name: p.name, Short: p.short, After: p.after}
		for _, part := range p.parts {
			out[i].Parts = append(out[i].Parts, PartInfo{Name: part.name, Short: part.short, Reads: part.reads})
		}
	}
	return out
}

// names are those of the phases and of their parts.
func names(list []phase) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.name)
		for _, part := range p.parts {
			out = append(out, p.name+"/"+part.name)
		}
	}
	return out
}

// without returns the list without the phases and the parts of phases that are to be skipped. A phase
// that comes after a skipped one comes after what that one came after.
func without(verb string, list []phase, skip []string) ([]phase, error) {
	for _, name := range skip {
		if !slices.Contains(names(list), name) && !slices.Contains(withoutCounterpart(verb), name) {
			return nil, &UnknownPhaseError{Verb: verb, Name: name, Known: names(list)}
		}
	}
	skipped := make(map[string][]string) // to what it came after, itself resolved
	var kept []phase
	for _, p := range list {
		var after []string
		for _, name := range p.after {
			if before, gone := skipped[name]; gone {
				after = append(after, before...)
			} else {
				after = append(after, name)
			}
		}
		slices.Sort(after)
		p.after = slices.Compact(after)
		if slices.Contains(skip, p.name) {
			skipped[p.name] = p.after
			continue
		}
		if slices.ContainsFunc(skip, func(name string) bool { return strings.HasPrefix(name, p.name+"/") }) {
			p = p.choose(func(part string) bool { return !slices.Contains(skip, p.name+"/"+part) })
		}
		kept = append(kept, p)
	}
	return kept, nil
}

// build computes the steps of each phase.
func build(verb string, list []phase, s *State) (plan.Plan, error) {
	p := plan.Plan{Verb: verb}
	for _, ph := range list {
		steps, err := ph.steps(s)
		if err != nil {
			return p, fmt.Errorf("cannot plan phase %s: %w", ph.name, err)
		}
		p.Phases = append(p.Phases, plan.Phase{Name: ph.name, Short: ph.short, After: ph.after, Steps: steps})
	}
	return p, nil
}
