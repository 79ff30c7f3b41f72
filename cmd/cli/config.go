package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/cmd/precheck"
	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/runtime/flagcheck"
)

func configVerb(a *app) verb {
	return verb{
		use:      "config",
		short:    "Print, check and rewrite configuration files",
		group:    groupOther,
		nodeless: true,
		verbs:    []verb{configDefaultsVerb(a), configValidateVerb(a), configMigrateVerb(a), configShowVerb(a)},
	}
}

func configDefaultsVerb(a *app) verb {
	return verb{
		use:   "defaults [" + strings.Join(config.Verbs(), "|") + "]",
		short: "Print a commented configuration file with the defaults",
		long: `Print a commented configuration file for a verb, init if none is given, with the
default of every field that has one and an example of every other.`,
		example: `  kubecrank config defaults > kubeadm.yaml
  kubecrank config defaults join`,
		args:     atMostOneArg("verb"),
		complete: firstArg(config.Verbs()...),
		nodeless: true,
		run: func(_ context.Context, c call) error {
			verb := "init"
			if len(c.args) > 0 {
				verb = c.args[0]
			}
			text, err := config.Defaults(verb)
			if err != nil {
				return hint.With(&usageError{err: err}, didYouMean(verb, config.Verbs(), ""))
			}
			_, err = a.stdio.Out.Write(text)
			return err
		},
	}
}

func configValidateVerb(a *app) verb {
	var file string
	return verb{
		use:   "validate [FILE]",
		short: "Find all errors of a configuration file",
		long: `Find all errors of a configuration file at once: of form, of single values, of what
does not fit together, patches that do not apply, manifests that could not be static
pods of host processes, and extraArgs that the components do not take: flags that they
do not have, and values of the wrong type. The flags are known of the version inside
this program; for another one it is a warning that they were not checked. No program
is started, and the machine is not looked at; what it makes of the file,
"kubecrank init --config FILE --dry-run" says.

The exit code is 2 when there is an error. What could not be checked is a warning.`,
		example: `  kubecrank config validate --config kubeadm.yaml
  kubecrank config validate --config kubeadm.yaml -o json`,
		args:     atMostOneArg("FILE"),
		complete: anyFile,
		formats:  []string{"text", "json", "yaml"},
		flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&file, "config", "", "The `file`; - for standard input.")
		},
		run: func(_ context.Context, c call) error {
			switch {
			case len(c.args) > 0 && file != "":
				return hint.With(usage("%q got two files, %s and %s", c.path, file, c.args[0]), "give one of them")
			case len(c.args) > 0:
				file = c.args[0]
			case file == "":
				return hint.With(usage("%q needs --config", c.path), "like this: "+c.path+" --config kubeadm.yaml")
			}
			return a.runConfigValidate(c.flags, file, c.format)
		},
	}
}

func (a *app) runConfigValidate(set *pflag.FlagSet, file, format string) error {
	d, errs, err := a.readDocuments(set, file)
	if err != nil {
		return err
	}
	known, err := knownFlags()
	if err != nil {
		return err
	}
	found, warnings := a.problemsOf(d, known)
	a.warn(d.Name, warnings)
	return a.printProblems(append(errs, found...), append(slices.Clone(d.Warnings), warnings...), format)
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
			refused, warnings = precheck.Args(cfg, known, errs)
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
	return phases.RefusedManifests(files, precheck.Pods{})
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
		p := problem{Problem: err.Error(), Remedy: strings.Join(hint.Of(err), " ")}
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

func configMigrateVerb(a *app) verb {
	var from, to string
	return verb{
		use:   "migrate",
		short: "Rewrite a configuration file for the present API version",
		long: `Rewrite a configuration file so that all of its documents are of the present API
version, kubeadm.k8s.io/v1beta4. A document that is already keeps its text,
comments and all; one that is rewritten loses its comments. Nothing is defaulted.`,
		example: `  kubecrank config migrate --old-config old.yaml --new-config new.yaml
  kubecrank config migrate --old-config old.yaml | diff old.yaml -`,
		flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&from, "old-config", "", "The `file` to read; - for standard input.")
			flags.StringVar(&to, "new-config", "", "The `file` to write. Default: standard output.")
		},
		run: func(_ context.Context, c call) error {
			if from == "" {
				return hint.With(usage("%q needs --old-config", c.path), "like this: "+c.path+" --old-config old.yaml")
			}
			return a.runConfigMigrate(from, to)
		},
	}
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
