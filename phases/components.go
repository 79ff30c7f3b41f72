package phases

import (
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// components stages the embedded payload. Components from a directory or PATH are used where they are.
func components(s *State) ([]plan.Step, error) {
	if s.Payload.Digest == "" {
		return nil, nil
	}
	return []plan.Step{
		steps.MakeDir{Path: s.Paths.Components, Mode: 0o755, Tree: true},
		steps.StageComponents{Dir: s.Paths.Components, Digest: s.Payload.Digest},
	}, nil
}
