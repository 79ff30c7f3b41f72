package plan

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/redact"
)

// Print writes a plan for people: the phases with each step and what it comes
// to (changes, of Diff), then the differences, then the content of the files
// that are written, without credentials. The same input gives the same bytes.
func Print(w io.Writer, p Plan, changes []Change) error {
	out := bufio.NewWriter(w) // keeps the first error until Flush
	fmt.Fprintf(out, "%s: %s\n", p.Verb, tally(changes))
	next := changes
	for _, ph := range p.Phases {
		fmt.Fprintf(out, "\n%s: %s\n", ph.Name, ph.Short)
		if len(ph.Steps) == 0 {
			fmt.Fprintln(out, "    nothing to do")
		}
		printPhase(out, ph, next[:len(ph.Steps)])
		next = next[len(ph.Steps):]
	}
	for _, c := range changes {
		if c.Diff != "" {
			fmt.Fprintf(out, "\n%s", c.Diff)
		}
	}
	for _, f := range p.Files() {
		fmt.Fprintf(out, "\n# %s\n%s", f.Path, redact.Text(string(f.Data)))
	}
	return out.Flush()
}

// printPhase prints a phase's steps. Of checks that went well the number is enough.
func printPhase(out io.Writer, ph Phase, changes []Change) {
	fine := 0
	for i, s := range ph.Steps {
		if c, ok := s.(Check); ok && c.Level == OK && c.Text == "" {
			fine++
		} else {
			printChange(out, changes[i])
		}
	}
	if fine > 0 {
		fmt.Fprintf(out, "  = checks that found nothing wrong: %d\n", fine)
	}
}

// tally counts the states: "58 steps: 50 new, 6 unchanged, 2 done every time".
func tally(changes []Change) string {
	counts := make(map[State]int)
	for _, c := range changes {
		counts[c.State]++
	}
	var parts []string
	for _, s := range []struct {
		state State
		text  string
	}{
		{New, "to do"}, {Changed, "to change"}, {Unchanged, "done already"}, {Runs, "done every time"},
		{Left, "left alone"}, {Conflict, "refused"}, {Unknown, "not to be seen by this user"},
	} {
		if n := counts[s.state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s.text))
		}
	}
	unit := "steps"
	if len(changes) == 1 {
		unit = "step"
	}
	return fmt.Sprintf("%d %s: %s", len(changes), unit, strings.Join(parts, ", "))
}

func printChange(out io.Writer, c Change) {
	fmt.Fprintf(out, "  %s %s", mark(c.State), c.Step)
	if c.Detail != "" && !strings.Contains(c.Step, c.Detail) {
		fmt.Fprintf(out, " (%s)", c.Detail)
	}
	fmt.Fprintln(out)
	if c.Hint != "" {
		fmt.Fprintf(out, "      hint: %s\n", c.Hint)
	}
}

func mark(s State) string {
	switch s {
	case New:
		return "+"
	case Changed:
		return "~"
	case Unchanged:
		return "="
	case Conflict:
		return "!"
	case Left:
		return "*"
	case Unknown:
		return "?"
	default:
		return ">"
	}
}

// Document is a plan and what it comes to, to be printed as one JSON object:
// {"verb","node","phases":[{"name","short","after","steps":[{"kind","text","state","detail","diff","step":{...}}]}]}.
// Fields of step depend on its kind. Secrets are not in it.
func Document(p Plan, changes []Change) any {
	type jsonStep struct {
		Change
		Step Step `json:"step"`
	}
	type jsonPhase struct {
		Phase
		Steps []jsonStep `json:"steps"`
	}
	doc := struct {
		Verb   string           `json:"verb"`
		Node   journal.Identity `json:"node"`
		Phases []jsonPhase      `json:"phases"`
	}{Verb: p.Verb, Node: p.Node, Phases: []jsonPhase{}}
	for _, ph := range p.Phases {
		jp := jsonPhase{Phase: ph, Steps: []jsonStep{}}
		for _, s := range ph.Steps {
			c := changes[0]
			c.Phase = ""
			jp.Steps = append(jp.Steps, jsonStep{Change: c, Step: s})
			changes = changes[1:]
		}
		doc.Phases = append(doc.Phases, jp)
	}
	return doc
}
