package phases

import (
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
)

func kubeconfigs(s *State) ([]plan.Step, error) {
	list := []plan.Step{steps.MakeDir{Path: s.Paths.Kubernetes, Mode: 0o755}}
	for _, spec := range pki.KubeconfigSpecs(s.Config) {
		list = append(list, steps.WriteKubeconfig{Spec: spec, Dir: s.Paths.Kubernetes, Issuing: s.issuing()})
	}
	return list, nil
}
