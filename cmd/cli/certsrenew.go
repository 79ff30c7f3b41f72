package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubecrank/kubecrank/cmd/restart"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases"
	"github.com/kubecrank/kubecrank/phases/apply"
	"github.com/kubecrank/kubecrank/runtime"
)

// renewOptions is what certs renew runs on.
type renewOptions struct {
	name    string // of a certificate, or "all"
	certDir string
	file    string // with a ClusterConfiguration, or ""
	dryRun  bool
	restart bool
	format  string
}

func certsRenewVerb(a *app) verb {
	var opts renewOptions
	names := []cobra.Completion{"all"}
	for _, r := range phases.Renewables(config.Default("")) {
		names = append(names, r.Name)
	}
	return verb{
		use:   "renew NAME|all",
		short: "Renew a certificate, or all",
		long: `Make a certificate and its key anew, with the subject, names and usages that it has;
"kubecrank certs check" lists the names. An expired one can be renewed, a certificate
authority cannot. Validity, and the key's algorithm if it is to change, are those of the
configuration (--config).

"all" leaves out what is not there, and what was signed by an authority whose key is not
on this machine. Components that run know only the old certificates until they are
restarted: --restart does it, in an order in which none waits for another in vain. Copies of
admin.conf stay as they are.`,
		example: `  kubecrank certs renew all --restart
  kubecrank certs renew apiserver --dry-run`,
		args:     oneArg("NAME"),
		complete: firstArg(names...),
		formats:  []string{"text", "json"},
		flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&opts.certDir, "cert-dir", defaultCertDir, "Directory of the certificates, below --root.")
			flags.StringVar(&opts.file, "config", "", "kubeadm `file` with validity and algorithm of certificates; - for standard input.")
			flags.BoolVar(&opts.dryRun, "dry-run", false, "Print what would be done, and change nothing.")
			flags.BoolVar(&opts.restart, "restart", false, "Restart the components that have the certificates in use.")
		},
		run: func(ctx context.Context, c call) error {
			opts.name, opts.format = c.args[0], c.format
			cfg, err := a.renewConfig(c.flags, opts)
			if err != nil {
				return err
			}
			return a.untilInterrupted(ctx, phases.VerbRenew, func(ctx context.Context) error { return a.runRenew(ctx, cfg, opts) })
		},
	}
}

func (a *app) renewConfig(set *pflag.FlagSet, opts renewOptions) (config.Config, error) {
	known, err := a.remember()
	if err != nil {
		return known.cfg, err
	}
	cfg := known.cfg
	cfg.KeyAlgorithm = "" // that of the present key
	if opts.file == "" {
		if !set.Changed("cert-dir") {
			return cfg, nil
		}
		dir := belowRoot(a.global.root, opts.certDir)
		if known.settled != nil {
			if err := sameAs("renew certificates", "cert-dir", cfg.CertificatesDir, filepath.Clean(dir)); err != nil {
				return cfg, err
			}
		}
		cfg.CertificatesDir = dir
		return cfg, nil
	}
	return a.fileConfig(set, opts.file, cfg, "restart")
}

func (a *app) runRenew(ctx context.Context, cfg config.Config, opts renewOptions) error {
	r := &run{app: a, verb: phases.VerbRenew, cfg: cfg, began: time.Now()}
	if err := r.look(ctx); err != nil {
		return err
	}
	r.cfg = r.cfg.Complete(r.facts.HostFacts(r.cfg))
	p, pods, err := phases.Renew(r.cfg, r.facts, opts.name)
	if err := r.planned(p, err); err != nil {
		return err
	}
	if opts.dryRun {
		return r.dryRun(opts.format)
	}
	result, err := r.apply(ctx)
	if err != nil {
		return err
	}
	running, err := a.running(ctx, pods)
	if err != nil {
		return err
	}
	if opts.restart && len(running) > 0 {
		progress := a.newProgress()
		defer progress.close()
		r := restart.Restarter{Client: a.client(), Timeout: cfg.Timeouts.ControlPlaneComponentHealthCheck,
			Show: func(pod string) func(bool) { return progress.start("restart", pod).end }}
		if running, err = r.All(ctx, running); err != nil {
			return err
		}
	}
	return a.printRenewed(result, running, opts)
}

// renewSummary is what certs renew -o json prints.
type renewSummary struct {
	Renewed   int      `json:"renewed"` // certificates
	LeftOut   []string `json:"leftOut"` // a sentence each
	Pods      []string `json:"pods"`    // that run and have had the old certificates in use
	Restarted bool     `json:"restarted"`
}

func (a *app) printRenewed(result apply.Result, pods []string, opts renewOptions) error {
	w := a.stdio.Out
	if opts.format == "json" {
		return writeJSON(w, renewSummary{Renewed: result.Changed, LeftOut: append([]string{}, result.Notes...),
			Pods: append([]string{}, pods...), Restarted: opts.restart})
	}
	fmt.Fprintf(w, "Certificates renewed: %d.\n", result.Changed)
	for _, note := range result.Notes {
		fmt.Fprintln(w, note)
	}
	switch names := strings.Join(pods, ", "); {
	case len(pods) == 0:
	case opts.restart:
		fmt.Fprintf(w, "Restarted, and ready: %s.\n", names)
	default:
		fmt.Fprintf(w, "These run with the old certificates until they are restarted: %s.\n", names)
		fmt.Fprintf(w, "Next: kubecrank certs renew %s --restart%s, which renews again and restarts them.\n", opts.name, a.rootFlag())
	}
	return nil
}

// running are those of the pods that a supervisor of this root runs, in their order of start.
func (a *app) running(ctx context.Context, pods []string) ([]string, error) {
	st, err := a.client().Status(ctx)
	if errors.Is(err, runtime.ErrNotRunning) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, name := range pods {
		wanted[name] = true
	}
	var names []string
	for _, pod := range st.Pods {
		if wanted[pod.Name] {
			names = append(names, pod.Name)
		}
	}
	return names, nil
}
