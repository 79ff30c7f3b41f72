package phases

import (
	"path/filepath"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/phases/plan"
)

// etcdManifest is the name of etcd's manifest; all others are the control plane's.
const etcdManifest = "etcd.yaml"

// etcd has no steps with an external etcd. In a data directory that was there
// before us, "member" is what etcd puts there.
func etcd(s *State) ([]plan.Step, error) {
	if s.Config.Etcd.External != nil {
		return nil, nil
	}
	steps := []plan.Step{
		plan.MakeDir{Path: s.Paths.EtcdData, Mode: 0o700, Tree: true, Entries: []string{"member"}},
		plan.MakeDir{Path: s.Paths.Manifests, Mode: 0o700},
	}
	steps = append(steps, s.rootless(manifests.Etcd)...)
	return append(steps, s.manifestSteps(func(f manifests.File) bool { return f.Name == etcdManifest })...), nil
}

func (s *State) manifestSteps(wanted func(manifests.File) bool) []plan.Step {
	var steps []plan.Step
	for _, f := range s.Manifests {
		if wanted(f) {
			steps = append(steps, plan.WriteFile{Path: filepath.Join(s.Paths.Manifests, f.Name), Mode: 0o600, Data: f.Data})
		}
	}
	return steps
}
