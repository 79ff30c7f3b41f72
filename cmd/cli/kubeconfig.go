package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// userOptions is what kubeconfig user runs on.
type userOptions struct {
	name     string
	groups   []string
	token    string
	validity time.Duration
	certDir  string
	file     string // with a ClusterConfiguration, or ""
}

func kubeconfigVerb(a *app) verb {
	return verb{
		use:   "kubeconfig",
		short: "Make kubeconfigs for more users",
		group: groupOperate,
		verbs: []verb{kubeconfigUserVerb(a)},
	}
}

func kubeconfigUserVerb(a *app) verb {
	var opts userOptions
	return verb{
		use:   "user --client-name NAME",
		short: "Print a kubeconfig for one more user",
		long: `Print a kubeconfig for one more user: with a new client certificate that the cluster's
authority signs, or with a token. What the user may do, RBAC says: by the name, and by
the groups (--org). A certificate cannot be taken back before it expires.

Cluster and server are those of --config, or else of admin.conf; the directory of the
certificates is the one that init used, unless --cert-dir names another.`,
		example: `  kubecrank kubeconfig user --client-name alice --org developers --validity-period 720h > alice.conf
  KUBECRANK_TOKEN=... kubecrank kubeconfig user --client-name robot > robot.conf`,
		flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&opts.name, "client-name", "", "The user's `name`: the CN of the certificate.")
			flags.StringSliceVar(&opts.groups, "org", nil, "The user's `groups`: the O of the certificate.")
			flags.StringVar(&opts.token, "token", "",
				"The user's `token`, instead of a certificate. In KUBECRANK_TOKEN no other user of the machine sees it.")
			flags.DurationVar(&opts.validity, "validity-period", defaultUserValidity, "How long the certificate is valid.")
			flags.StringVar(&opts.file, "config", "", "kubeadm `file` that the cluster was made with; - for standard input.")
			flags.StringVar(&opts.certDir, "cert-dir", defaultCertDir, "Directory of the certificates, below --root.")
		},
		run: func(ctx context.Context, c call) error {
			if err := opts.check(c.path); err != nil {
				return err
			}
			return a.runKubeconfigUser(ctx, c.flags, opts)
		},
	}
}

const asOwner = "run it as the user who ran kubecrank init, or with sudo"

// defaultUserValidity is kubeadm's for certificates.
const defaultUserValidity = 365 * 24 * time.Hour

func (o userOptions) check(path string) error {
	switch {
	case o.name == "":
		return hint.With(usage("%q needs --client-name", path), "like this: "+path+" --client-name alice")
	case o.validity <= 0:
		return hint.With(usage("cannot use --validity-period %s: it is not more than zero", o.validity), "give a duration such as 720h")
	}
	return nil
}

func (a *app) runKubeconfigUser(ctx context.Context, set *pflag.FlagSet, opts userOptions) error {
	cfg, err := a.userConfig(set, opts)
	if err != nil {
		return err
	}
	f, err := facts.Gather(ctx, cfg)
	if err != nil {
		return err
	}
	cfg = cfg.Complete(f.HostFacts(cfg))
	spec, err := userSpec(cfg, f, opts)
	if err != nil {
		return err
	}
	ca, err := clusterCA(cfg.Paths(), f, opts.token == "")
	if err != nil {
		return err
	}
	params := pki.ParamsFor(cfg, f.Now)
	params.Validity = opts.validity
	a.warn("kubeconfig of "+opts.name, userWarnings(opts, ca, f.Now))
	var data []byte
	if opts.token != "" {
		data, err = pki.NewTokenKubeconfig(spec, ca, config.Secret(opts.token))
	} else {
		data, err = pki.NewKubeconfig(spec, ca, params)
	}
	if err != nil {
		return pki.Locate(err, cfg.Paths().PKI)
	}
	_, err = a.stdio.Out.Write(data)
	return err
}

