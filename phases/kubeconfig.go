package phases

import (
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
)

func kubeconfigs(s *State) ([]plan.Step, error) {
	steps := []plan.Step{plan.MakeDir{Path: s.Paths.Kubernetes, Mode: 0o755}}
	for _, spec := range pki.KubeconfigSpecs(s.Config) {
		steps = append(steps, plan.WriteKubeconfig{Spec: spec, Dir: s.Paths.Kubernetes, Issuing: s.issuing()})
	}
	return steps, nil
}
