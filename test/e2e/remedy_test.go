//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// Each test here follows what the hint of a failed init says, as a user would, and then runs init again with
// the same arguments: it must end with a healthy control plane, and so must the next one.

// config writes a kubeadm file for a control plane on the loopback address.
func (n *node) config(cluster string) string {
	n.t.Helper()
	file := filepath.Join(n.base, "kubeadm.yaml")
	text := "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: 127.0.0.1}\n---\n" +
		"apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n" + cluster
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return file
}

// mended runs init again, once with the edited manifest and once more on the node that is set up.
func (n *node) mended(args ...string) {
	n.t.Helper()
	for range 2 {
		if r := n.run(time.Minute, append([]string{"init"}, args...)...); r.code != 0 {
			n.t.Fatalf("the remedy was followed: %s", r)
		}
	}
	if out := n.kubectl("auth", "can-i", "*", "*"); strings.TrimSpace(out) != "yes" {
		n.t.Errorf("admin.conf has no rights: %s", out)
	}
	if got := n.kubectl("get", "serviceaccount", "default", "-o", "name"); strings.TrimSpace(got) != "serviceaccount/default" {
		n.t.Errorf("the controllers have made %q", got)
	}
}

// hinted runs the first command in quotes of a hint.
func (r result) hinted(t testing.TB, pattern string) {
	t.Helper()
	m := regexp.MustCompile("'(" + pattern + "[^']*)'").FindStringSubmatch(r.stderr)
	if m == nil {
		t.Fatalf("no command %s in %s", pattern, r)
	}
	if out, err := exec.Command("/bin/sh", "-c", m[1]).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", m[1], err, out)
	}
}

