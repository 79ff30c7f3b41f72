package resource

import (
	"context"
	"fmt"
)

// dirHandler removes a directory if it is empty.
func dirHandler() handler {
	return handler{
		describe: func(path string) string { return fmt.Sprintf("remove directory %s if it is empty", path) },
		check:    func(_ string, c Claim) error { return checkPath("", c.Key) }, // parents of a root may be ours, too
		compare:  comparePath,
		undo: func(_ context.Context, root string, c Claim) error {
			return withRemover(root, func(r *Remover) error { return r.EmptyDir(c.Key) })
		},
	}
}

// treeHandler removes a directory with all that is in it. Nothing is put into a tree before the journal knows
// it as made: one that was only intended and has content is not ours.
func treeHandler() handler {
	h := dirHandler()
	h.describe = func(path string) string { return fmt.Sprintf("remove %s with all that is in it", path) }
	h.check = func(root string, c Claim) error { return checkPath(root, c.Key) }
	h.undo = func(ctx context.Context, root string, c Claim) error {
		if !c.Done {
			return dirHandler().undo(ctx, root, c)
		}
		return withRemover(root, func(r *Remover) error { return r.Tree(c.Key, nil) })
	}
	return h
}

func comparePath(c Claim, look func(string) Seen) Finding {
	switch seen := look(c.Key); seen.Kind {
	case Unreadable:
		return Finding{Unseen, seen.Error}
	case Absent:
		return Finding{Missing, "gone already"}
	default:
		return Finding{Condition: Present}
	}
}
