package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/manifests/config/strictyaml"
)

// input is a configuration as the user gave it, not yet completed.
//
//	flags ---------------------------------------+
//	--config FILE --Parse--> Documents --Apply---+--> input --Complete, Validate, Locate--> plan
type input struct {
	cfg       config.Config
	documents *config.Documents // nil without --config
	// err is what is wrong so far. It is reported together with what Validate finds.
	err error
}

// initInput merges flags and file. The error is one that leaves nothing to validate.
func (a *app) initInput(set *pflag.FlagSet, flags *configFlags) (input, error) {
	base, err := a.initBase(set, flags.file != "")
	if err != nil {
		return input{}, err
	}
	if flags.file == "" {
		cfg, err := flags.config(set, base)
		return input{cfg: cfg, err: err}, nil
	}
	d, errs, err := a.readDocuments(set, flags.file)
	if err != nil {
		return input{}, err
	}
	if set.Changed("runtime") {
		base.Runtime = flags.runtime
	}
	cfg, more := d.Apply("init", base)
	if set.Changed("node-name") {
		cfg.Node.Name = flags.nodeName
	}
	if set.Changed("skip-phases") {
		cfg.SkipPhases = flags.skipPhases
	}
	cfg.IgnorePreflightErrors = append(slices.Clone(cfg.IgnorePreflightErrors), flags.ignorePreflight...)
	errs = append(append(errs, more...), flags.runtimeError())
	return input{cfg: cfg, documents: d, err: errors.Join(errs...)}, nil
}

// readDocuments reads a configuration file, and shows its warnings. errs are
// those of its form; err is for a file that cannot be read, or that flags contradict.
// own are flags of the verb that no document has.
func (a *app) readDocuments(set *pflag.FlagSet, file string, own ...string) (d *config.Documents, errs []error, err error) {
	if err := mixed(set, own); err != nil {
		return nil, nil, err
	}
	data, err := a.readConfigFile("config", file)
	if err != nil {
		return nil, nil, err
	}
	d, errs = config.Parse(fileName(file), data)
	a.warn(d.Name, d.Warnings)
	return d, errs, nil
}

// fileConfig is a configuration file's, for verbs that need it checked as init would, on whatever machine.
func (a *app) fileConfig(set *pflag.FlagSet, file string, base config.Config, own ...string) (config.Config, error) {
	d, errs, err := a.readDocuments(set, file, own...)
	if err != nil {
		return base, err
	}
	cfg, more := d.Apply("init", base)
	errs = append(errs, more...)
	completed := cfg.Complete(anyHost(cfg))
	completed.KeyAlgorithm = cmp.Or(completed.KeyAlgorithm, config.ECDSAP256) // a base may leave it open
	errs = append(errs, d.Locate("init", completed.Validate())...)
	if err := errors.Join(errs...); err != nil {
		return cfg, &usageError{err: err}
	}
	return cfg, nil
}

// warn shows the warnings about a file.
func (a *app) warn(file string, warnings []string) {
	if a.global.quiet {
		return
	}
	for _, text := range warnings {
		fmt.Fprintf(a.stdio.Err, "! %s: %s\n", file, text)
	}
}

// mixed refuses flags that say what belongs into the file, with kubeadm's words.
func mixed(set *pflag.FlagSet, own []string) error {
	var names []string
	set.Visit(func(f *pflag.Flag) {
		if !config.GoesWithFile(f.Name) && !slices.Contains(own, f.Name) {
			names = append(names, f.Name)
		}
	})
	if len(names) == 0 {
		return nil
	}
	return hint.With(usage("can not mix '--config' with arguments %v", names),
		"write them into the file; variables KUBECRANK_* and the settings file count as arguments, too")
}

// readConfigFile reads a file, or the standard input for "-", up to the size
// at which it is too large. flag is its flag's name.
func (a *app) readConfigFile(flag, file string) ([]byte, error) {
	from := a.stdio.In
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, hint.With(usage("cannot read --%s: %w", flag, err), "kubecrank config defaults init prints a file to begin with")
		}
		defer f.Close()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, strictyaml.MaxSize+1))
	if err != nil {
		return nil, usage("cannot read --%s: %w", flag, err)
	}
	return data, nil
}

// fileName is how errors call a configuration file.
func fileName(file string) string {
	if file == "-" {
		return "standard input"
	}
	return file
}

// resetFile takes from a ResetConfiguration what reset can be told. Most of it
// is about kubelets and container engines; the journal says what there is to undo.
func (a *app) resetFile(set *pflag.FlagSet, opts *resetOptions) error {
	d, errs, err := a.readDocuments(set, opts.config)
	if err != nil {
		return err
	}
	cfg, more := d.Apply("reset", config.Default(a.global.root))
	if err := errors.Join(append(errs, more...)...); err != nil {
		return &usageError{err: err}
	}
	for _, name := range d.Reset.SkipPhases {
		if name != "remove-etcd-member" { // it concerns clusters of several nodes
			return hint.With(usage("%s: cannot skip %s: reset undoes what the journal says, in one piece", d.Name, name),
				"take skipPhases out of the file; --dry-run shows what would go")
		}
	}
	opts.force, opts.dryRun = opts.force || d.Reset.Force, opts.dryRun || d.Reset.DryRun
	opts.ignorePreflight = append(slices.Clone(opts.ignorePreflight), d.Reset.IgnorePreflightErrors...)
	if d.Reset.CertificatesDir != "" {
		opts.certificatesDir = filepath.Clean(cfg.CertificatesDir)
	}
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"cleanupTmpDir", d.Reset.CleanupTmpDir}, {"criSocket", d.Reset.CRISocket != ""}, {"unmountFlags", len(d.Reset.UnmountFlags) > 0},
	} {
		if field.set {
			a.warn(d.Name, []string{field.name +
				" has no effect: it is about what kubelets and kubeadm leave, and reset removes what kubecrank made"})
		}
	}
	return nil
}
