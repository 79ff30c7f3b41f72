package cli

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/runtime/payload"
)

// versionTimeout bounds how long kube-apiserver may take to print its version (0.1 s).
const versionTimeout = 2 * time.Second

// checkVersion is an error if the configuration is for another version of Kubernetes than the components that
// the run is about to start. A dry-run does not call it: that one takes every version that is supported.
func (r *run) checkVersion(ctx context.Context, phase string) error {
	whole, _, _ := strings.Cut(phase, "/")
	if phase != "" && !slices.Contains([]string{"components", "etcd", "control-plane", "supervise"}, whole) {
		return nil // it writes nothing that depends on the version
	}
	want := config.FieldError{Field: "kubernetesVersion", Flag: "--kubernetes-version", Value: r.cfg.KubernetesVersion}
	switch components := r.components.(type) {
	case *payload.Payload:
		if sameRelease(components.Version(), r.cfg.KubernetesVersion) {
			return nil
		}
		want.Problem = "this kubecrank carries Kubernetes " + components.Version()
		want.Remedy = fmt.Sprintf("Leave it out, give components of %[1]s with --components-dir, or use a kubecrank that carries %[1]s.",
			r.cfg.KubernetesVersion)
	case payload.Located:
		have := components.Version()
		if have == "" {
			have = askVersion(ctx, components["kube-apiserver"])
		}
		if have == "" {
			r.app.warn("components", []string{fmt.Sprintf("the version of %s is not known: nothing tells whether it is %s",
				components["kube-apiserver"], r.cfg.KubernetesVersion)})
			return nil
		}
		if sameRelease(have, r.cfg.KubernetesVersion) {
			return nil
		}
		want.Problem = fmt.Sprintf("%s is of Kubernetes %s", components["kube-apiserver"], have)
		want.Remedy = fmt.Sprintf("Give %s, or components of %s with --components-dir.", have, r.cfg.KubernetesVersion)
	}
	errs := []error{&want}
	if r.documents != nil {
		errs = r.documents.Locate(r.verb, errs)
	}
	return &usageError{err: errs[0]}
}

// sameRelease compares versions without their build metadata: v1.36.3+site.1 runs where v1.36.3 is wanted.
func sameRelease(a, b string) bool {
	a, _, _ = strings.Cut(a, "+")
	b, _, _ = strings.Cut(b, "+")
	return a == b
}

// askVersion starts a kube-apiserver with --version. init does that with one that it is about to start anyway; "" if it does
// not answer.
func askVersion(ctx context.Context, path string) string {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env, cmd.Dir, cmd.WaitDelay = []string{}, "/", versionTimeout
	out, err := cmd.Output()
	if err != nil {
		return "" // init says why it cannot be started when it comes to that
	}
	m := regexp.MustCompile(`(?m)^Kubernetes (v1\.\S+)$`).FindSubmatch(out)
	if m == nil {
		return ""
	}
	return string(m[1])
}
