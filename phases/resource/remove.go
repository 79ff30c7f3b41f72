package resource

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/pathname"
	"github.com/kubecrank/kubecrank/procfs"
)

// Remover removes files and directories without ever leaving the root it was
// made for, following a symbolic link below it, or crossing into a file system
// that is mounted below what it removes.
type Remover struct {
	root   string // "" for the host's own paths
	mounts map[string]bool
}

// NewRemover returns a Remover for a root, "" for the host's own paths. It reads once what is mounted.
func NewRemover(root string) (*Remover, error) {
	mounts, err := mountPoints()
	if err != nil {
		return nil, fmt.Errorf("cannot remove anything: %w", err)
	}
	return &Remover{root: root, mounts: mounts}, nil
}

// mountPoints is where something is mounted. A bind mount has its parent's device number, so st_dev would not do.
func mountPoints() (map[string]bool, error) {
	all, err := procfs.Mounts()
	mounts := make(map[string]bool, len(all))
	for _, m := range all {
		mounts[m.Point] = true
	}
	return mounts, err
}

// entry is an open directory and a name in it.
type entry struct {
	dir  *os.Root
	name string
	real string // the absolute path, links of the parents resolved
}

func (r *Remover) open(path string) (entry, error) {
	dir, err := r.openDir(filepath.Dir(path))
	if err != nil {
		return entry{}, err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		_ = dir.Close()
		return entry{}, err
	}
	return entry{dir: dir, name: filepath.Base(path), real: filepath.Join(parent, filepath.Base(path))}, nil
}

func (r *Remover) openDir(dir string) (*os.Root, error) {
	if r.root == "" || !pathname.Below(r.root, dir) {
		return os.OpenRoot(dir)
	}
	root, err := os.OpenRoot(r.root)
	if err != nil || dir == r.root {
		return root, err
	}
	defer root.Close()
	rel, err := filepath.Rel(r.root, dir)
	if err != nil {
		return nil, err
	}
	return root.OpenRoot(rel)
}

// Gone says whether the error means that there is nothing to remove.
func Gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// at calls remove with the entry at path. Where there is none (any more) there is nothing to do.
func (r *Remover) at(path string, remove func(e entry) error) error {
	e, err := r.open(path)
	if err != nil {
		return CannotRemove(path, err)
	}
	defer e.dir.Close()
	err = remove(e)
	if left := (*LeftError)(nil); errors.As(err, &left) {
		return left
	}
	return CannotRemove(path, err)
}

// File removes a file, if it still has one of the sums, and what a killed write of it left.
func (r *Remover) File(path string, wrote func(sum string) bool) error {
	return r.at(path, func(e entry) error {
		if err := durable.SweepDir(filepath.Dir(path), e.name); err != nil {
			return err
		}
		info, err := e.dir.Lstat(e.name)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return &LeftError{Why: "it is not a file any more"}
		}
		data, err := e.dir.ReadFile(e.name)
		if err != nil {
			return err
		}
		if !wrote(Sum(data)) {
			return &LeftError{Why: ChangedByHand}
		}
		return e.dir.Remove(e.name)
	})
}

// ChangedByHand says why a file of ours is left.
const ChangedByHand = "it was changed since kubecrank wrote it"

// EmptyDir removes a directory if it is empty.
func (r *Remover) EmptyDir(path string) error {
	return r.at(path, func(e entry) error {
		info, err := e.dir.Lstat(e.name)
		switch {
		case err != nil:
			return err
		case !info.IsDir():
			return &LeftError{Why: "it is not a directory any more"}
		case r.mounts[e.real]:
			return &LeftError{Why: mounted}
		}
		err = e.dir.Remove(e.name)
		if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
			return &LeftError{Why: "it is not empty"}
		}
		return err
	})
}

const mounted = "a file system is mounted there"

// Tree removes path with all that is below it, but for names that keep, a
// function of names directly in path, wants to keep (nil: nothing).
func (r *Remover) Tree(path string, keep func(name string) bool) error {
	return r.at(path, func(e entry) error {
		left, err := r.all(e, keep)
		if err == nil && len(left) > 0 {
			return &LeftError{Why: "a file system is mounted at " + strings.Join(left, ", ")}
		}
		return err
	})
}

// all removes one entry and returns the mount points that stopped it.
func (r *Remover) all(e entry, keep func(string) bool) (left []string, err error) {
	info, err := e.dir.Lstat(e.name)
	if Gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if r.mounts[e.real] {
		return []string{e.real}, nil
	}
	if !info.IsDir() {
		return nil, ignoreGone(e.dir.Remove(e.name))
	}
	kept, left, err := r.inside(e, keep)
	if err != nil || kept || len(left) > 0 {
		return left, err
	}
	return nil, ignoreGone(e.dir.Remove(e.name))
}

func (r *Remover) inside(e entry, keep func(string) bool) (kept bool, left []string, err error) {
	sub, err := e.dir.OpenRoot(e.name)
	if err != nil {
		return false, nil, err
	}
	defer sub.Close()
	entries, err := fs.ReadDir(sub.FS(), ".")
	if err != nil {
		return false, nil, err
	}
	for _, child := range entries {
		if keep != nil && keep(child.Name()) {
			kept = true
			continue
		}
		more, err := r.all(entry{dir: sub, name: child.Name(), real: filepath.Join(e.real, child.Name())}, nil)
		if err != nil {
			return kept, left, err
		}
		left = append(left, more...)
	}
	return kept, left, nil
}

func ignoreGone(err error) error {
	if Gone(err) {
		return nil
	}
	return err
}

// CannotRemove returns the error of a removal, nil if there was nothing to remove.
func CannotRemove(path string, err error) error {
	if err == nil || Gone(err) {
		return nil
	}
	return fmt.Errorf("cannot remove %s: %s", path, Cause(err))
}

// LeftError is no failure: something was left, and this is why.
type LeftError struct{ Why string }

func (e *LeftError) Error() string { return "left: " + e.Why }

// withRemover removes something below root.
func withRemover(root string, remove func(*Remover) error) error {
	r, err := NewRemover(root)
	if err != nil {
		return err
	}
	return remove(r)
}
