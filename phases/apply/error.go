package apply

import (
	"fmt"
)

// StepError is a step that failed. Its Unwrap leads to the cause, and to the cause's Hint.
type StepError struct {
	Phase string
	Step  string // Describe
	Err   error
}

func (e *StepError) Error() string {
	if e.Step == "" {
		return fmt.Sprintf("phase %s: %v", e.Phase, e.Err)
	}
	return fmt.Sprintf("phase %s: %s: %v", e.Phase, e.Step, e.Err)
}

func (e *StepError) Unwrap() error { return e.Err }
