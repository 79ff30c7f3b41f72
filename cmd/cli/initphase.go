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
before it are done. The phases are, in order:

` + list.String(),
		Example: `  # Make or complete the certificates
  kubecrank init phase certs

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
	all := wholePhase(p.Name)
	cmd := &cobra.Command{
		Use:   p.Name,
		Short: sentence(p.Short),
		Long: sentence(p.Short) + ".\n\n" + needs + ` With --dry-run it prints its own plan, and changes nothing.
What is done already, it leaves as it is.`,
		Example: "  kubecrank init phase " + p.Name + " --dry-run",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && all != "" && args[0] == all {
				return nil
			}
			return noArgs(cmd, args)
		},
		ValidArgsFunction: noFiles,
		RunE:              func(cmd *cobra.Command, _ []string) error { return start(cmd, p.Name) },
	}
	if all != "" {
		cmd.Long += fmt.Sprintf("\n%q may follow, as it has to with kubeadm.", all)
	}
	return cmd
}

// wholePhase is what kubeadm calls the whole of a phase that it has in parts, "" for the others.
func wholePhase(name string) string {
	switch name {
	case "certs", "kubeconfig", "control-plane":
		return "all"
	case "etcd":
		return "local"
	}
	return ""
}

func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
