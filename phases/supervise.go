package phases

import "github.com/kubecrank/kubecrank/phases/plan"

// supervise starts the supervisor. Logs lie in the kubelet's directory, which a
// kubelet may share: there, only what carries our pods' names is ours.
func supervise(s *State) ([]plan.Step, error) {
	var logs []string
	for _, f := range s.Manifests {
		// The kubelet's name for a static pod's logs is namespace_name-node_uid.
		logs = append(logs, f.Pod.Namespace+"_"+f.Pod.Name+"-"+s.Config.Node.Name+"_")
	}
	return []plan.Step{
		plan.MakeDir{Path: s.Paths.PodLogs, Mode: 0o755, Tree: true, Entries: logs},
		plan.StartSupervisor{Socket: s.Paths.Socket, Manifests: s.Paths.Manifests},
	}, nil
}
