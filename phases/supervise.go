package phases

import (
	"fmt"
	"reflect"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// supervise starts the supervisor. Logs lie in the kubelet's directory, which a
// kubelet may share: there, only what carries our pods' names is ours. What the
// user has said about the supervisor is left in a file, for it and for each one
// that starts later; without a word of the user there is none.
func supervise(s *State) ([]plan.Step, error) {
	var logs []string
	for _, f := range s.Manifests {
		// The kubelet's name for a static pod's logs is namespace_name-node_uid.
		logs = append(logs, f.Pod.Namespace+"_"+f.Pod.Name+"-"+s.Config.Node.Name+"_")
	}
	list := []plan.Step{steps.MakeDir{Path: s.Paths.PodLogs, Mode: 0o755, Tree: true, Entries: logs}}
	if !reflect.DeepEqual(s.Config.Supervisor, config.Default("").Supervisor) {
		data, err := s.Config.Supervisor.Document()
		if err != nil {
			return nil, fmt.Errorf("cannot write the supervisor's configuration: %w", err)
		}
		secret := len(s.Config.Supervisor.ManifestURLHeader) > 0
		list = append(list, steps.WriteFile{Path: s.Paths.SupervisorConfig, Mode: 0o600, Data: data, Secret: secret})
	}
	return append(list, steps.StartSupervisor{Socket: s.Paths.Socket, Manifests: s.Paths.Manifests}), nil
}
