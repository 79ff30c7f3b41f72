package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// NewDir brings the directory path into being together with its missing
// parents (mode 0755) and its first files, all in one rename: nobody ever sees
// the directory without its files, whatever is killed. fill gets the
// directories that are made, outermost first, and returns the files, with
// paths below path. made is nil when the directory was there already.
func NewDir(path string, mode fs.FileMode, fill func(made []string) []File) (made []string, err error) {
	for range 100 { // each turn lost means that somebody else made a directory of the chain
		made, err = newDir(path, mode, fill)
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return made, err
		}
	}
	return nil, err
}

func newDir(path string, mode fs.FileMode, fill func([]string) []File) ([]string, error) {
	made, err := missing(path)
	if err != nil || len(made) == 0 {
		return nil, err
	}
	top := made[0]
	tmp := filepath.Join(filepath.Dir(top), tempName(filepath.Base(top)))
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make %s: %w", path, err)
	}
	release, err := hold(tmp)
	if err == nil {
		err = fillDir(path, tmp, mode, made, fill(made))
		if err == nil {
			err = unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, top, unix.RENAME_NOREPLACE)
		}
		release()
	}
	if err != nil {
		_ = os.RemoveAll(tmp) // the first error is the one to report
		return nil, fmt.Errorf("cannot make %s: %w", path, err)
	}
	return made, SyncDir(filepath.Dir(top))
}

// fillDir builds below tmp what is to appear at made[0].
func fillDir(path, tmp string, mode fs.FileMode, made []string, files []File) error {
	moved := func(p string) string { return tmp + p[len(made[0]):] }
	for _, dir := range made[1:] {
		if err := os.Mkdir(moved(dir), 0o700); err != nil {
			return err
		}
	}
	for i, f := range files {
		files[i].Path = moved(f.Path)
	}
	if err := WriteFiles(files); err != nil {
		return err
	}
	for _, dir := range slices.Backward(made) {
		m := fs.FileMode(0o755)
		if dir == path {
			m = mode
		}
		if err := os.Chmod(moved(dir), m); err != nil {
			return err
		}
		if err := SyncDir(moved(dir)); err != nil {
			return err
		}
	}
	return nil
}

// missing returns path and those of its parents that are not there, outermost first.
func missing(path string) ([]string, error) {
	var dirs []string
	for p := filepath.Clean(path); ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		switch {
		case err == nil && !info.IsDir():
			return nil, fmt.Errorf("cannot make %s: %s is not a directory", path, p)
		case err == nil:
			slices.Reverse(dirs)
			return dirs, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("cannot make %s: %w", path, err)
		}
		dirs = append(dirs, p)
	}
}

// hold locks a temporary directory for as long as its maker lives, so that Sweep can tell it from a leftover.
func hold(dir string) (release func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("%w: swept away", fs.ErrNotExist) // somebody sweeps it this moment: again
	}
	return func() { _ = d.Close() }, nil
}

// RetireDir removes the directory path whole, such that it disappears from its
// name in one rename. A process killed after that leaves a temporary
// directory, which Sweep finds. Symbolic links are not followed.
func RetireDir(path string) error {
	parent, err := os.OpenRoot(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	defer parent.Close()
	return RetireIn(parent, filepath.Base(path))
}

// RetireIn is RetireDir for a name in an open directory: no path is walked, so
// no rename of a parent can make it remove another directory.
func RetireIn(parent *os.Root, name string) error {
	path := filepath.Join(parent.Name(), name)
	tmp := tempName(name)
	err := parent.Rename(name, tmp)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = parent.RemoveAll(tmp)
	}
	if err != nil {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	dir, err := parent.Open(".")
	if err != nil {
		return fmt.Errorf("cannot sync %s: %w", parent.Name(), err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("cannot sync %s: %w", parent.Name(), err)
	}
	return nil
}

// Sweep removes what NewDir(path) or RetireDir of path, or of one of its
// parents, left when it was killed. Only directories that belong to this user
// and that nobody holds are touched.
func Sweep(path string) error {
	leftovers, err := Leftovers(path)
	if err != nil {
		return err
	}
	for _, dir := range leftovers {
		if err := sweepOne(dir); err != nil {
			return err
		}
	}
	return nil
}

// Leftovers are the directories that Sweep of the same path looks at. Some may
// belong to somebody who is at work right now.
func Leftovers(path string) ([]string, error) {
	var leftovers []string
	for p := filepath.Clean(path); p != filepath.Dir(p); p = filepath.Dir(p) {
		entries, err := os.ReadDir(filepath.Dir(p))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue // nothing of ours can be in there
		}
		if err != nil {
			return nil, fmt.Errorf("cannot sweep %s: %w", filepath.Dir(p), err)
		}
		for _, e := range entries {
			leftover := filepath.Join(filepath.Dir(p), e.Name())
			if e.IsDir() && isTempOf(e.Name(), []string{filepath.Base(p)}) && isOwn(leftover) {
				leftovers = append(leftovers, leftover)
			}
		}
	}
	return leftovers, nil
}

func isOwn(path string) bool {
	info, err := os.Lstat(path)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

func sweepOne(dir string) error {
	release, err := hold(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone, or its maker lives
	}
	if err != nil {
		return fmt.Errorf("cannot sweep %s: %w", dir, err)
	}
	defer release()
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("cannot sweep %s: %w", dir, err)
	}
	return SyncDir(filepath.Dir(dir))
}
