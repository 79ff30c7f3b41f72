package plan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/manifests/config"
)

// RemovePath removes what the journal says was made. What else the journal
// knows of it, the host has (Host.Owned).
type RemovePath struct {
	Path string   `json:"path"`
	As   MadeKind `json:"as"`
}

// Kind implements Step.
func (RemovePath) Kind() string { return "RemovePath" }

// Describe implements Step.
func (s RemovePath) Describe() string {
	switch s.As {
	case MadeLine:
		file, name, _ := strings.Cut(s.Path, ":")
		return fmt.Sprintf("remove %s from %s", name, file)
	case MadeOwner:
		return fmt.Sprintf("give %s back to whom it belonged to", strings.TrimSuffix(s.Path, ownerSuffix))
	case MadeDir:
		return fmt.Sprintf("remove directory %s if it is empty", s.Path)
	case MadeTree, MadeEntries:
		return fmt.Sprintf("remove %s with all that is in it", s.Path)
	default:
		return "remove " + s.Path
	}
}

// Where is the path.
func (s RemovePath) Where() string { return s.Path }

// Compare implements Step.
func (s RemovePath) Compare(h Host) Work {
	o, ours := h.Owned(s.Path)
	if !ours {
		return Work{State: Unchanged, Detail: "removed already"}
	}
	w := Work{State: New, Unmakes: []Made{o.Made}}
	switch o.Kind {
	case MadeEntries:
		if !o.Done {
			w.State, w.Detail = Unchanged, "nothing was put there"
			return w
		}
		w.Do = func(_ context.Context, n *Node) (Outcome, error) { return outcome(removeEntries(n.Root, o.Made)) }
		return w
	case MadeLine:
		w.Do = func(ctx context.Context, _ *Node) (Outcome, error) { return outcome(removeLine(ctx, o.Path, o.Wrote)) }
		return w
	case MadeOwner:
		w.Do = func(_ context.Context, n *Node) (Outcome, error) { return Outcome{}, giveBack(n.Root, o.Made) }
		return w
	default:
	}
	seen := h.Look(s.Path)
	switch {
	case seen.Kind == Unreadable:
		return Work{State: Unknown, Detail: seen.Error}
	case seen.Kind == Absent && o.Kind != MadeFile:
		w.State, w.Detail = Unchanged, "gone already"
		return w
	case o.Kind == MadeFile && seen.Kind == Regular && !o.Wrote(seen.SHA256):
		return Work{State: Left, Detail: changedByHand}
	}
	w.Do = func(_ context.Context, n *Node) (Outcome, error) { return outcome(removeOwned(n.Root, o)) }
	return w
}

// outcome makes of something left, which is no failure, what it is.
func outcome(err error) (Outcome, error) {
	var left *leftError
	if errors.As(err, &left) {
		return Outcome{State: Left, Detail: left.why}, nil
	}
	return Outcome{}, err
}

func removeOwned(root string, o Owned) error {
	r, err := newRemover(root)
	if err != nil {
		return err
	}
	switch {
	case o.Kind == MadeFile:
		return r.file(o.Path, o.Wrote)
	case o.Kind == MadeTree && o.Done:
		return r.tree(o.Path, nil)
	default: // nothing is put into a tree before the journal knows it as made: one with content is not ours
		return r.emptyDir(o.Path)
	}
}

// removeEntries removes from the directory of m.Path ("dir/prefix*") what has the prefix and was not there before.
func removeEntries(root string, m Made) error {
	r, err := newRemover(root)
	if err != nil {
		return err
	}
	dir, prefix := filepath.Dir(m.Path), strings.TrimSuffix(filepath.Base(m.Path), "*")
	entries, err := os.ReadDir(dir)
	if gone(err) {
		return nil
	}
	if err != nil {
		return cannotRemove(m.Path, err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || slices.Contains(m.Except, e.Name()) {
			continue
		}
		if err := r.tree(filepath.Join(dir, e.Name()), nil); err != nil {
			return err
		}
	}
	return nil
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
func (s Keep) Compare(h Host) Work {
	if h.Look(s.Path).Kind == Absent {
		return Work{State: Unchanged, Detail: "gone already"}
	}
	return Work{State: Left, Detail: "it was there before kubecrank"}
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
func (s RemoveState) Compare(h Host) Work {
	if h.History.Records == 0 {
		return Work{State: Unchanged, Detail: "there is no journal"}
	}
	return Work{State: New, Do: func(_ context.Context, n *Node) (Outcome, error) { return outcome(removeState(n)) }}
}

func removeState(n *Node) error {
	h := n.Journal.History()
	r, err := newRemover(n.Root)
	if err != nil {
		return err
	}
	// The lock remembers what the journal knew of its directories, and outlives it.
	if n.Lock != nil {
		if err := n.Lock.Own(h); err != nil {
			return fmt.Errorf("cannot write the lock: %w", err)
		}
	}
	var left []string
	for _, dir := range []struct{ path, last string }{{n.Paths.Run, n.Paths.Lock}, {n.Paths.State, n.Paths.Journal}} {
		err := clearOwn(r, h, dir.path, filepath.Base(dir.last))
		var l *leftError
		if errors.As(err, &l) {
			left = append(left, dir.path+": "+l.why)
		} else if err != nil {
			return err
		}
	}
	if err := n.Journal.retire(); err != nil {
		return err
	}
	if err := removeJournal(h, n.Paths, len(left) == 0); err != nil {
		return err
	}
	if len(left) > 0 {
		return &leftError{why: strings.Join(left, "; ")}
	}
	return nil
}

// clearOwn removes what is ours in one of our own directories, but for one file.
func clearOwn(r *remover, h History, dir, last string) error {
	if o, ours := h.Owned[dir]; ours && o.Kind == MadeTree {
		return r.tree(dir, func(name string) bool { return name == last })
	}
	entries, ours := h.Owned[filepath.Join(dir, "*")]
	if !ours {
		return nil
	}
	return r.tree(dir, func(name string) bool { return name == last || slices.Contains(entries.Except, name) })
}

// removeJournal removes the journal, with its directory if that is ours and empty but for it.
func removeJournal(h History, paths config.Paths, alone bool) error {
	if o, ours := h.Owned[paths.State]; ours && o.Kind == MadeTree && alone {
		var made []string
		for dir := paths.State; dir != "/"; dir = filepath.Dir(dir) {
			if _, ours := h.Owned[dir]; ours {
				made = append(made, dir)
			}
		}
		dir, err := os.OpenRoot(paths.State)
		if err != nil {
			return cannotRemove(paths.State, err)
		}
		defer dir.Close()
		return retireChain(dir, paths.State, made)
	}
	if err := os.Remove(paths.Journal); err != nil && !gone(err) {
		return cannotRemove(paths.Journal, err)
	}
	return durable.SyncDir(paths.State)
}
