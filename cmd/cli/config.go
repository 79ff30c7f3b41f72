package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/runtime/flagcheck"
)

func newConfig(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:         "config",
		Short:       "Print, check and rewrite configuration files",
		GroupID:     groupOther,
		Annotations: nodelessVerb(),
		Args:        unknownCommand,
		RunE:        func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigDefaults(a), newConfigValidate(a), newConfigMigrate(a), newConfigShow(a))
	return cmd
}

func newConfigDefaults(a *app) *cobra.Command {
	return &cobra.Command{
		Use:         "defaults [" + strings.Join(config.Verbs(), "|") + "]",
		Short:       "Print a commented configuration file with the defaults",
		Annotations: nodelessVerb(),
		Long: `Print a commented configuration file for a verb, init if none is given, with the
default of every field that has one and an example of every other.`,
		Example: `  kubecrank config defaults > kubeadm.yaml
  kubecrank config defaults join`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneArg("verb")(cmd, args)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return config.Verbs(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			verb := "init"
			if len(args) > 0 {
				verb = args[0]
			}
			text, err := config.Defaults(verb)
			if err != nil {
				return withHint(&usageError{err: err}, didYouMean(verb, config.Verbs(), ""))
			}
			_, err = a.stdio.Out.Write(text)
			return err
		},
	}
}

