package phases

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/plan"
)

// fakePods refuses what a manifest of a pod is told to be refused for.
type fakePods struct{ everywhere, here map[string]error }

func (f fakePods) Check(origin string, _ []byte) (everywhere, here error) {
	return f.everywhere[origin], f.here[origin]
}

// Guards: a manifest that is refused everywhere is an error without a plan, all of them at once; one that is refused here is a
// check beside a plan that is whole, and can be ignored; a user who is not root is told only that.
func TestRefusedManifests(t *testing.T) {
	t.Parallel()
	f := bareMachine()
	cfg := bareConfig(f, nil)
	no := errors.New("spec.hostNetwork: must be true")
	payload := testPayload
	payload.Pods = fakePods{everywhere: map[string]error{"etcd.yaml": no, "kube-scheduler.yaml": no}}
	_, err := Init(cfg, f, payload)
	var refused *ManifestError
	if !errors.As(err, &refused) || strings.Count(err.Error(), "spec.hostNetwork: must be true") != 2 ||
		!strings.Contains(err.Error(), "cannot use the manifest kube-scheduler.yaml: ") || refused.Hint() == "" {
		t.Errorf("everywhere: %v", err)
	}

	payload.Pods = fakePods{here: map[string]error{"etcd.yaml": no}}
	var failed *plan.PreflightError
	p, err := Init(cfg, f, payload)
	if !errors.As(err, &failed) || len(failed.Failed) != 1 || failed.Failed[0].Name != "Runnable-etcd" || len(p.Phases) != len(InitPhases()) {
		t.Errorf("here: %v", err)
	}
	cfg.IgnorePreflightErrors = []string{"runnable-etcd"}
	if _, err := Init(cfg, f, payload); err != nil {
		t.Errorf("ignored: %v", err)
	}
	cfg.IgnorePreflightErrors = nil
	f.UID = 1000
	if _, err := Init(cfg, f, payload); !errors.As(err, &failed) || slices.ContainsFunc(failed.Failed, func(c plan.Check) bool {
		return c.Name == "Runnable-etcd"
	}) {
		t.Errorf("not root: %v", err)
	}
}

// Guards: a volume's directory is made with its parents and forgotten by nobody: a run killed between making and recording it
// finds it ours, and reset removes it, outside the root too.
func TestMakeVolume(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	root, outside := filepath.Join(base, "root"), filepath.Join(base, "outside")
	mount := func(name, path, kind string) config.HostPathMount {
		return config.HostPathMount{Name: name, HostPath: path, MountPath: path, PathType: kind}
	}
	dir, file := filepath.Join(outside, "a", "b"), filepath.Join(outside, "c", "log")
	m := &machine{root: root, change: func(c *config.Config) {
		c.APIServer.ExtraVolumes = []config.HostPathMount{mount("dir", dir, "DirectoryOrCreate"), mount("file", file, "FileOrCreate")}
	}}
	m.sup = &fakeSupervisor{paths: m.config().Paths()}
	if _, err := m.init(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, file} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if result, err := m.init(t.Context()); err != nil || result.Changed != 0 {
		t.Errorf("again: %+v, %v", result, err)
	}
	if _, err := m.reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(outside); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", outside, err)
	}
}
