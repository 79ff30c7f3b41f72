package phases

import (
	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/phases/plan"
)

func controlPlane(s *State) ([]plan.Step, error) {
	steps := []plan.Step{plan.MakeDir{Path: s.Paths.Manifests, Mode: 0o700}}
	steps = append(steps, s.rootless(manifests.APIServer, manifests.ControllerManager, manifests.Scheduler)...)
	return append(steps, s.manifestSteps(func(f manifests.File) bool { return f.Name != etcdManifest })...), nil
}
