package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Only flags of ours that come first are ours: kubectl has a -v and an -o of its own.
func TestSplitKubectlArgs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ args, own, rest string }{
		{"get pods -o wide", "", "get pods -o wide"},
		{"--root /r get pods --root /x", "--root /r", "get pods --root /x"},
		{"--root=/r --components-dir c -v 6 get", "--root=/r --components-dir c", "-v 6 get"},
		{"--namespace kube-system --root /r get", "", "--namespace kube-system --root /r get"},
		{"--root", "--root", ""},
		{"", "", ""},
	} {
		own, rest := splitKubectlArgs(strings.Fields(tc.args))
		if strings.Join(own, " ") != tc.own || strings.Join(rest, " ") != tc.rest {
			t.Errorf("%q: own %q, rest %q", tc.args, own, rest)
		}
	}
}

// kubectl must talk to this control plane, whatever the shell's KUBECONFIG says, unless --kubeconfig says otherwise.
func TestKubectlEnv(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	conf := filepath.Join(root, "etc/kubernetes/admin.conf")
	a := &app{stdio: Stdio{Env: []string{"HOME=/h", "KUBECONFIG=/other"}}, global: globalFlags{root: root}}
	if _, err := a.kubectlEnv([]string{"get", "pods"}, true); err == nil || !strings.Contains(err.Error(), conf) {
		t.Fatalf("without admin.conf: error %v, want one that names %s", err, conf)
	}
	if _, err := a.kubectlEnv([]string{"options"}, false); err != nil {
		t.Errorf("what talks to no server needs no control plane: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(conf), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	env, err := a.kubectlEnv([]string{"get", "pods"}, true)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"HOME=/h", "KUBECACHEDIR=" + root + "/var/lib/kubecrank/kubectl-cache", "KUBECONFIG=" + conf}
	if !slices.Equal(env, want) {
		t.Errorf("environment %q, want %q", env, want)
	}
	env, err = a.kubectlEnv([]string{"--kubeconfig=/mine", "get", "pods"}, true)
	if err != nil || !slices.Contains(env, "KUBECONFIG=/other") {
		t.Errorf("with --kubeconfig: environment %q, error %v; want it untouched", env, err)
	}
}

func TestTalksToServer(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]bool{
		"get pods": true, "version": true, "version --client": false, "get --help": false, "": false,
		"exec pod -- sh -h": true, "completion bash": false, "kustomize .": false,
	} {
		if got := talksToServer(strings.Fields(args)); got != want {
			t.Errorf("talksToServer(%q) = %t, want %t", args, got, want)
		}
	}
}
