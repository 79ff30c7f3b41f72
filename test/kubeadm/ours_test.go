//go:build oracle

package kubeadm

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// filePhases are the phases that write what kubeadm writes too. What others
// write is kubecrank's own, below /var/lib/kubecrank and /run/kubecrank.
func filePhases() []string { return []string{"certs", "kubeconfig", "etcd", "control-plane"} }

// configOf reads the file as `kubecrank init --config` does.
func configOf(c prepared) (config.Config, error) {
	documents, errs := config.Parse("kubeadm.yaml", c.document)
	if len(errs) > 0 {
		return config.Config{}, errors.Join(errs...)
	}
	cfg, errs := documents.ApplyInit(config.Default(""))
	if len(errs) > 0 {
		return config.Config{}, errors.Join(errs...)
	}
	cfg.Runtime = cmp.Or(c.runtime, cfg.Runtime)
	host := config.HostFacts{Hostname: "host", DefaultAddress: netip.MustParseAddr("192.0.2.99")}
	if c.thisMachine {
		host, err := thisMachine()
		if err != nil {
			return config.Config{}, err
		}
		cfg = cfg.Complete(host)
	}
	cfg = cfg.Complete(host)
	return cfg, errors.Join(cfg.Validate()...)
}

// thisMachine is its name and the address of its default route, if it has one.
func thisMachine() (config.HostFacts, error) {
	cfg := config.Default("")
	f, err := facts.Gather(context.Background(), cfg)
	return f.HostFacts(cfg), err
}

// kubecrank is what `kubecrank init` would write. Nothing is written: the
// steps' bytes are taken out of the plan, in the order in which they would be.
func kubecrank(c prepared) (*side, error) {
	cfg, err := configOf(c)
	if err != nil {
		return nil, err
	}
	s := &side{started: time.Now(), pki: c.pki, files: map[string]written{}}
	if c.real {
		s.dirs = map[string]fs.FileMode{}
	}
	for path, f := range c.host.files {
		s.files[path] = f
	}
	f := machine(c, s.started)
	if dir := cfg.Patches; dir != "" {
		if c.isolated {
			dir = filepath.Join(c.root, dir)
		}
		f.Patches, f.PatchesError = facts.ReadPatches(dir)
	}
	for path, seen := range f.Files {
		if seen.Kind == resource.Directory && c.compares(path) && s.dirs != nil {
			s.dirs[path] = seen.Mode
		}
	}
	p, err := phases.Init(cfg, f, phases.Payload{})
	var checks *plan.PreflightError // of the machine, which this one is not
	if err != nil && !errors.As(err, &checks) {
		return nil, err
	}
	host := f.Host()
	host.Look = func(path string) resource.Seen {
		if f, ok := s.files[path]; ok {
			return resource.Seen{Kind: resource.Regular, Mode: f.mode, Data: f.data}
		}
		return f.Look(path)
	}
	for _, ph := range p.Phases {
		if slices.Contains(filePhases(), ph.Name) {
			if err := s.apply(c, ph, host); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// apply takes a phase's files, those that look at others last.
func (s *side) apply(c prepared, ph plan.Phase, host plan.Host) error {
	for _, late := range []bool{false, true} {
		for _, step := range ph.Steps {
			work := step.Compare(host)
			if work.State == plan.Conflict || work.State == plan.Unknown {
				return errors.New(step.Describe() + ": " + work.Detail)
			}
			for _, made := range work.Makes {
				if dir := made.Kind == resource.Dir || made.Kind == resource.Tree; dir && !made.Existed && s.dirs != nil && c.compares(made.Key) {
					s.dirs[made.Key] = made.Mode
				}
			}
			if work.Files == nil || work.Late != late {
				continue
			}
			files, err := work.Files(host)
			if err != nil {
				return err
			}
			for _, f := range files {
				s.files[f.Path] = written{data: f.Data, mode: f.Mode}
			}
		}
	}
	return nil
}

// machine is an empty one: /etc and /var/lib, and what the case puts there.
func machine(c prepared, now time.Time) facts.Facts {
	f := facts.Facts{Now: now, CPUs: 4, MemoryMiB: 4096, Hostname: "host", CADirs: c.caDirs(), ProxyEnv: facts.ProxyEnv(c.env),
		Files: map[string]resource.Seen{}}
	for _, dir := range []string{"/", "/etc", "/var", "/var/lib"} {
		f.Files[dir] = resource.Seen{Kind: resource.Directory, Mode: 0o755, Names: []string{}}
	}
	see := func(path string, seen resource.Seen) {
		f.Files[path] = seen
		for dir := filepath.Dir(path); ; path, dir = dir, filepath.Dir(dir) {
			parent, ok := f.Files[dir]
			if !ok {
				parent = resource.Seen{Kind: resource.Directory, Mode: 0o755}
			}
			if name := filepath.Base(path); path != "/" && !slices.Contains(parent.Names, name) {
				parent.Names = append(parent.Names, name)
			}
			f.Files[dir] = parent
			if dir == "/" {
				return
			}
		}
	}
	see("/var/lib", f.Files["/var/lib"])
	see("/etc", f.Files["/etc"])
	for path, file := range c.host.files {
		see(path, resource.Seen{Kind: resource.Regular, Mode: file.mode, Data: file.data})
	}
	return f
}

// caDirs are the CA directories that kubeadm sees.
func (c prepared) caDirs() []string {
	return slices.DeleteFunc(manifests.OptionalCADirs(), func(dir string) bool {
		if c.isolated {
			dir = filepath.Join(c.root, dir)
		}
		_, err := os.Stat(dir)
		return err != nil
	})
}
