//go:build oracle

// Package kubeadm compares kubecrank with the real kubeadm, which test/oracle
// builds: both are given the same configuration file, and all that they write
// is compared, field by field, as typed objects.
//
//	cases ──YAML──┬─ kubeadm init --dry-run ───────────────────────────┐
//	              │                                                    ├─ files ─ leaves ─ compare ─ differences
//	              └─ config.Parse ─ phases.Init ─ apply, in memory ────┘
//
// Nothing may differ but what a line of the table of deliberate differences
// allows (differences_test.go), and every line has to be needed. The table is
// docs/reference/differences.md too, which -update writes.
//
// kubeadm's dry-run needs neither root nor kubelet, runtime or network. Where
// it may, the test gives kubeadm a root directory of its own (kubeadm
// --rootfs), so that neither CA directories nor a cluster of this machine have
// a say. Cases whose files have to exist before, or that are about directories,
// run it for real there; they are skipped where that is not allowed.
package kubeadm

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	programs = flag.String("kubeadm", "../../bin/kubeadm-v1.36,../../bin/kubeadm-v1.35,../../bin/kubeadm-v1.34",
		"the kubeadm programs to compare with, one per minor version")
	update = flag.Bool("update", false, "write docs/reference/differences.md")
)

func TestMain(m *testing.M) {
	flag.Parse()
	syscall.Umask(0o022) // modes are compared
	os.Exit(m.Run())
}

// kubeadm is one version of the real program.
type kubeadm struct {
	path    string
	version string // "v1.36.3"
	minor   int    // 36
}

func kubeadms(t *testing.T) []kubeadm {
	t.Helper()
	var out []kubeadm
	for _, name := range strings.Split(*programs, ",") {
		path, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := exec.Command(path, "version", "-o", "short").Output()
		if err != nil {
			t.Fatalf("cannot run %s (make oracle builds it): %v", path, err)
		}
		version := strings.TrimSpace(string(text))
		parts := strings.Split(version, ".")
		if len(parts) < 3 || parts[0] != "v1" {
			t.Fatalf("%s says it is version %q", path, version)
		}
		minor, err := strconv.Atoi(parts[1])
		if err != nil {
			t.Fatalf("%s says it is version %q", path, version)
		}
		out = append(out, kubeadm{path: path, version: version, minor: minor})
	}
	return out
}

// isolated says whether kubeadm can be given a root directory, by root or in a user namespace.
func isolated(t *testing.T, k kubeadm) bool {
	t.Helper()
	err := k.run(prepared{root: t.TempDir(), isolated: true}, "version", "-o", "short")
	if err != nil {
		t.Logf("kubeadm runs on this machine as it is: %v", err)
	}
	return err == nil
}

// timeout is for one run of kubeadm: it takes 0.2 s, and a minute with keys of RSA-4096 on a busy machine.
const timeout = 5 * time.Minute

// run runs kubeadm in the case's environment only, so that no proxy and no setting of the caller has a say.
func (k kubeadm) run(c prepared, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if c.isolated {
		args = append([]string{"--rootfs", c.root}, args...)
	}
	cmd := exec.CommandContext(ctx, k.path, args...)
	cmd.Env = append([]string{"PATH=/nonexistent", "HOME=/nonexistent", "KUBEADM_INIT_DRYRUN_DIR=" + c.inside(dryRunDir)}, c.env...)
	if c.isolated && os.Geteuid() != 0 {
		one := func(id int) []syscall.SysProcIDMap {
			return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: one(os.Geteuid()),
			GidMappings: one(os.Getegid())}
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		text := stderr.String() // warnings, then the error
		return fmt.Errorf("kubeadm %s: %w\n%s", strings.Join(args, " "), err, text[max(0, strings.Index(text, "error: ")):])
	}
	return nil
}

// Where kubeadm finds its input, and writes in a dry-run.
const (
	configFile = "/config/kubeadm.yaml"
	patchesDir = "/config/patches"
	dryRunDir  = "/dry-run"
)

// dryRun is what kubeadm init would write, under the names it would have.
func (k kubeadm) dryRun(t *testing.T, c prepared) (*side, error) {
	t.Helper()
	args := []string{"init", "--dry-run", "--ignore-preflight-errors=all", "--config", c.inside(configFile)}
	if !strings.Contains(string(c.document), "skipPhases: [") && !strings.Contains(string(c.document), "skipPhases:\n") {
		// The checks look names up in the DNS, and those that follow the manifests wait for what a fake API server never says.
		args = append(args, "--skip-phases=preflight,wait-control-plane,upload-config,mark-control-plane,bootstrap-token,"+
			"kubelet-finalize,addon,show-join-command")
	}
	s := &side{started: time.Now(), pki: c.pki, files: map[string]written{}}
	if err := k.run(c, args...); err != nil {
		return nil, err
	}
	s.read(t, filepath.Join(c.root, dryRunDir), func(name string) string {
		switch filepath.Ext(name) {
		case ".conf":
			return filepath.Join("/etc/kubernetes", name)
		case ".yaml", ".env":
			if slices.Contains([]string{"config.yaml", "instance-config.yaml", "kubeadm-flags.env"}, name) {
				return filepath.Join("/var/lib/kubelet", name)
			}
			return filepath.Join("/etc/kubernetes/manifests", name)
		}
		return filepath.Join(c.pki, name)
	})
	return s, nil
}

// really is what kubeadm writes when it runs for real in its root directory.
// It runs the phases that write files and act on nothing else.
func (k kubeadm) really(t *testing.T, c prepared) (*side, error) {
	t.Helper()
	s := &side{started: time.Now(), pki: c.pki, files: map[string]written{}, dirs: map[string]fs.FileMode{}}
	for _, phase := range [][]string{{"certs", "all"}, {"kubeconfig", "all"}, {"etcd", "local"}, {"control-plane", "all"}} {
		args := append([]string{"init", "phase"}, phase...)
		if err := k.run(c, append(args, "--config", configFile)...); err != nil {
			return nil, err
		}
	}
	for _, dir := range c.places() {
		s.read(t, filepath.Join(c.root, dir), func(name string) string { return filepath.Join(dir, name) })
	}
	return s, nil
}

// places are the directories that both programs write into, other than the kubelet's.
func (c prepared) places() []string {
	places := []string{"/etc/kubernetes", c.pki}
	if c.etcdData != "" {
		places = append(places, c.etcdData)
	}
	return places
}

// compares says whether a directory is one that both programs make, and not a parent of one.
func (c prepared) compares(dir string) bool {
	return slices.ContainsFunc(c.places(), func(place string) bool { return dir == place || strings.HasPrefix(dir, place+"/") })
}

func write(t *testing.T, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
}
