package phases

import (
	"slices"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/phases/plan"
)

func controlPlane(s *State) ([]plan.Step, error) {
	steps := []plan.Step{plan.MakeDir{Path: s.Paths.Manifests, Mode: 0o700}}
	steps = append(steps, s.rootless(manifests.APIServer, manifests.ControllerManager, manifests.Scheduler)...)
	own := func(f manifests.File) bool { return f.Name != etcdManifest }
	return slices.Concat(steps, s.volumes(own), s.manifestSteps(own)), nil
}
