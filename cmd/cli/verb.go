package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// verb describes a command: its texts, arguments and flags, what it needs of the node, and what it does.
type verb struct {
	use, short, long, example string
	group                     string                // groupLifecycle ...; "" below another verb
	args                      cobra.PositionalArgs  // nil: it takes none
	complete                  cobra.CompletionFunc  // of the arguments; nil: the shell offers nothing
	formats                   []string              // of -o, the default first; nil: there is no -o
	flags                     func(*pflag.FlagSet)  // adds the other flags; may be nil
	values                    map[string]completion // of flags whose help does not say what to complete
	shared                    bool                  // the flags are also those of the verbs below
	nodeless                  bool                  // it reads nothing of a node
	run                       func(context.Context, call) error
	verbs                     []verb // below it; without a run there must be some
}

type completion = cobra.CompletionFunc

// call is one use of a verb: its flags are parsed and completed from the environment and the settings file.
type call struct {
	path   string // "kubecrank certs renew"
	args   []string
	flags  *pflag.FlagSet
	format string // of -o, "" without one
}

// command makes the cobra command.
func (v verb) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: v.use, Short: v.short, Long: v.long, Example: v.example, GroupID: v.group,
		Args: v.args, ValidArgsFunction: v.complete, RunE: v.start,
	}
	switch {
	case v.run == nil:
		cmd.Args, cmd.RunE = unknownCommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	case v.args == nil:
		cmd.Args = noArgs
	}
	if v.complete == nil && v.run != nil {
		cmd.ValidArgsFunction = noFiles
	}
	if v.nodeless {
		cmd.Annotations = nodelessVerb()
	}
	flags := cmd.Flags()
	if v.shared {
		flags = cmd.PersistentFlags()
	}
	if v.flags != nil {
		v.flags(flags)
	}
	flags.VisitAll(func(f *pflag.Flag) { mustComplete(cmd, f.Name, v.completionOf(f)) })
	if v.formats != nil {
		addOutput(cmd, flags, v.formats...)
	}
	for _, sub := range v.verbs {
		cmd.AddCommand(sub.command())
	}
	return cmd
}

func (v verb) start(cmd *cobra.Command, args []string) error {
	c := call{path: cmd.CommandPath(), args: args, flags: cmd.Flags()}
	if output := c.flags.Lookup("output"); output != nil {
		c.format = output.Value.String()
	}
	return v.run(cmd.Context(), c)
}

// completionOf says what the shell offers for a flag: files or directories if the help text names them, else nothing.
func (v verb) completionOf(f *pflag.Flag) completion {
	if complete := v.values[f.Name]; complete != nil {
		return complete
	}
	what, text := pflag.UnquoteUsage(f)
	switch {
	case what == "file":
		return anyFile
	case strings.HasPrefix(text, "Directory"):
		return completeDirs
	}
	return noFiles
}