func (a *app) userConfig(set *pflag.FlagSet, opts userOptions) (config.Config, error) {
	known, err := a.remember()
	if err != nil {
		return known.cfg, err
	}
	if err := a.samePorts("make a kubeconfig", set, known); err != nil {
		return known.cfg, err
	}
	a.warnHidden(known, set)
	cfg := known.cfg
	if set.Changed("port-offset") {
		cfg.PortOffset = a.global.portOffset
	}
	if set.Changed("cert-dir") {
		cfg.CertificatesDir = belowRoot(a.global.root, opts.certDir)
	}
	if opts.file == "" {
		return cfg, nil
	}
	return a.fileConfig(set, opts.file, cfg, "client-name", "org", "token", "validity-period")
}

// userSpec describes the kubeconfig. What init wrote into admin.conf is right
// also where init was told with flags what the defaults do not know.
func userSpec(cfg config.Config, f facts.Facts, opts userOptions) (pki.KubeconfigSpec, error) {
	spec := pki.KubeconfigSpec{
		Name: "the kubeconfig of " + opts.name, User: opts.name, CommonName: opts.name, Organizations: opts.groups,
		Server: cfg.ControlPlaneURL(), ClusterName: cfg.ClusterName,
	}
	guessed := cfg.Validate() // such as: there is no address to take
	if len(guessed) > 0 && opts.file != "" {
		return spec, &usageError{err: errors.Join(guessed...)}
	}
	if opts.file != "" {
		return spec, nil
	}
	admin := filepath.Join(cfg.Paths().Kubernetes, pki.AdminConf)
	switch seen := f.Look(admin); seen.Kind {
	case resource.Regular:
		var err error
		spec.ClusterName, spec.Server, err = pki.ClusterOf(seen.Data)
		if err != nil {
			return spec, fmt.Errorf("cannot use %s: %w", admin, err)
		}
	case resource.Unreadable:
		return spec, hint.With(fmt.Errorf("cannot read %s: %s", admin, seen.Error), asOwner)
	default:
		if len(guessed) > 0 {
			return spec, &usageError{err: errors.Join(guessed...)}
		}
	}
	return spec, nil
}

// clusterCA reads the authority that signs users, with its key if that is needed.
func clusterCA(paths config.Paths, f facts.Facts, withKey bool) (pki.Pair, error) {
	read := func(name string) ([]byte, error) {
		path := filepath.Join(paths.PKI, name)
		seen := f.Look(path)
		if seen.Kind != resource.Regular && seen.Kind != resource.Absent {
			err := fmt.Errorf("cannot read %s: %s", path, seen.Error)
			return nil, hint.With(err, asOwner)
		}
		return seen.Data, nil
	}
	cert, err := read("ca.crt")
	if err != nil {
		return pki.Pair{}, err
	}
	if cert == nil {
		return pki.Pair{}, hint.With(fmt.Errorf("cannot make a kubeconfig: %s does not exist", filepath.Join(paths.PKI, "ca.crt")),
			"run it on a control plane node, or say with --cert-dir or --root where the certificates are")
	}
	var key []byte
	if withKey {
		if key, err = read("ca.key"); err != nil {
			return pki.Pair{}, err
		}
	}
	pair, err := pki.Load(cert, key)
	return pair, pki.Locate(err, paths.PKI)
}

// userWarnings are about options that work, but probably not as the user expects.
func userWarnings(opts userOptions, ca pki.Pair, now time.Time) []string {
	var all []string
	cert := ca.Certificate()
	if now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
		all = append(all, "the certificate authority has expired, or is not valid yet")
	}
	if opts.token != "" {
		if len(opts.groups) > 0 {
			all = append(all, "--org goes into certificates: a token's groups are decided by the cluster")
		}
		return all
	}
	if opts.validity > defaultUserValidity {
		all = append(all, fmt.Sprintf("the certificate is valid for %s, and cannot be taken back", opts.validity))
	}
	if now.Add(opts.validity).After(cert.NotAfter) {
		all = append(all, "the certificate authority expires first, at "+cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return all
}
