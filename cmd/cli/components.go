package cli

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/cmd/precheck"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases"
	"github.com/kubecrank/kubecrank/phases/cluster"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/runtime/payload"
)

// components says where the component binaries come from: a directory that
// the user names, or the payload of this program, or in the lean build PATH.
func (a *app) components() (plan.Components, phases.Payload, error) {
	if a.global.componentsDir == "" {
		if p, ok := payload.Embedded(); ok {
			return p, phases.Payload{Digest: p.Digest(), Size: p.Size(), Version: p.Version(),
				Policy: policyOf(p.Version()), Pods: precheck.Pods{}}, nil
		}
	}
	located, err := payload.Locate(a.global.componentsDir)
	if err == nil && a.global.componentsDir == "" {
		// A supervisor has one directory for the components, so in PATH they must lie together.
		located, err = payload.Locate(filepath.Dir(located["kube-apiserver"]))
	}
	if err != nil {
		return nil, phases.Payload{}, &usageError{err: err}
	}
	return located, phases.Payload{Version: located.Version(), Policy: policyOf(located.Version()), Pods: precheck.Pods{}}, nil
}

// policyOf is what the components of a version create in a new cluster. It is known of this program's own version;
// of a damaged program, staging says so.
func policyOf(version string) cluster.Policy {
	p, ok := payload.Embedded()
	if !ok || p.Version() != version {
		return cluster.Policy{}
	}
	data, err := p.Policy()
	if err != nil {
		return cluster.Policy{}
	}
	policy, _ := cluster.ParsePolicy(data) // of an older payload there is none
	return policy
}

// componentsFor is the directory in which the supervisor of a configuration
// finds the components, "" for the PATH of its containers.
func (a *app) componentsFor(cfg config.Config) string {
	if a.global.componentsDir != "" {
		return a.global.componentsDir
	}
	if p, ok := payload.Embedded(); ok {
		return filepath.Join(cfg.Paths().Components, p.Digest())
	}
	if path, err := exec.LookPath("kube-apiserver"); err == nil {
		if path, err = filepath.Abs(path); err == nil {
			return filepath.Dir(path)
		}
	}
	return ""
}

// findComponent returns the path of a component's binary: as the components of
// this run have it, or else as any earlier version of kubecrank has staged it.
func (a *app) findComponent(name string) (string, error) {
	if a.global.componentsDir == "" {
		if _, err := a.remember(); err != nil {
			return "", err
		}
	}
	if dir := a.global.componentsDir; dir != "" {
		path, err := exec.LookPath(filepath.Join(dir, name))
		var unusable *exec.Error
		if errors.As(err, &unusable) {
			return "", hint.With(fmt.Errorf("cannot run %s: %w", unusable.Name, unusable.Err),
				"--components-dir names a directory with an executable "+name)
		}
		return path, err
	}
	paths := config.PathsBelow(a.global.root)
	if err := a.gate(); err != nil { // again: a root that was missing can have been made by others since
		return "", err
	}
	for _, candidate := range append(stagedBinaries(paths, name), name) {
		if path, err := exec.LookPath(candidate); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", hint.With(fmt.Errorf("cannot run %s: it is neither below %s nor in PATH", name, paths.Components), a.notHereHint())
}

// stagedBinaries are the places where init stages a program, this program's own version first.
func stagedBinaries(paths config.Paths, name string) []string {
	all, _ := filepath.Glob(filepath.Join(paths.Components, "*", name)) // the pattern is well-formed
	if p, ok := payload.Embedded(); ok {
		return append([]string{filepath.Join(paths.Components, p.Digest(), name)}, all...)
	}
	return all
}
