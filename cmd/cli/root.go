// Package cli is the command line: one file per verb. A verb is a descriptor
// (verb.go) and a function that runs on plain values.
//
//	args, KUBECRANK_*, settings file --cobra, viper--> flags --> config.Config
//	                                                               |
//	     stdout <-- result (text, JSON, YAML)                      v
//	     stderr <-- progress, errors with hints  <--  phases.Init(...) -> plan -> Print or Apply
//
// Nothing here knows how a step is done, and nothing below knows about flags,
// terminals or exit codes. exit.go maps errors to exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubecrank/kubecrank/cmd/expiry"
	"github.com/kubecrank/kubecrank/cmd/hint"
)

// Main runs one command line and returns how the program is to end.
func Main(ctx context.Context, args []string, stdio Stdio) ExitCode {
	root := NewRoot(stdio)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if isFlagError(err) { // cobra does not call the FlagErrorFunc for a flag before the verb
		err = flagError(cmd, err)
	}
	if err != nil {
		printError(stdio.Err, err)
		if wantsJSON(cmd, args, stdio) {
			watch, _ := cmd.Flags().GetBool("watch") // no such flag: false
			if werr := printFailure(stdio.Out, err, watch); werr != nil {
				printError(stdio.Err, fmt.Errorf("cannot write the error as JSON: %w", werr))
			}
		}
	}
	return exitCode(err)
}

// app is what the verbs share: the streams and the flags that every command has.
type app struct {
	stdio    Stdio
	global   globalFlags
	expiries expiry.Cache
	fresh    bool // at the gate the root was missing, and other users could make it
}

// globalFlags are the flags of every command.
type globalFlags struct {
	root          string // absolute after loading, or ""
	settings      string
	componentsDir string
	trustOwners   []uint // UIDs that are believed like root
	portOffset    int
	quiet         bool
	verbosity     int
}

// NewRoot builds the command tree. It is exported for the generator of the reference documentation.
func NewRoot(stdio Stdio) *cobra.Command {
	a := &app{stdio: stdio}
	root := verb{
		use:   "kubecrank",
		short: "Bring up a Kubernetes control plane on a bare machine",
		long: `kubecrank brings up a Kubernetes control plane on a bare machine: no kubelet, no
container engine, no registry is needed. It renders etcd, kube-apiserver,
kube-controller-manager and kube-scheduler as static pods, as kubeadm does, and
keeps them running under its own supervisor.

Each flag can also be given as an environment variable (--node-name is
KUBECRANK_NODE_NAME) or in a settings file (see --settings). A flag on the
command line wins over the environment, which wins over the file.`,
		example: `  # See what would be done to this machine; writes nothing, needs no root rights
  kubecrank init --dry-run

  # Bring up a control plane
  kubecrank init

  # A throw-away control plane in a directory, without root rights
  kubecrank init --root /tmp/demo --apiserver-advertise-address 127.0.0.1
  kubecrank --root /tmp/demo kubectl get namespaces
  kubecrank reset --root /tmp/demo --force`,
		shared: true,
		flags:  a.global.add,
		values: map[string]completion{
			"settings": func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
				return []cobra.Completion{"yaml", "yml", "json", "toml"}, cobra.ShellCompDirectiveFilterFileExt
			},
		},
		nodeless: true,
	}.command()
	root.SilenceErrors, root.SilenceUsage = true, true
	root.TraverseChildren = true // flags before the verb belong to us, also with kubectl
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return a.load(cmd) }
	root.SetIn(stdio.In)
	root.SetOut(stdio.Out)
	root.SetErr(stdio.Err)
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(
		&cobra.Group{ID: groupLifecycle, Title: "Bring up and take down:"},
		&cobra.Group{ID: groupOperate, Title: "Look at and work with what runs:"},
		&cobra.Group{ID: groupOther, Title: "Other commands:"},
	)
	root.SetHelpCommandGroupID(groupOther)
	root.SetCompletionCommandGroupID(groupOther)
	for _, v := range []verb{
		certsVerb(a), configVerb(a), initVerb(a), kubeconfigVerb(a), logsVerb(a), resetVerb(a), statusVerb(a), superviseVerb(a),
		timelineVerb(a), versionVerb(a),
	} {
		root.AddCommand(v.command())
	}
	root.AddCommand(newKubectl(a))
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args = unknownCommand
		for _, cmd := range append(completion.Commands(), completion) {
			cmd.Annotations = nodelessVerb()
		}
		completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	mergeFlags(root)
	return root
}

