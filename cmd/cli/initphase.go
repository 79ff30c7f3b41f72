package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubecrank/kubecrank/phases"
)

// newInitPhases has a command for each phase. They have the flags of init,
// because those are persistent: a --dry-run before or after "phase" is the same --dry-run.
func newInitPhases(start func(cmd *cobra.Command, phase string) error) *cobra.Command {
	var list strings.Builder
	for _, p := range phases.InitPhases() {
		fmt.Fprintf(&list, "  %-20s %s\n", p.Name, p.Short)
	}
	cmd := &cobra.Command{
		Use:   "phase NAME",
		Short: "Run one phase of init alone",
		Long: `Run one phase of init alone, with the flags of init. It expects that the phases
before it are done. A part of a phase, such as "certs apiserver", is run in the same way.
The phases are, in order:

` + list.String(),
		Example: `  # Make or complete the certificates
  kubecrank init phase certs

  # One of them
  kubecrank init phase certs apiserver

  # The manifests of the control plane, as they would be written
  kubecrank init phase control-plane --dry-run -o yaml`,
		Args: oneArg("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return start(cmd, args[0]) }, // it is none of those below
	}
	for _, p := range phases.InitPhases() {
		cmd.AddCommand(newInitPhase(p, start))
	}
	return cmd
}

func newInitPhase(p phases.PhaseInfo, start func(cmd *cobra.Command, phase string) error) *cobra.Command {
	needs := "It needs no other phase."
	if len(p.After) > 0 {
		needs = "It needs what these phases leave: " + strings.Join(p.After, ", ") + ".\nIt does not run them."
	}
	cmd := &cobra.Command{
		Use:   p.Name,
		Short: sentence(p.Short),
		Long: sentence(p.Short) + ".\n\n" + needs + ` With --dry-run it prints its own plan, and changes nothing.
What is done already, it leaves as it is.`,
		Example:           "  kubecrank init phase " + p.Name + " --dry-run",
		Args:              noArgs,
		ValidArgsFunction: noFiles,
		RunE:              func(cmd *cobra.Command, _ []string) error { return start(cmd, p.Name) },
	}
	if len(p.Parts) > 0 {
		takeParts(cmd, p, start)
	}
	return cmd
}

// takeParts lets a phase's command take the name of one of its parts, or, as it has to with kubeadm, "all".
func takeParts(cmd *cobra.Command, p phases.PhaseInfo, start func(cmd *cobra.Command, phase string) error) {
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
	cmd.Use += " [PART]"
	cmd.Long += "\n\nIt can be run in parts:\n" + list.String()
	cmd.Example += "\n  kubecrank init phase " + p.Name + " " + p.Parts[0].Name + " --dry-run"
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 1:
			return oneArg("PART")(cmd, args)
		case len(args) == 0, args[0] == wholePhase && len(p.Parts) > 1:
			return start(cmd, p.Name)
		}
		return start(cmd, p.Name+"/"+args[0])
	}
}

// wholePhase is what kubeadm calls all parts of a phase.
const wholePhase = "all"

func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
