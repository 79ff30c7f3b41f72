package steps

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// RemovePath removes what the journal says was made. What else the journal
// knows of it, the host has (Host.Owned).
type RemovePath struct {
	Path string            `json:"path"`
	As   resource.MadeKind `json:"as"`
}

// Kind implements Step.
func (RemovePath) Kind() string { return "RemovePath" }

// Describe implements Step.
func (s RemovePath) Describe() string {
	switch s.As {
	case resource.MadeLine:
		file, name, _ := strings.Cut(s.Path, ":")
		return fmt.Sprintf("remove %s from %s", name, file)
	case resource.MadeOwner:
		return fmt.Sprintf("give %s back to whom it belonged to", strings.TrimSuffix(s.Path, resource.OwnerSuffix))
	case resource.MadeDir:
		return fmt.Sprintf("remove directory %s if it is empty", s.Path)
	case resource.MadeTree, resource.MadeEntries:
		return fmt.Sprintf("remove %s with all that is in it", s.Path)
	default:
		return "remove " + s.Path
	}
}

// Where is the path.
func (s RemovePath) Where() string { return s.Path }

// Compare implements Step.
func (s RemovePath) Compare(h plan.Host) plan.Work {
	o, ours := h.Owned(s.Path)
	if !ours {
		return plan.Work{State: plan.Unchanged, Detail: "removed already"}
	}
	w := plan.Work{State: plan.New, Unmakes: []resource.Made{o.Made}}
	switch o.Kind {
	case resource.MadeEntries:
		if !o.Done {
			w.State, w.Detail = plan.Unchanged, "nothing was put there"
			return w
		}
		w.Do = func(_ context.Context, n *plan.Node) (plan.Outcome, error) {
			return outcome(resource.RemoveEntries(n.Root, o.Made))
		}
		return w
	case resource.MadeLine:
		w.Do = func(ctx context.Context, _ *plan.Node) (plan.Outcome, error) {
			return outcome(resource.RemoveLine(ctx, o.Path, o.Wrote))
		}
		return w
	case resource.MadeOwner:
		w.Do = func(_ context.Context, n *plan.Node) (plan.Outcome, error) {
			return plan.Outcome{}, resource.GiveBack(n.Root, o.Made)
		}
		return w
	default:
	}
	seen := h.Look(s.Path)
	switch {
	case seen.Kind == resource.Unreadable:
		return plan.Work{State: plan.Unknown, Detail: seen.Error}
	case seen.Kind == resource.Absent && o.Kind != resource.MadeFile:
		w.State, w.Detail = plan.Unchanged, "gone already"
		return w
	case o.Kind == resource.MadeFile && seen.Kind == resource.Regular && !o.Wrote(seen.SHA256):
		return plan.Work{State: plan.Left, Detail: resource.ChangedByHand}
	}
	w.Do = func(_ context.Context, n *plan.Node) (plan.Outcome, error) {
		return outcome(resource.RemoveOwned(n.Root, o))
	}
	return w
}

// outcome makes of something left, which is no failure, what it is.
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
