package phases

import "github.com/kubecrank/kubecrank/phases/plan"

func waitControlPlane(s *State) ([]plan.Step, error) {
	pods := make([]string, len(s.Manifests))
	for i, f := range s.Manifests {
		pods[i] = f.Pod.Name
	}
	return []plan.Step{plan.WaitHealthy{
		Pods: pods, Timeout: plan.Span(s.Config.Timeouts.ControlPlaneComponentHealthCheck), Log: s.Paths.SupervisorLog,
	}}, nil
}
