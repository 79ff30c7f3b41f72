package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
)

// remembered is what the journal of this root knows of its control plane.
type remembered struct {
	// cfg is what init settled on; the defaults below the root if nothing is known.
	cfg config.Config
	// settled is as the journal has it; nil if nothing is known.
	settled *config.Settled
	setUp   bool // an init came to its end
	hidden  bool // this user may not read the journal
}

// remember reads what init settled on. A journal that this user may not read
// counts as none: a dry-run does without. The directory of the components that
// init used becomes that of this run, unless --components-dir names one.
func (a *app) remember() (remembered, error) {
	r := remembered{cfg: config.Default(a.global.root)}
	history, err := journal.Load(r.cfg.Root, r.cfg.Paths())
	switch {
	case err != nil && notAllowed(err):
		r.hidden = true
		return r, nil
	case err != nil:
		return r, err
	case history.Config == nil:
		return r.identity(history), nil
	}
	cfg, err := history.Config.Apply(r.cfg)
	if err != nil {
		return r, fmt.Errorf("cannot use the configuration in %s: %w", r.cfg.Paths().Journal, err)
	}
	if history.Config.SupervisorRedacted() {
		if cfg, err = withSupervisorFile(cfg); err != nil {
			return r, err
		}
	}
	if _, err := os.Stat(cfg.ComponentsDir); err != nil {
		cfg.ComponentsDir = "" // those inside this program are all that is left
	}
	if a.global.componentsDir == "" {
		a.global.componentsDir = cfg.ComponentsDir
	}
	return remembered{cfg: cfg, settled: history.Config, setUp: history.SetUp}, nil
}

// identity is what a journal says that has no configuration yet.
func (r remembered) identity(h journal.History) remembered {
	r.cfg.Node.Name, r.setUp = h.Node.Name, h.SetUp
	if addr, err := netip.ParseAddr(h.Node.AdvertiseAddress); err == nil {
		r.cfg.Node.AdvertiseAddress = addr
	}
	return r
}

func notAllowed(err error) bool {
	return errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), syscall.EACCES.Error())
}

// initBase is what init begins with. Once the node is set up, a flag that is
// not given is as it was. A file says all that documents can say: what it leaves
// out is the default. Before that, an init that failed may be run with other flags.
func (a *app) initBase(set *pflag.FlagSet, file bool) (config.Config, error) {
	base := config.Default(a.global.root)
	base.PortOffset, base.ComponentsDir = a.global.portOffset, a.global.componentsDir
	r, err := a.remember()
	switch {
	case errors.As(err, new(*journal.Error)): // reported when the plan is made
		return base, nil
	case err != nil:
		return base, err
	case !r.setUp || r.settled == nil:
		return base, nil
	}
	if redacted := r.settled.RedactedFields(); len(redacted) > 0 && !file {
		err := usage("cannot init: %s may be secret, so the journal has no values of it", strings.Join(redacted, ", "))
		return base, hint.With(err, "give the file it was set up with: --config FILE")
	}
	if file {
		base.Runtime, base.PortOffset = r.cfg.Runtime, r.cfg.PortOffset
	} else {
		base = r.cfg
	}
	if set.Changed("port-offset") {
		base.PortOffset = a.global.portOffset
	}
	base.ComponentsDir = a.global.componentsDir
	return base, nil
}

// sameAs refuses a flag with another value than the one that the node was set up with.
func sameAs(verb, flag, was, is string) error {
	if was == "" || was == is {
		return nil
	}
	err := fmt.Errorf("cannot %s: --%s was %s when init ran here, and is now %s", verb, flag, was, is)
	return hint.With(&refusedError{err: err}, "leave --"+flag+" out; "+plan.OtherNeedsReset)
}

// warnHidden tells a user who may not read the journal what that means.
func (a *app) warnHidden(known remembered, set *pflag.FlagSet) {
	if known.hidden && !set.Changed("cert-dir") && !set.Changed("config") {
		a.warn(known.cfg.Paths().Journal, []string{"this user may not read what init settled on; the defaults are used"})
	}
}

// samePorts is sameAs for --port-offset.
func (a *app) samePorts(verb string, set *pflag.FlagSet, r remembered) error {
	if r.settled == nil || !set.Changed("port-offset") {
		return nil
	}
	return sameAs(verb, "port-offset", fmt.Sprint(r.cfg.PortOffset), fmt.Sprint(a.global.portOffset))
}

// shownConfig is what config show -o json prints.
type shownConfig struct {
	Root  string `json:"root"`
	SetUp bool   `json:"setUp"` // false: the init that settled on it did not come to its end
	*config.Settled
}

func configShowVerb(a *app) verb {
	return verb{
		use:   "show",
		short: "Print the configuration that this node was set up with",
		long: `Print the configuration that the last init settled on, as the journal has it: flags,
file and what the machine added. Later verbs use it. The output is a file for
"kubecrank init --config"; what no such file can say is in the comment at its top.

Values that may be secret are not kept, and read "(secret)": those of environment
variables and headers, user and query of a URL.`,
		example: `  kubecrank config show
  kubecrank config show -o json | jq -r .cluster.certificatesDir`,
		formats: []string{"yaml", "json"},
		run:     func(_ context.Context, c call) error { return a.runConfigShow(c.format) },
	}
}

func (a *app) runConfigShow(format string) error {
	paths := config.PathsBelow(a.global.root)
	history, err := journal.Load(a.global.root, paths)
	if err != nil {
		return err
	}
	if history.Config == nil {
		return hint.With(fmt.Errorf("cannot show a configuration: %s has none", paths.Journal), a.notHereHint())
	}
	if format == "json" {
		return writeJSON(a.stdio.Out, shownConfig{Root: a.global.root, SetUp: history.SetUp, Settled: history.Config})
	}
	documents, err := history.Config.Documents()
	if err != nil {
		return fmt.Errorf("cannot show the configuration: %w", err)
	}
	flags := a.rootFlag() + " --runtime " + history.Config.Runtime
	if offset := history.Config.PortOffset; offset != 0 {
		flags += fmt.Sprintf(" --port-offset %d", offset)
	}
	if dir := history.Config.ComponentsDir; dir != "" {
		flags += " --components-dir " + dir
	}
	if !history.SetUp {
		fmt.Fprintln(a.stdio.Out, "# The init that settled on this did not come to its end.")
	}
	_, err = fmt.Fprintf(a.stdio.Out, "# kubecrank init --config FILE%s\n%s", flags, documents)
	return err
}
