//go:build e2e

package e2e

import (
	"os"
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
