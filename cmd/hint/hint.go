// Package hint adds remedies to errors. An error says what went wrong; its hint says what to do, on a line of its own.
package hint

import "slices"

// hinted adds a remedy to an error.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }
func (e *hinted) Hint() string  { return e.hint }

// With adds a remedy to an error; an empty one changes nothing.
func With(err error, remedy string) error {
	if err == nil || remedy == "" {
		return err
	}
	return &hinted{error: err, hint: remedy}
}

// Of collects the remedies of an error and of all errors that it wraps, the innermost first: the user mends the cause,
// then runs the verb again.
func Of(err error) []string {
	var all []string
	add := func(e error) {
		if h, ok := e.(interface{ Hint() string }); ok && h.Hint() != "" && !slices.Contains(all, h.Hint()) {
			all = append(all, h.Hint())
		}
	}
	for queue := []error{err}; len(queue) > 0; queue = queue[1:] {
		e := queue[0]
		add(e)
		switch wrapper := e.(type) { //nolint:errorlint // it walks the chain itself
		case interface{ Unwrap() error }:
			if inner := wrapper.Unwrap(); inner != nil {
				queue = append(queue, inner)
			}
		case interface{ Unwrap() []error }:
			queue = append(queue, wrapper.Unwrap()...)
		}
	}
	slices.Reverse(all)
	return all
}
