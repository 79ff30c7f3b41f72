//go:build oracle

package kubeadm

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/cmd/cli"
)

// kubeconfig user prints what kubeadm kubeconfig user prints, for users with a certificate and with a token.
func TestUserKubeconfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, pki := filepath.Join(dir, "root"), filepath.Join(dir, "root/etc/kubernetes/pki")
	file := filepath.Join(dir, "kubeadm.yaml")
	write(t, file, fmt.Appendf(nil, `apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: %%s
clusterName: prod
controlPlaneEndpoint: api.example.com:8443
certificatesDir: %s
encryptionAlgorithm: ECDSA-P384
certificateValidityPeriod: 100h
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration: {name: master}
localAPIEndpoint: {advertiseAddress: 192.0.2.10}
`, pki), 0o644)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		write(t, filepath.Join(dir, "components", name), []byte("#!/bin/sh\n"), 0o755) // certificates need none
	}
	ours := func(args ...string) []byte {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code := cli.Main(t.Context(), args, cli.Stdio{In: &bytes.Buffer{}, Out: &stdout, Err: &stderr})
		if code != 0 {
			t.Fatalf("kubecrank %v: %d\n%s", args, code, stderr.String())
		}
		return stdout.Bytes()
	}
	for i, k := range kubeadms(t) {
		write(t, file, fmt.Appendf(nil, string(text), k.version), 0o644)
		if i == 0 {
			ours("init", "phase", "certs", "--root", root, "--config", file, "--components-dir", filepath.Join(dir, "components"))
		}
		ca, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
		if err != nil {
			t.Fatal(err)
		}
		for name, args := range map[string][]string{
			"name":     {"--client-name", "alice"},
			"groups":   {"--client-name", "alice", "--org", "dev,ops", "--org", "x"},
			"validity": {"--client-name", "alice", "--validity-period", "36h"},
			"token":    {"--client-name", "robot", "--token", "abc"},
		} {
			args = append([]string{"kubeconfig", "user", "--config", file}, args...)
			started := time.Now()
			theirs, err := exec.Command(k.path, args...).Output()
			if err != nil {
				t.Fatal(err)
			}
			mine := ours(append(args, "--root", root)...)
			if name == "token" {
				if !bytes.Equal(bytes.TrimSpace(theirs), bytes.TrimSpace(mine)) {
					t.Errorf("%s %s:\nkubeadm %s\nkubecrank %s", k.version, name, theirs, mine)
				}
				continue
			}
			made := func(data []byte) *side {
				return &side{started: started, pki: pki, files: map[string]written{
					filepath.Join(pki, "ca.crt"): {ca, 0o644}, "/etc/kubernetes/alice.conf": {data, 0o600}}}
			}
			for _, d := range compare(made(theirs), made(mine)) {
				t.Errorf("%s %s: %s", k.version, name, d)
			}
		}
	}
}
