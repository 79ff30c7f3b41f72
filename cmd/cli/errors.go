package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kubecrank/kubecrank/cmd/hint"
)

// usageError is a wrong use of the command line, or wrong settings.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usage makes a usageError.
func usage(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// printError writes what went wrong, and what to do about it, without
// credentials and control characters. Several errors at once, as validation and
// preflight find them, are all listed.
//
//	kubecrank: cannot write /etc/kubernetes/manifests/etcd.yaml: no space left on device
//	hint: free some space below /etc, then run kubecrank init again: it continues
func printError(w io.Writer, err error) {
	if quiet := (*exitError)(nil); errors.As(err, &quiet) {
		return // the result said it already
	}
	var text strings.Builder
	writeProblems(&text, flatten(err))
	fmt.Fprint(w, forPeople(text.String()))
}

func writeProblems(w io.Writer, problems []error) {
	if len(problems) == 1 {
		fmt.Fprintf(w, "kubecrank: %s\n", indented(problems[0].Error(), ""))
		for _, hint := range hint.Of(problems[0]) {
			fmt.Fprintf(w, "hint: %s\n", indented(hint, "      "))
		}
		return
	}
	fmt.Fprintf(w, "kubecrank: %d problems\n", len(problems))
	for _, p := range problems {
		fmt.Fprintf(w, "  - %s\n", indented(p.Error(), "    "))
		for _, hint := range hint.Of(p) {
			fmt.Fprintf(w, "    hint: %s\n", indented(hint, "          "))
		}
	}
}

// indented puts a prefix before each line but the first.
func indented(text, prefix string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+prefix)
}

// flatten returns the errors that were joined into err, at whatever depth, in order.
func flatten(err error) []error {
	for e := err; e != nil; e = errors.Unwrap(e) {
		joined, ok := e.(interface{ Unwrap() []error })
		if !ok {
			continue
		}
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, flatten(one)...)
		}
		// fmt.Errorf with two %w looks like a join, but has a text of its own.
		if len(all) > 0 && err.Error() == joinedText(joined.Unwrap()) {
			return all
		}
		return []error{err}
	}
	return []error{err}
}

func joinedText(errs []error) string {
	texts := make([]string, len(errs))
	for i, e := range errs {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "\n")
}
