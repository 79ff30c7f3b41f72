package plan

import (
	"fmt"
	"strings"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// ConflictAt is one thing that stands in the way.
type ConflictAt struct {
	Path    string // or the step's description, when it has no path
	Why     string
	Diff    string // unified, "" for secrets
	Hint    string
	Refusal Refusal
}

// RefusedError is a plan that would overwrite what is not ours, or set up a
// node again in another way (exit code 5).
type RefusedError struct {
	Verb      string
	Conflicts []ConflictAt
	// Differences are from the configuration that the node was set up with.
	Differences []config.Difference
}

// OtherConfig says whether the node was set up, to the end, with another configuration.
func (e *RefusedError) OtherConfig() bool {
	if len(e.Differences) > 0 {
		return true
	}
	for _, c := range e.Conflicts {
		if c.Refusal == OtherConfig {
			return true
		}
	}
	return false
}

func (e *RefusedError) Error() string {
	var b strings.Builder
	if e.OtherConfig() {
		fmt.Fprintf(&b, "cannot %s: this node was set up with a different configuration", e.Verb)
	} else {
		fmt.Fprintf(&b, "cannot %s: it would replace or use what kubecrank did not write", e.Verb)
	}
	for _, d := range e.Differences {
		fmt.Fprintf(&b, "\n  %s", d)
	}
	for _, c := range e.Conflicts {
		fmt.Fprintf(&b, "\n  %s: %s", c.Path, c.Why)
		writeChanges(&b, c.Diff)
	}
	return b.String()
}

// mostLines is how many changed lines of one file an error shows; --dry-run shows all.
const mostLines = 12

// writeChanges writes the lines of a unified diff that differ.
func writeChanges(b *strings.Builder, diff string) {
	n := 0
	for line := range strings.Lines(diff) {
		header := strings.HasPrefix(line, "---") || strings.HasPrefix(line, "+++")
		if header || line[0] != '-' && line[0] != '+' {
			continue
		}
		if n++; n <= mostLines {
			b.WriteString("\n    " + strings.TrimRight(line, "\n"))
		}
	}
	if n > mostLines {
		fmt.Fprintf(b, "\n    ... and %d more lines (--dry-run shows them)", n-mostLines)
	}
}

// OtherNeedsReset is for hints to those who want another configuration.
const OtherNeedsReset = "another configuration takes 'kubecrank reset' first, and all data of the cluster is lost with it"

// Hint says what to do next.
func (e *RefusedError) Hint() string {
	switch {
	case len(e.Differences) > 0:
		return "leave out what differs: what is not given is as it was ('kubecrank config show' prints it); " + OtherNeedsReset
	case e.OtherConfig():
		return "give the flags and the configuration it was set up with; " + OtherNeedsReset
	}
	for _, c := range e.Conflicts {
		if c.Hint != "" {
			return c.Hint
		}
	}
	return "move these files away, and run it again"
}
