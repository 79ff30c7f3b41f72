package plan

import (
	"github.com/kubecrank/kubecrank/redact"
)

// Change is what one step comes to on a host.
type Change struct {
	Phase   string  `json:"phase,omitempty"`
	Kind    string  `json:"kind"`
	Step    string  `json:"text"` // Describe
	State   State   `json:"state"`
	Detail  string  `json:"detail,omitempty"`
	Diff    string  `json:"diff,omitempty"`
	Hint    string  `json:"hint,omitempty"`
	Refused Refusal `json:"refused,omitempty"`
}

// Diff says what each step of the plan comes to on a host, in the plan's
// order. It changes nothing, and the same plan and host give the same answer.
func Diff(p Plan, h Host) []Change {
	var changes []Change
	for _, ph := range p.Phases {
		for _, s := range ph.Steps {
			w := s.Compare(h)
			changes = append(changes, Change{
				Phase: ph.Name, Kind: s.Kind(), Step: redact.Text(s.Describe()), State: w.State,
				Detail: redact.Text(w.Detail), Diff: w.Diff, Hint: w.Hint, Refused: w.Refused,
			})
		}
	}
	return changes
}

// Refuse returns a *RefusedError if the plan cannot be applied to the host
// because of what is there, and nil otherwise.
func Refuse(p Plan, h Host) *RefusedError {
	e := &RefusedError{Verb: p.Verb}
	for _, ph := range p.Phases {
		for _, s := range ph.Steps {
			if w := s.Compare(h); w.State == Conflict {
				e.Conflicts = append(e.Conflicts, ConflictOf(s, w))
			}
		}
	}
	if len(e.Conflicts) == 0 {
		return nil
	}
	return e
}

// File is a file that a plan writes.
type File struct {
	Path string
	Data []byte
}

// Files returns the files of the plan whose content is known and no secret: the manifests, for one.
func (p Plan) Files() []File {
	var files []File
	for _, ph := range p.Phases {
		for _, s := range ph.Steps {
			if w, ok := s.(interface{ Public() (File, bool) }); ok {
				if f, ok := w.Public(); ok {
					files = append(files, f)
				}
			}
		}
	}
	return files
}

// Checks returns the preflight results of the plan.
func (p Plan) Checks() []Check {
	var checks []Check
	for _, ph := range p.Phases {
		for _, s := range ph.Steps {
			if c, ok := s.(Check); ok {
				checks = append(checks, c)
			}
		}
	}
	return checks
}
