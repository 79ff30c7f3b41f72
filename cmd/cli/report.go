package cli

import (
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/phases/apply"
	"github.com/kubecrank/kubecrank/phases/plan"
)

// reporter shows an Apply on a progress, and keeps the times of the phases. It
// is apply.Progress: its calls do not overlap.
type reporter struct {
	progress *progress
	verbose  bool
	silent   map[string]bool // phases that do nothing but print, or nothing at all
	running  map[string]*task
	phases   []phaseTime
}

// phaseTime is how long a phase took.
type phaseTime struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

func newReporter(p *progress, pl plan.Plan, verbose bool) *reporter {
	r := &reporter{progress: p, verbose: verbose, silent: map[string]bool{}, running: map[string]*task{}}
	for _, ph := range pl.Phases {
		r.silent[ph.Name] = !slices.ContainsFunc(ph.Steps, func(s plan.Step) bool {
			_, note := s.(plan.Note)
			return !note
		})
	}
	return r
}

// Report implements apply.Progress.
func (r *reporter) Report(e apply.Event) {
	if r.silent[e.Phase] {
		return
	}
	switch e.Moment {
	case apply.PhaseStarted:
		r.running[e.Phase] = r.progress.start(e.Phase, e.Detail)
	case apply.PhaseEnded:
		if t := r.running[e.Phase]; t != nil {
			t.end(e.Err == nil)
			delete(r.running, e.Phase)
		}
		r.phases = append(r.phases, phaseTime{Name: e.Phase, Seconds: inSeconds(e.Took)})
	case apply.StepNews:
		if t := r.running[e.Phase]; t != nil {
			t.say(e.Detail)
		}
	case apply.StepEnded:
		if r.verbose && e.Err == nil {
			r.progress.note("  %s", stepLine(e))
		}
	case apply.PhaseIntended, apply.StepStarted: // too fine for people
	}
}

// stepLine is what -v shows of a step.
func stepLine(e apply.Event) string {
	line := e.Step
	if e.State == plan.Unchanged {
		line += " (nothing to do)"
	}
	if e.Detail != "" && !strings.Contains(line, e.Detail) {
		line += ": " + e.Detail
	}
	return line
}
