package steps

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// Undo takes away a resource that the journal claims. The rest of the claim is in the host (Host.Claim).
type Undo struct{ resource.Resource }

// Kind implements Step.
func (Undo) Kind() string { return "Undo" }

// Where is the resource's key: a path, for most kinds.
func (s Undo) Where() string { return s.Key }

// Compare implements Step.
func (s Undo) Compare(h plan.Host) plan.Work {
	c, ours := h.Claim(s.Resource)
	if !ours {
		return plan.Work{State: plan.Unchanged, Detail: "removed already"}
	}
	found := c.Compare(h.Look)
	w := plan.Work{Detail: found.Why, Unmakes: []resource.Claim{c}}
	switch found.Condition {
	case resource.Present:
		w.State = plan.New
		w.Do = func(ctx context.Context, n *plan.Node) (plan.Outcome, error) { return outcome(c.Undo(ctx, n.Root)) }
	case resource.Missing:
		w.State = plan.Unchanged
	case resource.Foreign:
		return plan.Work{State: plan.Left, Detail: found.Why}
	case resource.Unseen:
		return plan.Work{State: plan.Unknown, Detail: found.Why}
	}
	return w
}

// outcome reports what reset left behind. That is not a failure.
func outcome(err error) (plan.Outcome, error) {
	var left *resource.LeftError
	if errors.As(err, &left) {
		return plan.Outcome{State: plan.Left, Detail: left.Why}, nil
	}
	return plan.Outcome{}, err
}

// Keep says that reset leaves something that was there before us.
type Keep struct {
	Path string `json:"path"`
}

// Kind implements Step.
func (Keep) Kind() string { return "Keep" }

// Describe implements Step.
func (s Keep) Describe() string { return "leave " + s.Path }

// Where is the path.
func (s Keep) Where() string { return s.Path }

// Compare implements Step.
func (s Keep) Compare(h plan.Host) plan.Work {
	if h.Look(s.Path).Kind == resource.Absent {
		return plan.Work{State: plan.Unchanged, Detail: "gone already"}
	}
	return plan.Work{State: plan.Left, Detail: "it was there before kubecrank"}
}

// RemoveState removes what kubecrank itself keeps on the machine: its state
// with the journal, and what is in its run directory but for the lock, which
// goes last, when it is released. No step can come after it.
type RemoveState struct {
	State string `json:"state"`
	Run   string `json:"run"`
}

// Kind implements Step.
func (RemoveState) Kind() string { return "RemoveState" }

// Describe implements Step.
func (s RemoveState) Describe() string {
	return fmt.Sprintf("remove the journal and all of kubecrank's own in %s and %s", s.State, s.Run)
}

// Compare implements Step.
func (s RemoveState) Compare(h plan.Host) plan.Work {
	if h.History.Records == 0 {
		return plan.Work{State: plan.Unchanged, Detail: "there is no journal"}
	}
	return plan.Work{State: plan.New, Do: func(_ context.Context, n *plan.Node) (plan.Outcome, error) {
		return outcome(n.Journal.Remove(n.Paths, n.Lock))
	}}
}
