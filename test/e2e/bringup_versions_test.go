//go:build e2e

package e2e

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
)

var versions = flag.Bool("versions", false, "bring up every Kubernetes minor, with components from -bin")

// A control plane of each Kubernetes minor, with its own components in a
// directory of symlinks: the flags and the etcd of that version are rendered,
// it passes the main job's checks, and is reset clean.
func TestVersions(t *testing.T) {
	if !*versions {
		t.Skip("the components of all minors take long to build: make versions")
	}
	for _, v := range []struct{ file, kubernetes, etcd string }{
		{"components-v1.34", "v1.34.4", "3.6.5"},
		{"components-v1.35", "v1.35.4", "3.6.6"},
		{"components", "v1.36.3", "3.6.8"},
	} {
		t.Run(v.kubernetes, func(t *testing.T) {
			n := newNode(t)
			n.version, n.components = v.kubernetes, filepath.Join(n.base, "components")
			program := n.linkComponents(v.file)
			out, err := exec.Command(filepath.Join(n.components, "etcd"), "--version").Output()
			if !strings.HasPrefix(string(out), "etcd Version: "+v.etcd+"\n") {
				t.Fatalf("the etcd of %s is not %s: %s, %v", v.file, v.etcd, out, err)
			}
			file := n.kubeadmFile("", "kubernetesVersion: "+v.kubernetes)
			if r := n.must("init", "--config", file, "--dry-run", "-o", "yaml"); !strings.Contains(r.stdout, "/etcd:"+v.etcd+"-0\n") {
				t.Errorf("the manifests are not of etcd %s: %s", v.etcd, r)
			}
			before := n.snapshot()
			r := n.must("init", "--config", file)
			t.Logf("init took %s", r.took.Round(time.Millisecond))
			n.check(t, append(mainJob(), check{"components used", func(t *testing.T, n *node) { testRuns(t, n, program) }})...)
			n.resetClean(before)
		})
	}
}

// linkComponents makes the node's directory of symlinks to a multi-call binary, and returns the binary's path.
func (n *node) linkComponents(file string) string {
	n.t.Helper()
	program, err := filepath.Abs(filepath.Join(*bin, file))
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		n.t.Fatalf("run make versions: %v", err)
	}
	if err := os.Mkdir(n.components, 0o755); err != nil {
		n.t.Fatal(err)
	}
	for _, name := range append(components(), "etcdutl", "kubectl") {
		if err := os.Symlink(program, filepath.Join(n.components, name)); err != nil {
			n.t.Fatal(err)
		}
	}
	return program
}

// testRuns wants every pod to run this program, and none to be staged.
func testRuns(t *testing.T, n *node, program string) {
	for _, pod := range n.status().Pods {
		if exe, err := procfs.Exe(pod.PID); err != nil || exe != program {
			t.Errorf("%s runs %s, %v; want %s", pod.Name, exe, err, program)
		}
	}
	if staged, _ := os.ReadDir(filepath.Join(n.root, "var/lib/kubecrank/components")); len(staged) > 0 { // none: no directory
		t.Errorf("components are staged: %v", staged)
	}
}
