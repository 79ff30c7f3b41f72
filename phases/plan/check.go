package plan

import (
	"fmt"
	"strings"
)

// Level is how bad the result of a preflight check is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Failed  Level = "error"
)

// Check is the result of one preflight check.
type Check struct {
	Name   string `json:"name"` // kubeadm's, where kubeadm has the check: "Port-6443"
	Level  Level  `json:"level"`
	Text   string `json:"message,omitempty"`
	Remedy string `json:"remedy,omitempty"`
	// Ignored says that this would be an error, and the user wants it ignored.
	Ignored bool `json:"ignored,omitempty"`
}

// Kind implements Step.
func (Check) Kind() string { return "Check" }

// Describe implements Step.
func (s Check) Describe() string {
	if s.Text == "" {
		return fmt.Sprintf("check %s: %s", s.Name, s.Level)
	}
	return fmt.Sprintf("check %s: %s: %s", s.Name, s.Level, s.Text)
}

// Compare implements Step.
func (s Check) Compare(Host) Work {
	return Work{State: Runs, Detail: s.Text}
}

// Preflight returns a *PreflightError if a check failed, and nil otherwise.
func Preflight(checks []Check) *PreflightError {
	e := &PreflightError{}
	for _, c := range checks {
		if c.Level == Failed {
			e.Failed = append(e.Failed, c)
		}
	}
	if len(e.Failed) == 0 {
		return nil
	}
	return e
}

// PreflightError is all checks that failed (exit code 3).
type PreflightError struct{ Failed []Check }

func (e *PreflightError) Error() string {
	var b strings.Builder
	b.WriteString("cannot go on: preflight checks failed")
	for _, c := range e.Failed {
		fmt.Fprintf(&b, "\n  %s: %s", c.Name, c.Text)
		if c.Remedy != "" && len(e.Failed) > 1 {
			fmt.Fprintf(&b, " (%s)", c.Remedy)
		}
	}
	return b.String()
}

// Hint says what to do next.
func (e *PreflightError) Hint() string {
	if len(e.Failed) == 1 && e.Failed[0].Remedy != "" {
		return e.Failed[0].Remedy
	}
	names := make([]string, len(e.Failed))
	for i, c := range e.Failed {
		names[i] = c.Name
	}
	return "correct these; what does not matter to you can be ignored: --ignore-preflight-errors=" + strings.Join(names, ",")
}
