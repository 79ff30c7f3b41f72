package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubecrank/kubecrank/phases"
)

// startPhase runs a phase of init, by its name or by "phase/part".
type startPhase func(ctx context.Context, c call, phase string) error

// initPhasesVerb has a command for each phase. They have the flags of init,
// because those are persistent: a --dry-run before or after "phase" is the same --dry-run.
func initPhasesVerb(start startPhase) verb {
	var list strings.Builder
	for _, p := range phases.InitPhases() {
		fmt.Fprintf(&list, "  %-20s %s\n", p.Name, p.Short)
	}
	v := verb{
		use:   "phase NAME",
		short: "Run one phase of init alone",
		long: `Run one phase of init alone, with the flags of init. It expects that the phases
before it are done. A part of a phase, such as "certs apiserver", is run in the same way.
The phases are, in order:

` + list.String(),
		example: `  # Make or complete the certificates
  kubecrank init phase certs

  # One of them
  kubecrank init phase certs apiserver

  # The manifests of the control plane, as they would be written
  kubecrank init phase control-plane --dry-run -o yaml`,
		args: oneArg("NAME"),
		run:  func(ctx context.Context, c call) error { return start(ctx, c, c.args[0]) }, // it is none of those below
	}
	for _, p := range phases.InitPhases() {
		v.verbs = append(v.verbs, initPhaseVerb(p, start))
	}
	return v
}

func initPhaseVerb(p phases.PhaseInfo, start startPhase) verb {
	needs := "It needs no other phase."
	if len(p.After) > 0 {
		needs = "It needs what these phases leave: " + strings.Join(p.After, ", ") + ".\nIt does not run them."
	}
	v := verb{
		use:   p.Name,
		short: sentence(p.Short),
		long: sentence(p.Short) + ".\n\n" + needs + ` With --dry-run it prints its own plan, and changes nothing.
What is done already, it leaves as it is.`,
		example: "  kubecrank init phase " + p.Name + " --dry-run",
		run:     func(ctx context.Context, c call) error { return start(ctx, c, p.Name) },
	}
	if len(p.Parts) > 0 {
		v.takeParts(p, start)
	}
	return v
}

// takeParts lets a phase's command take the name of one of its parts, or, as it has to with kubeadm, "all".
func (v *verb) takeParts(p phases.PhaseInfo, start startPhase) {
	list := &strings.Builder{}
	var words []cobra.Completion
	add := func(name, short string, reads []string) {
		words = append(words, cobra.CompletionWithDesc(name, short))
		fmt.Fprintf(list, "\n  %-24s %s", name, short)
		if len(reads) > 0 {
			fmt.Fprintf(list, "\n  %24s needs %s", "", strings.Join(reads, ", "))
		}
	}
	if len(p.Parts) > 1 {
		add(wholePhase, "all of these", nil)
	}
	for _, part := range p.Parts {
		add(part.Name, part.Short, part.Reads)
	}
	v.use += " [PART]"
	v.long += "\n\nIt can be run in parts:\n" + list.String()
	v.example += "\n  kubecrank init phase " + p.Name + " " + p.Parts[0].Name + " --dry-run"
	v.complete = firstArg(words...)
	v.args = atMostOneArg("PART")
	v.run = func(ctx context.Context, c call) error {
		if len(c.args) == 0 || c.args[0] == wholePhase && len(p.Parts) > 1 {
			return start(ctx, c, p.Name)
		}
		return start(ctx, c, p.Name+"/"+c.args[0])
	}
}

// wholePhase is what kubeadm calls all parts of a phase.
const wholePhase = "all"

func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
