//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
)

// bringUp is a control plane that is made in one particular way.
type bringUp struct {
	name string
	// file prepares what the configuration names, and returns the kubeadm file:
	// the fields of its InitConfiguration and of its ClusterConfiguration.
	file func(t *testing.T, n *node) (init, cluster string)
	// seen looks at whether what was asked for is there.
	seen func(t *testing.T, n *node)
}

// A control plane comes up with each of these kubeadm files, passes the main
// job's checks, shows what was asked for in what runs, and is reset clean.
// They come up one after the other, and then are checked side by side: that is
// mostly waiting for the controller manager, which leaves a namespace alone for
// five seconds.
func TestBringUp(t *testing.T) {
	for _, b := range []bringUp{
		{"RSA keys", rsaFile, rsaSeen},
		{"external etcd", externalEtcdFile, externalEtcdSeen},
		{"dual stack", dualStackFile, dualStackSeen},
		{"external CA", externalCAFile, externalCASeen},
		{"patches", patchesFile, patchesSeen},
		{"volumes and environment", volumesFile, volumesSeen},
	} {
		t.Run(b.name, func(t *testing.T) {
			n := newNode(t)
			init, cluster := b.file(t, n)
			file := n.kubeadmFile(init, cluster)
			before := n.snapshot()
			r := n.must("init", "--config", file)
			t.Logf("init took %s", r.took.Round(time.Millisecond))
			t.Parallel()
			n.check(t, append(mainJob(), check{b.name, b.seen})...)
			n.resetClean(before)
		})
	}
}

// kubeadmFile writes a kubeadm file and returns its path.
func (n *node) kubeadmFile(init, cluster string) string {
	n.t.Helper()
	path := filepath.Join(n.base, "kubeadm.yaml")
	n.write(path, fmt.Sprintf(`apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 127.0.0.1}
%s
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
%s
`, init, cluster))
	return path
}

