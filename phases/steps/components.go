package steps

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// StageComponents makes the embedded components executables on disk.
type StageComponents struct {
	Dir    string `json:"dir"` // of all stages
	Digest string `json:"digest"`
}

// Kind implements Step.
func (StageComponents) Kind() string { return "StageComponents" }

// Describe implements Step.
func (s StageComponents) Describe() string {
	return fmt.Sprintf("stage the components in %s", s.Where())
}

// Where is the directory that is named after the digest.
func (s StageComponents) Where() string { return filepath.Join(s.Dir, s.Digest) }

// Compare implements Step. Whether a stage that is there is whole, only Stage itself finds out.
func (s StageComponents) Compare(h plan.Host) plan.Work {
	w := plan.Work{State: plan.New, Do: func(ctx context.Context, n *plan.Node) (plan.Outcome, error) {
		return plan.Outcome{}, n.Components.Stage(ctx, s.Where())
	}}
	switch seen := h.Look(s.Where()); seen.Kind {
	case resource.Absent:
	case resource.Directory:
		w.State, w.Detail = plan.Unchanged, "verified when it is applied"
	case resource.Unreadable:
		return plan.Work{State: plan.Unknown, Detail: seen.Error}
	default:
		return plan.Work{State: plan.Conflict, Refused: plan.NotOurs, Detail: fmt.Sprintf("it is a %s, not a directory", seen.Kind)}
	}
	return w
}
