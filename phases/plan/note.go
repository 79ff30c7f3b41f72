package plan

import (
	"github.com/kubecrank/kubecrank/redact"
)

// Note is a line for people at the end of a run. It does nothing.
type Note struct {
	Text string `json:"text"`
}

// Kind implements Step.
func (Note) Kind() string { return "Note" }

// Describe implements Step.
func (s Note) Describe() string { return s.Text }

// Compare implements Step.
func (Note) Compare(Host) Work { return Work{State: Runs} }

// ConflictOf returns the conflict that a step's work is, at the path that the step is about.
func ConflictOf(s Step, w Work) ConflictAt {
	at := s.Describe()
	if p, ok := s.(interface{ Where() string }); ok {
		at = p.Where()
	}
	return ConflictAt{Path: at, Why: redact.Text(w.Detail), Diff: w.Diff, Hint: w.Hint, Refusal: w.Refused}
}