func newConfigValidate(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Find all errors of a configuration file",
		Long: `Find all errors of a configuration file at once: of form, of single values, of what
does not fit together, patches that do not apply, manifests that could not be static
pods of host processes, and extraArgs that the components do not take: flags that they
do not have, and values of the wrong type. The flags are known of the version inside
this program; for another one it is a warning that they were not checked. No program
is started, and the machine is not looked at; what it makes of the file,
"kubecrank init --config FILE --dry-run" says.

The exit code is 2 when there is an error. What could not be checked is a warning.`,
		Example: `  kubecrank config validate --config kubeadm.yaml
  kubecrank config validate --config kubeadm.yaml -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneArg("FILE")(cmd, args)
		},
	}
	output := addOutput(cmd, cmd.Flags(), "text", "json", "yaml")
	cmd.Flags().StringVar(&file, "config", "", "The `file`; - for standard input.")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 0 && file != "":
			return withHint(usage("%q got two files, %s and %s", cmd.CommandPath(), file, args[0]), "give one of them")
		case len(args) > 0:
			file = args[0]
		case file == "":
			return withHint(usage("%q needs --config", cmd.CommandPath()), "like this: "+cmd.CommandPath()+" --config kubeadm.yaml")
		}
		d, errs, err := a.readDocuments(cmd.Flags(), file)
		if err != nil {
			return err
		}
		known, err := knownFlags()
		if err != nil {
			return err
		}
		found, warnings := a.problemsOf(d, known)
		a.warn(d.Name, warnings)
		return a.printProblems(append(errs, found...), append(slices.Clone(d.Warnings), warnings...), output.value)
	}
	return cmd
}

// problemsOf is what is wrong with the file for each verb that it has a document of.
func (a *app) problemsOf(d *config.Documents, known flagcheck.Set) (all []error, warnings []string) {
	global := a.global
	verbs := map[string]bool{"join": d.Join != nil, "reset": d.Reset != nil, "upgrade": d.Upgrade != nil}
	verbs["init"] = d.Init != nil || d.Cluster != nil || !verbs["join"] && !verbs["reset"] && !verbs["upgrade"]
	seen := map[string]bool{} // several verbs share a document
	for _, verb := range config.Verbs() {
		if !verbs[verb] {
			continue
		}
		base := config.Default(global.root)
		base.PortOffset = global.portOffset
		cfg, errs := d.Apply(verb, base)
		told := len(errs)
		cfg = cfg.Complete(anyHost(cfg))
		errs = append(errs, d.Locate(verb, cfg.Validate())...)
		if told == 0 && len(errs) == 0 && verb == "init" {
			errs = patchProblems(cfg)
		}
		if verb == "init" {
			var refused []error
			refused, warnings = argProblems(cfg, known, errs)
			errs = append(errs, d.Locate(verb, refused)...)
		}
		for _, err := range errs {
			if !seen[err.Error()] {
				seen[err.Error()] = true
				all = append(all, err)
			}
		}
	}
	return all, warnings
}

// anyHost stands for a machine on which the configuration may be used: one with an address of the cluster's family.
func anyHost(cfg config.Config) config.HostFacts {
	h := config.HostFacts{Hostname: "node", DefaultAddress: netip.MustParseAddr("192.0.2.1")}
	if s := cfg.Networking.ServiceSubnets; len(s) > 0 && s[0].Addr().Is6() {
		h.DefaultAddress = netip.MustParseAddr("2001:db8::1")
	}
	return h
}

// patchProblems applies the patches to what is rendered, and asks whether the pods can be static pods of the process runtime.
func patchProblems(cfg config.Config) []error {
	patches, err := facts.ReadPatches(cfg.Patches)
	if err != nil {
		return []error{err}
	}
	files, err := manifests.Render(cfg, manifests.Host{})
	if err != nil {
		return []error{err}
	}
	files, _, errs := manifests.ApplyPatches(files, patches)
	if len(errs) > 0 {
		return errs
	}
	return phases.RefusedManifests(files, podChecker{})
}

// problem is one error of config validate -o json.
type problem struct {
	Source  string `json:"source,omitempty"` // "kubeadm.yaml:12"
	Field   string `json:"field,omitempty"`
	Problem string `json:"problem"`
	Remedy  string `json:"remedy,omitempty"`
}

// printProblems prints "ok", as kubeadm does, or all errors.
func (a *app) printProblems(errs []error, warnings []string, format string) error {
	if format == "text" {
		if len(errs) > 0 {
			return &usageError{err: errors.Join(errs...)}
		}
		fmt.Fprintln(a.stdio.Out, "ok")
		return nil
	}
	result := struct {
		Valid    bool      `json:"valid"`
		Problems []problem `json:"problems"`
		Warnings []string  `json:"warnings"`
	}{len(errs) == 0, []problem{}, append([]string{}, warnings...)}
	for _, err := range errs {
		p := problem{Problem: err.Error(), Remedy: strings.Join(hints(err), " ")}
		if field := (*config.FieldError)(nil); errors.As(err, &field) {
			p.Source, p.Field, p.Problem = field.Source, field.Field, field.Problem
		}
		result.Problems = append(result.Problems, p)
	}
	write := writeJSON
	if format == "yaml" {
		write = writeYAML
	}
	if err := write(a.stdio.Out, result); err != nil {
		return err
	}
	if len(errs) > 0 {
		return &exitError{code: ExitUsage}
	}
	return nil
}

func newConfigMigrate(a *app) *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Rewrite a configuration file for the present API version",
		Long: `Rewrite a configuration file so that all of its documents are of the present API
version, kubeadm.k8s.io/v1beta4. A document that is already keeps its text,
comments and all; one that is rewritten loses its comments. Nothing is defaulted.`,
		Example: `  kubecrank config migrate --old-config old.yaml --new-config new.yaml
  kubecrank config migrate --old-config old.yaml | diff old.yaml -`,
		Args:              noArgs,
		ValidArgsFunction: noFiles,
	}
	cmd.Flags().StringVar(&from, "old-config", "", "The `file` to read; - for standard input.")
	cmd.Flags().StringVar(&to, "new-config", "", "The `file` to write. Default: standard output.")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if from == "" {
			return withHint(usage("%q needs --old-config", cmd.CommandPath()), "like this: "+cmd.CommandPath()+" --old-config old.yaml")
		}
		return a.runConfigMigrate(from, to)
	}
	return cmd
}

func (a *app) runConfigMigrate(from, to string) error {
	old, err := a.readConfigFile("old-config", from)
	if err != nil {
		return err
	}
	text, errs := config.Migrate(fileName(from), old)
	if len(errs) > 0 {
		return &usageError{err: errors.Join(errs...)}
	}
	if to == "" {
		_, err = a.stdio.Out.Write(text)
		return err
	}
	if to, err = filepath.Abs(to); err != nil {
		return fmt.Errorf("cannot write --new-config: %w", err)
	}
	return durable.WriteFile(to, text, 0o600) // it may hold tokens
}