// edit replaces text in a manifest, as an editor does: a new file in place of the old one.
func (n *node) edit(manifest, old, text string) {
	n.t.Helper()
	file := filepath.Join(n.root, "etc/kubernetes/manifests", manifest)
	data, err := os.ReadFile(file)
	if err != nil {
		n.t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) {
		n.t.Fatalf("no %q in %s", old, data)
	}
	if err := os.WriteFile(file, bytes.ReplaceAll(data, []byte(old), []byte(text)), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// patch writes a patch directory with one JSON patch that appends flags to a component's command.
func (n *node) patch(component string, flags ...string) string {
	n.t.Helper()
	dir := filepath.Join(n.base, "patches")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		n.t.Fatal(err)
	}
	var ops []string
	for _, flag := range flags {
		ops = append(ops, fmt.Sprintf(`{"op": "add", "path": "/spec/containers/0/command/-", "value": %q}`, flag))
	}
	if err := os.WriteFile(filepath.Join(dir, component+"+json.json"), []byte("["+strings.Join(ops, ",")+"]"), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return dir
}

// hold listens on a port.
func (n *node) hold(port int) net.Listener {
	n.t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { l.Close() })
	return l
}

// A flag that does not exist: sed mends the manifest, and the second init judges that and not the old log.
func TestRemedyUnknownFlag(t *testing.T) {
	n := newNode(t)
	config := n.config("apiServer:\n  extraArgs:\n  - {name: enable-admision-plugins, value: NodeRestriction}\n")
	r := n.run(time.Minute, "init", "--config", config)
	n.sick(r, "cause: kube-apiserver has no flag --enable-admision-plugins")
	r.hinted(t, "sed -i")
	n.mended("--config", config)
}

// A controller manager that is ready, leads, and exits then is not ready: the pod subnet has no room for a node's part.
func TestRemedyNodeMask(t *testing.T) {
	n := newNode(t)
	args := []string{"--apiserver-advertise-address", "127.0.0.1", "--pod-network-cidr", "10.244.0.0/20",
		"--patches", n.patch("kube-controller-manager", "--node-cidr-mask-size=18")}
	for range 2 { // a second init says the same
		n.sick(n.run(time.Minute, append([]string{"init"}, args...)...), "kube-controller-manager did not become healthy",
			"cause: the pod subnet 10.244.0.0/20 has no room for one node's part of it: --node-cidr-mask-size is 18",
			"--node-cidr-mask-size or a larger subnet")
	}
	n.edit("kube-controller-manager.yaml", "--node-cidr-mask-size=18", "--node-cidr-mask-size=24")
	n.mended(args...)
}

// A CA file with two certificates: refused before anything is written where it is seen, and named where it is not.
func TestRemedySeveralCACertificates(t *testing.T) {
	n := newNode(t)
	n.must("init", "phase", "certs", "--apiserver-advertise-address", "127.0.0.1")
	file := filepath.Join(n.root, "etc/kubernetes/pki/ca.crt")
	own, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(n.root, "etc/kubernetes/pki/etcd/ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(bytes.Clone(own), other...), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"--apiserver-advertise-address", "127.0.0.1"}
	const preflight = 3
	if r := n.run(time.Minute, append([]string{"init"}, args...)...); r.code != preflight || !strings.Contains(r.stderr, file+" holds 2 certificates") {
		t.Errorf("it is to be refused: %s", r)
	}
	r := n.run(time.Minute, append([]string{"init", "--ignore-preflight-errors", "all"}, args...)...)
	n.sick(r, "cause: "+file+" holds 2 certificates, and the controller manager signs with one alone")
	r.hinted(t, "openssl x509")
	n.mended(args...)
}

// Probes that the API server refuses: preflight says so, and where that is ignored the cause is found at once.
func TestRemedyProbeRefused(t *testing.T) {
	n := newNode(t)
	config := n.config("apiServer:\n  extraArgs:\n  - {name: anonymous-auth, value: 'false'}\n")
	const preflight = 3
	if r := n.run(time.Minute, "init", "--config", config); r.code != preflight || !strings.Contains(r.stderr, "401 Unauthorized") {
		t.Errorf("it is to be refused: %s", r)
	}
	args := []string{"--config", config, "--ignore-preflight-errors", "AnonymousProbes"}
	r := n.run(time.Minute, append([]string{"init"}, args...)...)
	n.sick(r, "cause: kube-apiserver answers its own probe with 401 (Unauthorized): --anonymous-auth=false")
	r.hinted(t, "sed -i")
	n.mended("--config", config)
}

// Arguments that move where components listen are followed by the checks of ports, by probes and by the others.
func TestArgumentsThatMove(t *testing.T) {
	n := newNode(t)
	client, peer, manager, scheduler := freePort(t), freePort(t), freePort(t), freePort(t)
	config := n.config(fmt.Sprintf(`etcd: {local: {extraArgs: [{name: listen-client-urls, value: "https://127.0.0.1:%d"},
  {name: listen-peer-urls, value: "https://127.0.0.1:%d"}, {name: name, value: first},
  {name: listen-metrics-urls, value: "http://127.0.0.1:%d"}]}}
controllerManager: {extraArgs: [{name: secure-port, value: "%d"}, {name: leader-elect, value: "false"},
  {name: controllers, value: "*,-serviceaccount-controller"}]}
scheduler: {extraArgs: [{name: secure-port, value: "%d"}, {name: bind-address, value: 0.0.0.0}, {name: leader-elect, value: "false"}]}
`, client, peer, freePort(t), manager, scheduler))
	held := n.hold(client)
	const preflight = 3
	if r := n.run(time.Minute, "init", "--config", config); r.code != preflight || !strings.Contains(r.stderr, fmt.Sprintf("port %d is in use", client)) {
		t.Errorf("the moved port is to be checked: %s", r)
	}
	held.Close()
	for range 2 {
		n.must("init", "--config", config)
	}
}

// followed are the causes of TestDiagnose whose remedy is a command or an edit of the manifest, and the pods that
// show them. What an edit has to be stands here; a command is taken from the remedy itself.
func followed() map[string]change {
	command := change(nil)
	return map[string]change{
		"unknown-flag-etcd": command, "bad-value-etcd": flagIs("snapshot-count", "1000"), "bad-level-etcd": flagIs("log-level", "info"),
		"bad-gate-etcd": flagIs("feature-gates", "InitialCorruptCheck=true"), "bad-value": flagIs("secure-port", "6443"),
		"unknown-flag": command, "bad-mode": flagIs("authorization-mode", "Node,RBAC"), "bad-gate": flagIs("feature-gates", "WatchList=true"),
		"bad-gate-value": flagIs("feature-gates", "WatchList=true"), "no-file": flagIs("tls-cert-file", ""), "no-right": command,
		"no-program": programIs("etcd"), "no-program-path": programIs("etcd"), "foreign": programIs("etcd"), "no-elf": programIs("etcd"),
		"not-executable": command, "noexec": command, "address": flagIs("listen-client-urls", "https://127.0.0.1:1234"),
		"address-api": flagIs("bind-address", ""), "wal": command, "wal-cut": command, "db-meta": command, "db-pages": command,
		"read-only": command, "no-dir": command, "no-right-etcd": command, "small": memoryAtMost("512Mi"), "stopped": command,
		"mismatch-etcd": flagIs("key-file", ""), "garbage": flagIs("tls-cert-file", ""),
	}
}

// follow does what the remedies say, and waits until no pod has the cause any more that it had.
func (l *lab) follow(wants map[string]expectation) {
	l.t.Helper()
	before := l.look()
	command := regexp.MustCompile(`'((?:sed -i |chmod |chown |mv |mount -o remount,|kill -CONT )[^']*)'`)
	for name, edit := range followed() {
		want, there := wants[name]
		if !there {
			continue // without the rights for it
		}
		if edit != nil {
			l.change(name, edit)
			continue
		}
		m := command.FindStringSubmatch(before[name].Diagnosis[0].Remedy)
		if m == nil {
			l.t.Errorf("%s: no command in the remedy: %s", want.cause, before[name])
			continue
		}
		if out, err := exec.Command("/bin/sh", "-c", m[1]).CombinedOutput(); err != nil {
			l.t.Errorf("%s: %s: %v\n%s", want.cause, m[1], err, out)
		}
		// init starts at once what waits in a crash loop; here a manifest that is another one does it.
		l.change(name, func(p *corev1.Pod) { p.Annotations["remedied"] = "true" })
	}
	l.eventually(2*time.Minute, "the remedies help", func() error {
		now := l.look()
		for name := range followed() {
			want, there := wants[name]
			if !there {
				continue
			}
			got, known := now[name]
			if !known {
				return fmt.Errorf("%s is not there", name)
			}
			for _, d := range got.Diagnosis {
				if d.Cause == want.cause {
					return fmt.Errorf("%s has it still: %s", want.cause, got)
				}
			}
		}
		return nil
	})
}

// change alters the manifest of a pod of the lab.
func (l *lab) change(name string, edit change) {
	l.t.Helper()
	file := filepath.Join(l.pods, name+".yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict(data, &pod); err != nil {
		l.t.Fatal(err)
	}
	edit(&pod)
	if data, err = yaml.Marshal(pod); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		l.t.Fatal(err)
	}
}
