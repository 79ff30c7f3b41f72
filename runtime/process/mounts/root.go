package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// makeRoot gives the thread a root in which directories can be made, if a target's first component is not there: a
// tmpfs that holds all that the host's root does, mounted one by one. It returns the components that are new.
func (v *View) makeRoot() (made map[string]bool, err error) {
	made = make(map[string]bool)
	for _, m := range v.Mounts {
		if _, err := os.Lstat("/" + first(m.Target)); errors.Is(err, fs.ErrNotExist) {
			made[first(m.Target)] = true
		}
	}
	if len(made) == 0 {
		return made, nil
	}
	if err := v.copyRoot(); err != nil {
		return nil, fmt.Errorf("cannot make a root with places to mount on: %w", err)
	}
	return made, nil
}

func first(target string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	return name
}

func (v *View) copyRoot() error {
	entries, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	trees := make(map[string]int)
	defer func() {
		for _, fd := range trees {
			_ = unix.Close(fd)
		}
	}()
	for _, e := range entries { // all before there is a mount of ours that they would show
		if !e.IsDir() && !e.Type().IsRegular() {
			continue
		}
		if trees[e.Name()], err = clone(unix.AT_FDCWD, "/"+e.Name(), unix.AT_RECURSIVE); err != nil {
			return err
		}
	}
	if err := unix.Mount("tmpfs", v.Scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=1m"); err != nil {
		return os.NewSyscallError("mount", err)
	}
	for _, e := range entries {
		at := filepath.Join(v.Scratch, e.Name())
		switch tree, mounted := trees[e.Name()]; {
		case mounted:
			if err := makeTarget(at, e.IsDir()); err != nil {
				return err
			}
			if err := attachAt(tree, at); err != nil {
				return err
			}
		case e.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink("/" + e.Name())
			if err == nil {
				err = os.Symlink(target, at)
			}
			if err != nil {
				return err
			}
		}
	}
	if err := unix.Chdir(v.Scratch); err != nil {
		return os.NewSyscallError("chdir", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return os.NewSyscallError("pivot_root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil { // the old root lies on the new one now
		return os.NewSyscallError("umount", err)
	}
	return os.NewSyscallError("chdir", unix.Chdir("/"))
}

// lockRoot makes all that is mounted read-only, but for what a container can always write to, and
// for a root of our own, in which places to mount on are still to be made.
func lockRoot(own bool) error {
	points, err := points()
	if err != nil {
		return err
	}
	for _, p := range points {
		if p == "/" && own || below(p, "/proc") || below(p, "/dev") {
			continue
		}
		err := readOnly(unix.AT_FDCWD, p, 0)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EINVAL) {
			continue // another mount covers it
		}
		if err != nil {
			return fmt.Errorf("cannot make the root read-only: %s: %w", p, err)
		}
	}
	return nil
}

func below(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
