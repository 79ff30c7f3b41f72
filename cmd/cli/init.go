package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases"
	"github.com/kubecrank/kubecrank/phases/apply"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
)

// initOptions is what init runs on, next to its configuration.
type initOptions struct {
	dryRun bool
	format string
	phase  string // only this one; "" for all
}

func initVerb(a *app) verb {
	var (
		flags configFlags
		opts  initOptions
	)
	start := func(ctx context.Context, c call, phase string) error {
		opts.format, opts.phase = c.format, phase
		in, err := a.initInput(c.flags, &flags)
		if err != nil {
			return err
		}
		if d := in.documents; d != nil && d.Init != nil {
			opts.dryRun = opts.dryRun || d.Init.DryRun
		}
		return a.untilInterrupted(ctx, journal.VerbInit, func(ctx context.Context) error { return a.runInit(ctx, in, opts) })
	}
	return verb{
		use:   "init",
		short: "Bring up a control plane on this machine",
		group: groupLifecycle,
		long: `Bring up a control plane on this machine: make the certificates, kubeconfigs and
static pod manifests as kubeadm does, start the supervisor that runs them, and wait
until etcd, kube-apiserver, kube-controller-manager and kube-scheduler are healthy.

Run again on a healthy node it changes nothing. Run again after it failed or was
killed, it continues. "kubecrank reset" undoes what it did.`,
		example: `  # What would be done, without doing it: any user, nothing is written
  kubecrank init --dry-run

  # The manifests alone, for kubectl, a linter or git
  kubecrank init --dry-run -o yaml

  # As a kubeadm file says; "kubecrank config defaults init" prints one to begin with
  kubecrank init --config kubeadm.yaml

  # A control plane with the host's own paths (as root)
  kubecrank init --pod-network-cidr 10.244.0.0/16

  # Throw-away, in a directory, side by side with another one
  kubecrank init --root /tmp/demo --port-offset 100 --apiserver-advertise-address 127.0.0.1`,
		formats: []string{"text", "yaml", "json"},
		shared:  true,
		flags: func(set *pflag.FlagSet) {
			flags.add(set)
			set.BoolVar(&opts.dryRun, "dry-run", false,
				"Print the plan, its difference to this machine and the manifests, and change nothing. Credentials are "+
					"hidden, but for -o yaml, which is the manifests as they are.")
		},
		values: map[string]completion{
			"kubernetes-version": completeWords(config.DefaultKubernetesVersion),
			"runtime":            completeWords(config.RuntimeProcess),
			"skip-phases":        completePhases,
		},
		run:   func(ctx context.Context, c call) error { return start(ctx, c, "") },
		verbs: []verb{initPhasesVerb(start)},
	}
}

func completePhases(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for _, p := range phases.InitPhases() {
		names = append(names, cobra.CompletionWithDesc(p.Name, p.Short))
		for _, part := range p.Parts {
			names = append(names, cobra.CompletionWithDesc(p.Name+"/"+part.Name, part.Short))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) runInit(ctx context.Context, in input, opts initOptions) error {
	run := &run{app: a, verb: journal.VerbInit, cfg: in.cfg, documents: in.documents, began: time.Now(),
		probeTimeout: opts.probeTimeout(in.cfg)}
	if err := run.prepareInit(ctx, in.err, opts.phase); err != nil {
		return err
	}
	if opts.dryRun {
		return run.dryRun(opts.format)
	}
	if err := run.checkVersion(ctx, opts.phase); err != nil {
		return err
	}
	result, err := run.apply(ctx)
	var failed *plan.PreflightError
	switch {
	case errors.As(err, &failed) && opts.format == "json":
		return &resultError{err, run.summary(result, false)}
	case errors.As(err, &failed) && opts.format == "yaml":
		return errors.Join(err, a.printInit(run, result, opts.phase, opts.format, false))
	case err != nil:
		return err
	}
	return a.printInit(run, result, opts.phase, opts.format, opts.phase == "")
}

// probeTimeout bounds the measurements of the machine (fsync latency, clock). It is 0 if no check needs them.
func (o initOptions) probeTimeout(cfg config.Config) time.Duration {
	switch {
	case o.dryRun || o.phase == "" && slices.Contains(cfg.SkipPhases, preflightPhase):
		return 0
	case o.phase == "":
		return facts.Quick
	case o.phase == preflightPhase:
		return facts.Thorough
	}
	return 0
}

const preflightPhase = "preflight"

// printInit prints the result of init, and what to type next.
func (a *app) printInit(r *run, result apply.Result, phase, format string, ready bool) error {
	summary := r.summary(result, ready)
	switch format {
	case "json":
		return writeJSON(a.stdio.Out, summary)
	case "yaml":
		return writeYAML(a.stdio.Out, summary)
	}
	w := a.stdio.Out
	took := seconds(time.Since(r.began))
	switch {
	case phase != "":
		printChecks(w, summary.Checks)
		fmt.Fprintf(w, "Phase %s is done (%s).\n", phase, took)
	case result.Changed == 0:
		fmt.Fprintf(w, "The control plane is set up and healthy already; nothing was changed (%s).\n", took)
	default:
		fmt.Fprintf(w, "Control plane ready in %s.\n", took)
	}
	if len(result.Notes) > 0 {
		fmt.Fprintf(w, "\n%s\n", strings.Join(result.Notes, "\n"))
	}
	return nil
}

// summary is the result of init for programs.
func (r *run) summary(result apply.Result, ready bool) initSummary {
	return initSummary{
		Ready:      ready,
		Changed:    result.Changed,
		Seconds:    inSeconds(time.Since(r.began)),
		Phases:     append([]phaseTime{}, r.phases...),
		Kubeconfig: r.cfg.Paths().Kubeconfig("admin"),
		Endpoint:   r.cfg.ControlPlaneURL(),
		Checks:     append([]plan.Check{}, r.plan.Checks()...),
	}
}

// printChecks prints the checks that passed, for a user who ran the phase preflight alone. The progress has shown the warnings.
func printChecks(w io.Writer, checks []plan.Check) {
	for _, c := range checks {
		if c.Level == plan.OK {
			fmt.Fprintln(w, strings.TrimSuffix(fmt.Sprintf("ok  %s: %s", c.Name, c.Text), ": "))
		}
	}
}

// initSummary is what init -o json prints.
type initSummary struct {
	Ready      bool        `json:"ready"`
	Changed    int         `json:"changed"` // steps that changed something
	Seconds    float64     `json:"seconds"`
	Phases     []phaseTime `json:"phases"`
	Kubeconfig string      `json:"kubeconfig"`
	Endpoint   string      `json:"endpoint"`
	// Checks are the results of the preflight checks that ran.
	Checks []plan.Check `json:"checks"`
}
