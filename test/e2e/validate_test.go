//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// config validate knows the flags of the components in this very program, before
// any was staged, and names every argument that they do not take; nothing is written.
func TestValidateKnowsFlags(t *testing.T) {
	n := newNode(t)
	file := filepath.Join(n.base, "kubeadm.yaml")
	text := `apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: "\0"
apiServer:
  extraArgs:
  - {name: audit-log-pth, value: /var/log/audit}
  - {name: max-requests-inflight, value: many}
  - {name: v, value: "2"}
  - {name: feature-gates, value: NoSuchGate=true}
  - {name: kubelet-port, value: "10250"}
controllerManager:
  extraArgs: [{name: node-monitor-period, value: "5"}]
scheduler:
  extraArgs: [{name: kube-api-qps, value: "50"}]
etcd:
  local:
    extraArgs: [{name: quota-backend-bytes, value: 8Gi}, {name: snapshot-count, value: "5000"}]
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	before := listTemporary(t)
	r := n.run(time.Minute, "config", "validate", file)
	if r.code != 2 {
		t.Errorf("exit code %d, want 2", r.code)
	}
	for _, want := range []string{
		":3: cannot use clusterName", // what is wrong otherwise is said, too
		":6: cannot use apiServer.extraArgs[0] \"audit-log-pth\": kube-apiserver 1.36.3 has no such flag",
		"Did you mean \"audit-log-path\"?",
		":7: cannot use apiServer.extraArgs[1] \"max-requests-inflight=many\"",
		"apiServer.extraArgs: kube-apiserver 1.36.3 does not list feature gate NoSuchGate: ",
		// It is hidden, and so not in the help text.
		"apiServer.extraArgs: Flag --kubelet-port has been deprecated, kubelet-port is deprecated and will be removed.",
		":12: cannot use controllerManager.extraArgs[0] \"node-monitor-period=5\"",
		":17: cannot use etcd.local.extraArgs[0] \"quota-backend-bytes=8Gi\": etcd 3.6.8 does not take it",
	} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("it does not say %q:\n%s", want, r.stderr)
		}
	}
	if got := strings.Count(r.stderr, "  - "); got != 5 {
		t.Errorf("%d errors, want 5:\n%s", got, r.stderr)
	}
	if _, err := os.Stat(n.root); err == nil {
		t.Error("something was written below the root")
	}
	if after := listTemporary(t); !slices.Equal(before, after) {
		t.Errorf("left in %s: %q, before: %q", os.TempDir(), after, before)
	}

	// The flags of another version are not known, and that is said.
	other := strings.Replace(text, `clusterName: "\0"`, "kubernetesVersion: v1.34.4", 1)
	if err := os.WriteFile(file, []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	r = n.run(time.Minute, "config", "validate", file)
	if r.code != 2 || !strings.Contains(r.stderr, "apiServer.extraArgs was not checked: "+
		"the flags of kube-apiserver 1.36.3 are known here, and the configuration is for 1.34.4") {
		t.Errorf("exit code %d:\n%s", r.code, r.stderr)
	}
}

// listTemporary lists what a kubecrank may have left in the directory for temporary files.
func listTemporary(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(os.TempDir(), ".kubecrank-tmp-*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A run for another version than the one inside is refused with both versions and the ways out, and writes nothing; a dry-run takes it.
func TestOtherVersionIsRefused(t *testing.T) {
	n := newNode(t)
	args := []string{"--kubernetes-version", "v1.35.4", "--apiserver-advertise-address", "127.0.0.1"}
	r := n.run(time.Minute, append([]string{"init"}, args...)...)
	for _, want := range []string{
		`cannot use --kubernetes-version (kubernetesVersion) "v1.35.4": this kubecrank carries Kubernetes v1.36.3`,
		"hint: Leave it out, give components of v1.35.4 with --components-dir, or use a kubecrank that carries v1.35.4.",
	} {
		if r.code != 2 || !strings.Contains(r.stderr, want) {
			t.Errorf("exit code %d, and it does not say %q:\n%s", r.code, want, r.stderr)
		}
	}
	r = n.must(append([]string{"init", "--dry-run", "-o", "yaml"}, args...)...)
	if !strings.Contains(r.stdout, "kube-apiserver:v1.35.4") {
		t.Errorf("the dry-run is not for v1.35.4: %s", r.stdout)
	}
	// The real components in a directory are of another version, too: their file says so, and nothing has to be started.
	n.components = filepath.Join(n.base, "components")
	n.linkComponents("components")
	r = n.run(time.Minute, append([]string{"init"}, args...)...)
	if r.code != 2 || !strings.Contains(r.stderr, "components/kube-apiserver is of Kubernetes v1.36.3\n") {
		t.Errorf("components of a directory: exit code %d:\n%s", r.code, r.stderr)
	}
	if _, err := os.Stat(n.root); err == nil {
		t.Error("something was written below the root")
	}
}

// What the payload says of flags is what the components say: they refuse the values that the data refuses, and take the others.
func TestFlagDataIsTrue(t *testing.T) {
	n := newNode(t)
	n.components = filepath.Join(n.base, "components")
	n.linkComponents("components")
	for _, c := range []struct {
		component, field, flag, value string
		refused                       bool
	}{
		{"kube-apiserver", "apiServer", "profiling", "perhaps", true},
		{"kube-apiserver", "apiServer", "request-timeout", "5", true},
		{"kube-apiserver", "apiServer", "request-timeout", "5s", false},
		{"kube-apiserver", "apiServer", "v", "-1", true},
		{"kube-apiserver", "apiServer", "max-requests-inflight", "0x10", false},
		{"kube-apiserver", "apiServer", "kubelet-port", "10250", false},
		{"kube-controller-manager", "controllerManager", "kube-api-qps", "many", true},
		{"kube-controller-manager", "controllerManager", "kube-api-qps", "1.5", false},
		{"kube-controller-manager", "controllerManager", "concurrent-deployment-syncs", "99999999999", true},
		{"kube-scheduler", "scheduler", "feature-gates", "AllAlpha=maybe", true},
		{"kube-scheduler", "scheduler", "feature-gates", "AllAlpha=false", false},
		{"kube-scheduler", "scheduler", "no-such-flag", "1", true},
		{"etcd", "etcd.local", "snapshot-count", "1.5", true},
		{"etcd", "etcd.local", "heartbeat-interval", "200", false},
		{"etcd", "etcd.local", "auto-compaction-retention", "1h", false},
		{"etcd", "etcd.local", "pre-vote", "perhaps", true},
		{"etcd", "etcd.local", "grpc-keepalive-interval", "5", true},
	} {
		arg := "--" + c.flag + "=" + c.value
		asked := exec.Command(filepath.Join(n.components, c.component), arg, "--version=true").Run() != nil
		text := "extraArgs: [{name: " + c.flag + ", value: \"" + c.value + "\"}]"
		if c.field == "etcd.local" {
			text = "etcd: {local: {" + text + "}}"
		} else {
			text = c.field + ": {" + text + "}"
		}
		file := filepath.Join(n.base, "kubeadm.yaml")
		if err := os.WriteFile(file, []byte("apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		r := n.run(time.Minute, "config", "validate", file)
		if asked != c.refused || (r.code == 2) != c.refused {
			t.Errorf("%s %s: refused by itself: %t, by the data: exit code %d, want %t\n%s", c.component, arg, asked, r.code, c.refused, r.stderr)
		}
	}
}
