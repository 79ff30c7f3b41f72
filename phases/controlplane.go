package phases

import (
	"slices"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
)

func controlPlane(s *State) ([]plan.Step, error) {
	list := []plan.Step{steps.MakeDir{Path: s.Paths.Manifests, Mode: 0o700}}
	list = append(list, s.rootless(manifests.APIServer, manifests.ControllerManager, manifests.Scheduler)...)
	own := func(f manifests.File) bool { return f.Name != etcdManifest }
	return slices.Concat(list, s.volumes(own), s.manifestSteps(own)), nil
}
