package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/procfs"
)

// remover removes files and directories without ever leaving the root it was
// made for, following a symbolic link below it, or crossing into a file system
// that is mounted below what it removes.
type remover struct {
	root   string // "" for the host's own paths
	mounts map[string]bool
}

func newRemover(root string) (*remover, error) {
	mounts, err := mountPoints()
	if err != nil {
		return nil, fmt.Errorf("cannot remove anything: %w", err)
	}
	return &remover{root: root, mounts: mounts}, nil
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

func (r *remover) open(path string) (entry, error) {
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

func (r *remover) openDir(dir string) (*os.Root, error) {
	if r.root == "" || !below(dir, r.root) {
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

// gone says whether the error means that there is nothing to remove.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// at calls remove with the entry at path. Where there is none (any more) there is nothing to do.
func (r *remover) at(path string, remove func(e entry) error) error {
	e, err := r.open(path)
	if err != nil {
		return cannotRemove(path, err)
	}
	defer e.dir.Close()
	err = remove(e)
	if left := (*leftError)(nil); errors.As(err, &left) {
		return left
	}
	return cannotRemove(path, err)
}

// file removes a file, if it still has one of the sums, and what a killed write of it left.
func (r *remover) file(path string, wrote func(sum string) bool) error {
	return r.at(path, func(e entry) error {
		if err := durable.SweepDir(filepath.Dir(path), e.name); err != nil {
			return err
		}
		info, err := e.dir.Lstat(e.name)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return &leftError{why: "it is not a file any more"}
		}
		data, err := e.dir.ReadFile(e.name)
		if err != nil {
			return err
		}
		if !wrote(sum(data)) {
			return &leftError{why: changedByHand}
		}
		return e.dir.Remove(e.name)
	})
}

const changedByHand = "it was changed since kubecrank wrote it"

// emptyDir removes a directory if it is empty.
func (r *remover) emptyDir(path string) error {
	return r.at(path, func(e entry) error {
		info, err := e.dir.Lstat(e.name)
		switch {
		case err != nil:
			return err
		case !info.IsDir():
			return &leftError{why: "it is not a directory any more"}
		case r.mounts[e.real]:
			return &leftError{why: mounted}
		}
		err = e.dir.Remove(e.name)
		if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
			return &leftError{why: "it is not empty"}
		}
		return err
	})
}

const mounted = "a file system is mounted there"

// tree removes path with all that is below it, but for names that keep, a
// function of names directly in path, wants to keep (nil: nothing).
func (r *remover) tree(path string, keep func(name string) bool) error {
	return r.at(path, func(e entry) error {
		left, err := r.all(e, keep)
		if err == nil && len(left) > 0 {
			return &leftError{why: "a file system is mounted at " + strings.Join(left, ", ")}
		}
		return err
	})
}

// all removes one entry and returns the mount points that stopped it.
func (r *remover) all(e entry, keep func(string) bool) (left []string, err error) {
	info, err := e.dir.Lstat(e.name)
	if gone(err) {
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

func (r *remover) inside(e entry, keep func(string) bool) (kept bool, left []string, err error) {
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
	if gone(err) {
		return nil
	}
	return err
}

func cannotRemove(path string, err error) error {
	if err == nil || gone(err) {
		return nil
	}
	return fmt.Errorf("cannot remove %s: %s", path, cause(err))
}

// leftError is no failure: something was left, and this is why.
type leftError struct{ why string }

func (e *leftError) Error() string { return "left: " + e.why }
