//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
)

// With the feature gate RootlessControlPlane each component runs as a user of its own, without capabilities but that to bind,
// the control plane works, also when everything was started again and a key is new, and reset
// gives back what was there before.
func TestRootless(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it takes root's rights to run components as other users")
	}
	n := newNode(t)
	n.haveServiceAccountKey()
	before := n.snapshot()
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(n.base, "kubeadm.yaml")
	const document = `apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
featureGates: {RootlessControlPlane: true}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 127.0.0.1}
`
	if err := os.WriteFile(file, []byte(document), 0o644); err != nil {
		t.Fatal(err)
	}
	n.must("init", "--config", file)
	n.rootless()
	n.kubectl("create", "namespace", "made-by-users")
	n.kubectl("create", "serviceaccount", "somebody")
	n.kubectl("create", "token", "somebody") // signed with sa.key

	if r := n.must("init", "--config", file); !strings.Contains(r.stdout, "nothing was changed") {
		t.Errorf("run again it changes something: %s", r)
	}
	n.must("certs", "renew", "apiserver")
	n.waitReady()
	n.rootless()
	n.kubectl("get", "namespace", "made-by-users")

	n.must("reset", "--force")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if diff := difference(before, n.snapshot()); diff != "" {
		t.Errorf("reset does not give back what was there:\n%s", diff)
	}
	if now, err := os.ReadFile("/etc/passwd"); err != nil || string(now) != string(passwd) {
		t.Errorf("below a root the host's users have changed: %v", err)
	}
}

// haveServiceAccountKey puts a key pair there that is not kubecrank's.
func (n *node) haveServiceAccountKey() {
	n.t.Helper()
	n.must("init", "phase", "certs", "sa", "--apiserver-advertise-address", "127.0.0.1")
	pki := filepath.Join(n.root, "etc/kubernetes/pki")
	pair := map[string][]byte{}
	for _, name := range []string{"sa.key", "sa.pub"} {
		data, err := os.ReadFile(filepath.Join(pki, name))
		if err != nil {
			n.t.Fatal(err)
		}
		pair[name] = data
	}
	n.must("reset", "--force")
	if err := os.MkdirAll(pki, 0o755); err != nil {
		n.t.Fatal(err)
	}
	for name, data := range pair {
		if err := os.WriteFile(filepath.Join(pki, name), data, 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
}

// rootless fails unless the four components run as four users, none of them root, and with no more capabilities than their manifests say.
func (n *node) rootless() {
	n.t.Helper()
	users := map[string]string{}
	for _, name := range components() {
		fields, err := procfs.ReadStatus(n.pod(name).PID)
		if err != nil {
			n.t.Fatal(err)
		}
		uid := fields["Uid"]
		if other, taken := users[uid]; taken || strings.HasPrefix(uid, "0\t") {
			n.t.Errorf("%s runs as user %s, as %q", name, uid, other)
		}
		users[uid] = name
		allowed := "0000000000000000"
		if name == "kube-apiserver" {
			allowed = "0000000000000400" // NET_BIND_SERVICE, as its manifest says
		}
		if fields["CapEff"] != allowed {
			n.t.Errorf("%s has the capabilities %s, not %s", name, fields["CapEff"], allowed)
		}
	}
}

// The users of RootlessControlPlane reach what they need under every umask: directories and files have the modes that were asked for.
func TestRootlessUmask(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it takes root's rights to run components as other users")
	}
	for _, umask := range []int{0o027, 0o077} {
		t.Run(fmt.Sprintf("%04o", umask), func(t *testing.T) {
			n := newNode(t)
			file := filepath.Join(n.base, "kubeadm.yaml")
			const document = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nfeatureGates: {RootlessControlPlane: true}\n---\n" +
				"apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: 127.0.0.1}\n"
			if err := os.WriteFile(file, []byte(document), 0o644); err != nil {
				t.Fatal(err)
			}
			old := syscall.Umask(umask)
			defer syscall.Umask(old)
			n.must("init", "--config", file)
			n.rootless()
			for dir, mode := range map[string]os.FileMode{
				"etc/kubernetes": 0o755, "etc/kubernetes/manifests": 0o700, "etc/kubernetes/pki/etcd": 0o755, "var/lib/etcd": 0o700,
				"var/lib/kubecrank": 0o711, "var/lib/kubecrank/components": 0o755, "var/log/pods": 0o755, "run/kubecrank": 0o700,
			} {
				info, err := os.Stat(filepath.Join(n.root, dir))
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode().Perm() != mode {
					t.Errorf("%s has mode %v, want %v", dir, info.Mode(), mode)
				}
			}
			n.must("reset", "--force")
		})
	}
}

// On the default paths the users are made, listed, and gone after reset.
func TestRootlessDefaultPaths(t *testing.T) {
	n := defaultNode(t)
	before := [2][]byte{}
	for i, file := range []string{"/etc/passwd", "/etc/group"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before[i] = data
	}
	t.Cleanup(func() { n.run(time.Minute, "reset", "--force") })
	file := n.kubeadmFile("", "featureGates: {RootlessControlPlane: true}")
	n.must("init", "--config", file)
	n.rootless()
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil || strings.Count(string(passwd), "\nkubeadm-") != 4 {
		t.Errorf("there are not four more users: %v\n%s", err, passwd)
	}
	n.must("reset", "--force")
	for i, file := range []string{"/etc/passwd", "/etc/group"} {
		if data, err := os.ReadFile(file); err != nil || string(data) != string(before[i]) {
			t.Errorf("reset does not restore %s: %v\n%s", file, err, data)
		}
	}
}