// write makes a file, and the directories above it.
func (n *node) write(path, content string) {
	n.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// wantProc fails the test unless all of it is in a list of the pod's process: procfs.Args or procfs.Environ.
func (n *node) wantProc(pod string, list func(pid int) ([]string, error), want ...string) {
	n.t.Helper()
	got, err := list(n.pod(pod).PID)
	for _, w := range want {
		if !slices.Contains(got, w) {
			n.t.Errorf("process of %s lacks %q: %q, %v", pod, w, got, err)
		}
	}
}

// Patches of the three kinds. The variable of the strategic one takes its value
// from the label of the merge one, so that both are seen in the process.
func patchesFile(_ *testing.T, n *node) (init, cluster string) {
	dir := filepath.Join(n.base, "patches")
	n.write(filepath.Join(dir, "kube-scheduler0+strategic.yaml"), `spec:
  containers:
  - name: kube-scheduler
    env:
    - name: TEAM
      valueFrom: {fieldRef: {fieldPath: "metadata.labels['team']"}}
`)
	n.write(filepath.Join(dir, "kube-scheduler1+merge.yaml"), "metadata: {labels: {team: platform}}\n")
	n.write(filepath.Join(dir, "etcd+json.json"),
		`[{"op": "add", "path": "/spec/containers/0/command/-", "value": "--quota-backend-bytes=4294967296"}]`)
	return "patches: {directory: " + dir + "}", ""
}

func patchesSeen(_ *testing.T, n *node) {
	n.wantProc("kube-scheduler", procfs.Environ, "TEAM=platform")
	n.wantProc("etcd", procfs.Args, "--quota-backend-bytes=4294967296")
}

// Extra volumes are there for the process (its audit log is written into one,
// after the policy of the other), and extra variables are in its environment.
// As root the policy is mounted at another path, where the host has an empty
// file that the API server would not start with.
func volumesFile(_ *testing.T, n *node) (init, cluster string) {
	policy := filepath.Join(n.base, "audit/policy.yaml")
	n.write(policy, `apiVersion: audit.k8s.io/v1
kind: Policy
rules: [{level: Metadata, verbs: [create], resources: [{group: "", resources: [namespaces]}]}]
`)
	mounted := policy
	if os.Geteuid() == 0 {
		mounted = filepath.Join(n.base, "audit/mounted.yaml")
		n.write(mounted, "")
	}
	return "nodeRegistration: {name: node-1}", strings.NewReplacer("POLICY", policy, "MOUNTED", mounted, "LOG", n.base+"/audit/log").Replace(`etcd:
  local:
    extraEnvs: [{name: ETCD_MAX_REQUEST_BYTES, value: "3000000"}]
apiServer:
  extraArgs: [{name: audit-policy-file, value: MOUNTED}, {name: audit-log-path, value: LOG/audit.log}]
  extraVolumes:
  - {name: policy, hostPath: POLICY, mountPath: MOUNTED, pathType: File, readOnly: true}
  - {name: log, hostPath: LOG, mountPath: LOG, pathType: DirectoryOrCreate}
  extraEnvs: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: ON_NODE, value: "on $(NODE)"}]
controllerManager:
  extraEnvs: [{name: GODEBUG, value: x509sha1=1}]
scheduler:
  extraEnvs: [{name: EMPTY}]
`)
}

func volumesSeen(t *testing.T, n *node) {
	n.wantProc("kube-apiserver", procfs.Environ, "NODE=node-1", "ON_NODE=on node-1")
	n.wantProc("kube-controller-manager", procfs.Environ, "GODEBUG=x509sha1=1")
	n.wantProc("kube-scheduler", procfs.Environ, "EMPTY=")
	n.wantProc("etcd", procfs.Environ, "ETCD_MAX_REQUEST_BYTES=3000000")
	log, err := os.ReadFile(filepath.Join(n.base, "audit/log/audit.log"))
	if err != nil || !strings.Contains(string(log), `"objectRef":{"resource":"namespaces","name":"work"`) {
		t.Errorf("the audit log does not tell of the namespace that was made (%v):\n%s", err, log)
	}
	// What is in a directory that the user named is the user's: reset leaves it.
	if err := os.RemoveAll(filepath.Join(n.base, "audit/log")); err != nil {
		t.Fatal(err)
	}
}

// Two families of addresses for services and pods.
func dualStackFile(t *testing.T, n *node) (init, cluster string) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("the loopback interface has no IPv6 address: %v", err)
	}
	l.Close()
	return "", `networking: {serviceSubnet: "10.96.0.0/16,fd00:10:96::/112", podSubnet: "10.244.0.0/16,fd00:10:244::/56"}`
}

// A service has an address of each family, and a node a pod subnet of each; the API server listens on both.
func dualStackSeen(t *testing.T, n *node) {
	n.apply(`{apiVersion: v1, kind: Service, metadata: {name: both, namespace: default},
		spec: {ipFamilyPolicy: RequireDualStack, ports: [{port: 80}]}}`)
	got := strings.Fields(n.kubectl("get", "service", "both", "-o", "jsonpath={.spec.clusterIPs[0]} {.spec.clusterIPs[1]}"))
	if len(got) != 2 || !strings.HasPrefix(got[0], "10.96.") || !strings.HasPrefix(got[1], "fd00:10:96::") {
		t.Errorf("the service has the addresses %q", got)
	}
	n.apply(`{apiVersion: v1, kind: Node, metadata: {name: node-1}}`)
	n.eventually(time.Minute, "a pod subnet of each family for the node", func() error {
		got := strings.Fields(n.kubectl("get", "node", "node-1", "-o", "jsonpath={.spec.podCIDRs[0]} {.spec.podCIDRs[1]}"))
		if len(got) != 2 || !strings.HasPrefix(got[0], "10.244.") || !strings.HasPrefix(got[1], "fd00:10:244:") {
			return fmt.Errorf("it has %q", got)
		}
		return nil
	})
	for _, host := range []string{"127.0.0.1", "::1"} {
		n.servedCertificate(host)
	}
}

// apply makes an object through the API.
func (n *node) apply(object string) {
	n.t.Helper()
	if r := n.runWithInput(object, time.Minute, "kubectl", "create", "-f", "-"); r.code != 0 {
		n.t.Fatal(r)
	}
}
