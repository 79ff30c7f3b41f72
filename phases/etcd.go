package phases

import (
	"bytes"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// etcdManifest is the name of etcd's manifest; all others are the control plane's.
const etcdManifest = "etcd.yaml"

// etcd has no steps with an external etcd. In a data directory that was there
// before us, "member" is what etcd puts there.
func etcd(s *State) ([]plan.Step, error) {
	if s.Config.Etcd.External != nil {
		return nil, nil
	}
	list := []plan.Step{
		steps.MakeDir{Path: s.Paths.EtcdData, Mode: 0o700, Tree: true, Entries: []string{"member"}},
		steps.MakeDir{Path: s.Paths.Manifests, Mode: 0o700},
	}
	list = append(list, s.rootless(manifests.Etcd)...)
	own := func(f manifests.File) bool { return f.Name == etcdManifest }
	return slices.Concat(list, s.volumes(own), s.manifestSteps(own)), nil
}

func (s *State) manifestSteps(wanted func(manifests.File) bool) []plan.Step {
	var list []plan.Step
	for _, f := range s.Manifests {
		if wanted(f) {
			list = append(list, s.manifestStep(f))
		}
	}
	return list
}

func (s *State) manifestStep(f manifests.File) steps.WriteFile {
	return steps.WriteFile{Path: filepath.Join(s.Paths.Manifests, f.Name), Mode: 0o600, Data: f.Data, Editable: true}
}

// kept is the pod of a manifest that a user has edited since, and that stays; nil for any other.
func (s *State) kept(f manifests.File) *corev1.Pod {
	step := s.manifestStep(f)
	seen := s.Facts.Look(step.Path)
	if seen.Kind != resource.Regular || bytes.Equal(seen.Data, f.Data) || step.Compare(s.Facts.Host()).State != plan.Unchanged {
		return nil
	}
	var pod corev1.Pod
	if err := yaml.Unmarshal(seen.Data, &pod); err != nil || len(pod.Spec.Containers) == 0 {
		return f.Pod.DeepCopy() // the supervisor says what is wrong with it
	}
	pod.Name = f.Pod.Name
	return &pod
}