// The groups of commands in the help text.
const (
	groupLifecycle = "lifecycle"
	groupOperate   = "operate"
	groupOther     = "other"
)

func (g *globalFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&g.root, "root", "",
		"Directory below which everything lies, instead of the host's own paths. Needs no root rights.")
	flags.StringVar(&g.settings, "settings", "",
		"Settings `file` (yaml, json or toml) with flag names as keys. Default: "+defaultSettings+", below --root, if it exists.")
	flags.StringVar(&g.componentsDir, "components-dir", "",
		"Directory with the component binaries, instead of those inside this program.")
	flags.UintSliceVar(&g.trustOwners, trustOwner, nil,
		"`UID` of a user whose directories are believed like root's and your own; for containers with odd owners. "+
			"No settings file can set it.")
	flags.IntVar(&g.portOffset, "port-offset", 0,
		"Number added to every port, so that several control planes run on one machine.")
	flags.BoolVarP(&g.quiet, "quiet", "q", false,
		"No progress on stderr; results and errors are still printed.")
	flags.CountVarP(&g.verbosity, "verbose", "v", "Also show the single steps.")
}

// load completes the flags of cmd, makes their paths absolute, and refuses a node that other users can have written.
func (a *app) load(cmd *cobra.Command) error {
	if cmd.Name() == cobra.ShellCompRequestCmd || cmd.Name() == cobra.ShellCompNoDescRequestCmd {
		return nil // a completion that needs the flags calls load for its own command
	}
	if err := a.loadSettings(cmd); err != nil {
		return err
	}
	for _, dir := range []*string{&a.global.root, &a.global.componentsDir} {
		if *dir == "" {
			continue
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return fmt.Errorf("cannot resolve %s: %w", *dir, err)
		}
		*dir = abs
	}
	if a.global.root == "/" {
		a.global.root = ""
	}
	if isNodeless(cmd) {
		return nil
	}
	return a.gate()
}

// mergeFlags gives every command its parents' flags before cobra reads the arguments. Without them cobra would take the
// verb in "kubecrank -q init" for the value of -q.
func mergeFlags(cmd *cobra.Command) {
	cmd.InheritedFlags()
	for _, sub := range cmd.Commands() {
		mergeFlags(sub)
	}
}

// unknownCommand is the argument check of a command that only has subcommands.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	err := usage("unknown command %q for %q", args[0], cmd.CommandPath())
	if remedy := didYouMean(args[0], names, ""); remedy != "" {
		return hint.With(err, remedy)
	}
	return hint.With(err, fmt.Sprintf("%s --help lists the commands", cmd.CommandPath()))
}

// isFlagError is true for an error of pflag that flagError has not seen yet.
func isFlagError(err error) bool {
	switch err.(type) { //nolint:errorlint // flagError wraps what it has seen
	case *pflag.NotExistError, *pflag.ValueRequiredError, *pflag.InvalidValueError, *pflag.InvalidSyntaxError:
		return true
	}
	return false
}

// flagError turns an error of pflag into a usage error. For an unknown flag the hint names the nearest flag.
func flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		f := invalid.GetFlag()
		return hint.With(usage("cannot use --%s %s: %w", f.Name, invalid.GetValue(), flagProblem(err)), helpHint(cmd))
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return &usageError{err: hint.With(err, helpHint(cmd))}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	remedy := didYouMean(unknown.GetSpecifiedName(), names, "--")
	if remedy == "" {
		remedy = helpHint(cmd)
	}
	text := strings.Replace(err.Error(), "flag: ", "flag ", 1)
	return hint.With(usage("%s for %q", text, cmd.CommandPath()), remedy)
}

func helpHint(cmd *cobra.Command) string { return cmd.CommandPath() + " --help lists the flags" }

// noArgs refuses arguments, as a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return hint.With(usage("%q takes no arguments, got %q", cmd.CommandPath(), strings.Join(args, " ")), helpHint(cmd))
}

// oneArg demands exactly one argument, as a usage error that names it.
func oneArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return hint.With(usage("%q needs a %s", cmd.CommandPath(), name), "like this: "+cmd.UseLine())
		case len(args) > 1:
			return hint.With(usage("%q takes one %s, got %q", cmd.CommandPath(), name, strings.Join(args, " ")), helpHint(cmd))
		}
		return nil
	}
}

// atMostOneArg allows one argument.
func atMostOneArg(name string) cobra.PositionalArgs {
	one := oneArg(name)
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return one(cmd, args)
	}
}
