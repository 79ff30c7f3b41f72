package phases

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// bootstrapPolicy creates what the API server would create in its hook rbac/bootstrap-roles, one after the other,
// while it is not ready yet, and the service accounts that the controller manager would create one after the other.
func bootstrapPolicy(s *State) ([]plan.Step, error) {
	// Nobody may start an API server then.
	if skip := s.Config.SkipPhases; slices.Contains(skip, "supervise") || slices.Contains(skip, "wait-control-plane") {
		return nil, nil
	}
	step := steps.CreatePolicy{
		Version:    s.Payload.Version,
		Server:     localServer(s.Config),
		Kubeconfig: filepath.Join(s.Paths.Kubernetes, pki.SuperAdminConf),
		Timeout:    steps.Span(s.Config.Timeouts.ControlPlaneComponentHealthCheck),
	}
	if step.Without = s.withoutPolicy(); step.Without == "" {
		step.Objects, step.Accounts = s.Payload.Policy.Objects, s.accounts()
	}
	return []plan.Step{step}, nil
}

// withoutPolicy says why the API server creates its policy alone: it may be another one than is known. "": it need not.
func (s *State) withoutPolicy() string {
	pod := s.pod(manifests.APIServer)
	if len(s.Payload.Policy.Objects) == 0 {
		return "what these components create is not known: they do it themselves"
	}
	modes := flagOf(pod, "authorization-mode", "")
	if !slices.Contains(strings.Split(modes, ","), "RBAC") {
		return "kube-apiserver's authorization is not RBAC"
	}
	for _, flag := range []string{"authorization-config", "feature-gates", "emulated-version", "min-compatibility-version"} {
		if flagOf(pod, flag, "") != "" {
			return fmt.Sprintf("kube-apiserver has --%s, which may change its policy: it creates it itself", flag)
		}
	}
	return ""
}

// accounts are the service accounts that the controller manager uses with its flags.
func (s *State) accounts() []string {
	pod := s.pod(manifests.ControllerManager)
	if flagOf(pod, "use-service-account-credentials", "false") != "true" {
		return nil
	}
	enabled := flagOf(pod, "controllers", "*")
	gates := flagOf(pod, "feature-gates", "") != "" || flagOf(pod, "emulated-version", "") != ""
	var names []string
	for _, account := range s.Payload.Policy.ServiceAccounts {
		for _, c := range account.Controllers {
			controllers := enabled
			if c.Off {
				controllers = strings.ReplaceAll(","+enabled+",", ",*,", ",")
			}
			if (!c.Gated || !gates) && isEnabled(controllers, c.Names...) {
				names = append(names, account.Name)
				break
			}
		}
	}
	return names
}
