package phases

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/phases/plan"
)

// The checks of what the manifests say, with extra arguments and patches.

// pod returns the static pod of a component, with what a user has mended by hand.
func (s *State) pod(name string) *corev1.Pod {
	i := slices.IndexFunc(s.Manifests, func(f manifests.File) bool { return f.Pod.Name == name })
	if i < 0 {
		return nil
	}
	if kept := s.kept(s.Manifests[i]); kept != nil {
		return kept
	}
	return s.Manifests[i].Pod
}

// signingCA: the controller manager exits, once it leads, if a file that it signs with holds more than one
// certificate (pkg/controller/certificates/signer/ca_provider.go). kubeadm uses the first and says nothing.
func signingCA(s *State) []plan.Check {
	pod := s.pod(manifests.ControllerManager)
	if pod == nil || !isEnabled(flagOf(pod, "controllers", "*"), "certificatesigningrequest-signing-controller", "csrsigning") {
		return nil
	}
	var checks []plan.Check
	var seen []string
	for _, word := range pod.Spec.Containers[0].Command {
		flag, path, _ := strings.Cut(word, "=")
		if !strings.HasPrefix(flag, "--cluster-signing-") || !strings.HasSuffix(flag, "cert-file") ||
			path == "" || slices.Contains(seen, path) {
			continue
		}
		seen = append(seen, path)
		name := s.label("SigningCA", path)
		if n := certificatesIn(s.Facts.Look(path).Data); n > 1 {
			checks = append(checks, failed(name,
				fmt.Sprintf("%s holds %d certificates, and the controller manager signs with one alone", path, n),
				"leave in it only the certificate that belongs to its key; a file with all of them can be trusted with the "+
					"extra arguments client-ca-file of kube-apiserver and root-ca-file of kube-controller-manager")...)
			continue
		}
		checks = append(checks, ok(name, "")...)
	}
	return checks
}

func certificatesIn(data []byte) int {
	n := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(bytes.TrimSpace(rest)) {
		if block.Type == "CERTIFICATE" {
			n++
		}
	}
	return n
}

// anonymousProbes: probes have no credentials. With kubeadm, the kubelet kills such an API server again and again.
func anonymousProbes(s *State) []plan.Check {
	const name = "AnonymousProbes"
	pod := s.pod(manifests.APIServer)
	if pod == nil {
		return nil
	}
	c := pod.Spec.Containers[0]
	asks := slices.ContainsFunc([]*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe}, func(p *corev1.Probe) bool {
		return p != nil && p.HTTPGet != nil && len(p.HTTPGet.HTTPHeaders) == 0
	})
	if flagOf(pod, "anonymous-auth", "true") != "false" || !asks {
		return ok(name, "")
	}
	return failed(name, "kube-apiserver has --anonymous-auth=false, and would answer its own probes with 401 Unauthorized",
		"leave anonymous-auth out; to allow anonymous requests for health alone give authentication-config, with "+
			"anonymous: {enabled: true, conditions: [{path: /livez}, {path: /readyz}, {path: /healthz}]} in its file")
}

// edited tells of manifests that a user has mended by hand: they stay, and the configuration does not say so.
func edited(s *State) []plan.Check {
	var checks []plan.Check
	for _, f := range s.Manifests {
		path := s.manifestStep(f).Path
		if s.kept(f) == nil {
			checks = append(checks, ok(s.label("Edited", path), "")...)
			continue
		}
		checks = append(checks, warning(s.label("Edited", path), path+" was edited by hand since kubecrank wrote it; it stays as it is",
			"put the same into the configuration (extraArgs, --patches), or it is lost when the manifest is written again")...)
	}
	return checks
}
