package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// Remove removes what kubecrank itself keeps on the machine: its state with the
// journal, and what is in its run directory but for the lock, which goes last,
// when it is released. lock may be nil.
func (j *Journal) Remove(paths config.Paths, lock *Lock) error {
	h := j.History()
	r, err := resource.NewRemover(j.root)
	if err != nil {
		return err
	}
	// The lock remembers what the journal knew of its directories, and outlives it.
	if lock != nil {
		if err := lock.Own(h); err != nil {
			return fmt.Errorf("cannot write the lock: %w", err)
		}
	}
	var left []string
	for _, dir := range []struct{ path, last string }{{paths.Run, paths.Lock}, {paths.State, paths.Journal}} {
		err := clearOwn(r, h, dir.path, filepath.Base(dir.last))
		var l *resource.LeftError
		if errors.As(err, &l) {
			left = append(left, dir.path+": "+l.Why)
		} else if err != nil {
			return err
		}
	}
	if err := j.retire(); err != nil {
		return err
	}
	if err := removeJournal(h, paths, len(left) == 0); err != nil {
		return err
	}
	if len(left) > 0 {
		return &resource.LeftError{Why: strings.Join(left, "; ")}
	}
	return nil
}

// clearOwn removes what is ours in one of our own directories, but for one file.
func clearOwn(r *resource.Remover, h History, dir, last string) error {
	if _, ours := h.Claim(resource.Resource{Kind: resource.Tree, Key: dir}); ours {
		return r.Tree(dir, func(name string) bool { return name == last })
	}
	entries, ours := h.Claim(resource.EntriesOf(dir, ""))
	if !ours {
		return nil
	}
	return r.Tree(dir, func(name string) bool { return name == last || slices.Contains(entries.Except, name) })
}

// removeJournal removes the journal, with its directory if that is ours and empty but for it.
func removeJournal(h History, paths config.Paths, alone bool) error {
	if _, ours := h.Claim(resource.Resource{Kind: resource.Tree, Key: paths.State}); ours && alone {
		var made []string
		for dir := paths.State; dir != "/"; dir = filepath.Dir(dir) {
			if _, ours := h.At(dir); ours {
				made = append(made, dir)
			}
		}
		dir, err := os.OpenRoot(paths.State)
		if err != nil {
			return resource.CannotRemove(paths.State, err)
		}
		defer dir.Close()
		return retireChain(dir, paths.State, made)
	}
	if err := os.Remove(paths.Journal); err != nil && !resource.Gone(err) {
		return resource.CannotRemove(paths.Journal, err)
	}
	return durable.SyncDir(paths.State)
}
