package resource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ownerHandler gives a file back to its owner before us, if it is still there.
func ownerHandler() handler {
	return handler{
		describe: func(path string) string { return fmt.Sprintf("give %s back to whom it belonged to", path) },
		check:    func(root string, c Claim) error { return checkPath(root, c.Key) },
		compare:  func(Claim, func(string) Seen) Finding { return Finding{Condition: Present} },
		undo: func(_ context.Context, root string, c Claim) error {
			if _, err := os.Lstat(c.Key); Gone(err) {
				return nil
			}
			return Give(root, c.Key, c, false)
		},
	}
}

// Give changes owner and mode of a path below root, and with tree the owner of all that is in it but lost+found.
func Give(root, path string, to Claim, tree bool) error {
	if root == "" { // the host's own links are followed, as everywhere
		resolved, err := filepath.EvalSymlinks(path)
		if err != nil {
			return fmt.Errorf("cannot give away %s: %s", path, Cause(err))
		}
		path = resolved
	}
	e, err := (&Remover{root: root}).open(path)
	if err != nil {
		return fmt.Errorf("cannot give away %s: %s", path, Cause(err))
	}
	defer e.dir.Close()
	if err := giveOne(e, to); err != nil {
		return fmt.Errorf("cannot give away %s: %s", path, Cause(err))
	}
	if !tree {
		return nil
	}
	sub, err := e.dir.OpenRoot(e.name)
	if err != nil {
		return fmt.Errorf("cannot give away what is in %s: %w", path, err)
	}
	defer sub.Close()
	err = fs.WalkDir(sub.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if name == "lost+found" && d.IsDir() {
			return fs.SkipDir
		}
		if err != nil || name == "." {
			return err
		}
		return sub.Lchown(name, int(to.UID), int(to.GID))
	})
	if err != nil {
		return fmt.Errorf("cannot give away what is in %s: %w", path, err)
	}
	return nil
}

// giveOne works on a descriptor, so that no link is followed. The mode has permission bits only: a setuid bit
// would come from a journal that kubecrank has not written.
func giveOne(e entry, to Claim) error {
	dir, err := e.dir.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	fd, err := unix.Openat(int(dir.Fd()), e.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) {
		return errors.New("it is a symbolic link")
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), e.name)
	defer f.Close()
	if err := f.Chown(int(to.UID), int(to.GID)); err != nil {
		return err
	}
	return f.Chmod(to.Mode.Perm())
}
