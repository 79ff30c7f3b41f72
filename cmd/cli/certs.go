package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/resource"
)

func certsVerb(a *app) verb {
	return verb{
		use:   "certs",
		short: "Look at the certificates of this control plane, and renew them",
		group: groupOperate,
		verbs: []verb{certsCheckVerb(a), certsRenewVerb(a)},
	}
}

func certsCheckVerb(a *app) verb {
	var certDir string
	return verb{
		use:   "check",
		short: "Show when the certificates expire",
		long: `Show when the certificates, those inside the kubeconfigs and the certificate
authorities expire. kubelet.conf is left out: a kubelet renews it by itself.

The exit code is 1 when one of them has expired, is missing or cannot be read.`,
		example: `  kubecrank certs check
  kubecrank certs check -o json | jq -r '.[] | select(.daysLeft < 30) | .name'`,
		formats: []string{"table", "json", "yaml"},
		flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&certDir, "cert-dir", defaultCertDir, "Directory of the certificates, below --root.")
		},
		run: func(ctx context.Context, c call) error {
			known, err := a.remember()
			if err != nil {
				return err
			}
			a.warnHidden(known, c.flags)
			cfg := known.cfg
			if c.flags.Changed("cert-dir") {
				cfg.CertificatesDir = belowRoot(a.global.root, certDir)
			}
			return a.runCertsCheck(ctx, cfg, c.format)
		},
	}
}

func (a *app) runCertsCheck(ctx context.Context, cfg config.Config, format string) error {
	f, err := facts.Gather(ctx, cfg)
	if err != nil {
		return err
	}
	cfg = cfg.Complete(f.HostFacts(cfg))
	expiries := readExpiries(cfg, f)
	w := a.stdio.Out
	switch format {
	case "json":
		err = writeJSON(w, expiries)
	case "yaml":
		err = writeYAML(w, expiries)
	default:
		err = printExpiries(w, expiries)
	}
	if err != nil {
		return err
	}
	for _, e := range expiries {
		if e.Problem != "" || e.Expires.Before(f.Now) {
			return &exitError{code: ExitFailed}
		}
	}
	return nil
}

// readExpiries takes the files from the facts. A key that is there counts as
// there also for a user who may not read it; a certificate does not.
func readExpiries(cfg config.Config, f facts.Facts) []pki.Expiry {
	paths := cfg.Paths()
	have := map[string][]byte{}
	unreadable := map[string]string{}
	add := func(name, path string) {
		switch seen := f.Look(path); seen.Kind {
		case resource.Absent:
		case resource.Regular:
			have[name] = seen.Data
		default:
			have[name] = []byte{}
			unreadable[name] = "cannot be read: " + seen.Error
		}
	}
	for _, spec := range pki.Specs(cfg) {
		add(spec.CertFile(), filepath.Join(paths.PKI, spec.CertFile()))
		if spec.IsCA() {
			add(spec.KeyFile(), filepath.Join(paths.PKI, spec.KeyFile()))
		}
	}
	for _, spec := range pki.KubeconfigSpecs(cfg) {
		add(spec.Name, filepath.Join(paths.Kubernetes, spec.Name))
	}
	expiries := pki.Expiries(cfg, have, f.Now)
	for i, e := range expiries {
		if problem, ok := unreadable[e.File]; ok {
			expiries[i].Problem = problem
		}
	}
	return expiries
}

func printExpiries(w io.Writer, expiries []pki.Expiry) error {
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	fmt.Fprintln(t, "CERTIFICATE\tEXPIRES\tDAYS LEFT\tCA\tEXTERNALLY MANAGED")
	for _, e := range expiries {
		expires, days, ca, external := e.Expires.UTC().Format(time.RFC3339), fmt.Sprint(e.Days), e.CA, "no"
		if e.Problem != "" {
			expires, days = e.Problem, "-"
		}
		if ca == "" {
			ca = "-"
		}
		if e.ExternallyManaged {
			external = "yes"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", e.Name, expires, days, ca, external)
	}
	return t.Flush()
}
