package mounts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// open opens the source. A subPath never leads out of it, whatever links somebody who can write to the volume puts there; it
// may follow links inside (pkg/volume/util/subpath does the same with more steps).
func (m Mount) open() (int, error) {
	source, err := unix.Open(m.Source, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil || m.SubPath == "" {
		return source, pathError(m.Source, err)
	}
	defer closeAll([]int{source})
	fd, err := beneath(source, m.SubPath, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) {
		var st unix.Stat_t
		if err = unix.Fstat(source, &st); err == nil {
			err = makeBelow(source, m.SubPath, st.Mode&0o7777) // as the kubelet does
		}
		if err == nil {
			fd, err = beneath(source, m.SubPath, unix.O_PATH)
		}
	}
	return fd, explain(err, "subPath", m.SubPath, m.Source)
}

// explain says what an error of beneath means.
func explain(err error, field, path, volume string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EXDEV):
		return fmt.Errorf("%s %s leads out of %s", field, path, volume)
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%s %s in %s needs Linux 5.6", field, path, volume)
	}
	return fmt.Errorf("%s %s: %w", field, path, err)
}

func pathError(path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: "open", Path: path, Err: err}
}

// beneath opens a path below a directory. The kernel sees to it that it stays there.
func beneath(dir int, path string, flags uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(dir, path, &how)
	for tries := 0; tries < 10 && (errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)); tries++ {
		fd, err = unix.Openat2(dir, path, &how) // something was renamed meanwhile
	}
	return fd, err
}

// makePlace makes something to mount on below a directory.
func makePlace(volume int, path string, isDir bool) error {
	if isDir {
		return makeBelow(volume, path, 0o755)
	}
	dir, name := filepath.Split(path)
	if dir = strings.TrimSuffix(dir, "/"); dir == "" {
		dir = "."
	} else if err := makeBelow(volume, dir, 0o755); err != nil {
		return err
	}
	parent, err := beneath(volume, dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer closeAll([]int{parent})
	fd, err := unix.Openat(parent, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644) // follows no link
	if err != nil {
		return err
	}
	err = unix.Fchmod(fd, 0o644) // whatever the umask
	return errors.Join(err, unix.Close(fd))
}

// makeBelow makes the directories of a path that are missing, with that mode.
func makeBelow(volume int, path string, mode uint32) error {
	parent, err := unix.Dup(volume)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(parent) }()
	names := strings.Split(path, "/")
	for i, name := range names {
		at := strings.Join(names[:i+1], "/")
		next, err := beneath(volume, at, unix.O_PATH|unix.O_DIRECTORY)
		if errors.Is(err, unix.ENOENT) {
			next, err = makeDir(volume, parent, at, name, mode)
		}
		if err != nil {
			return err
		}
		_ = unix.Close(parent)
		parent = next
	}
	return nil
}

func makeDir(volume, parent int, at, name string, mode uint32) (int, error) {
	if err := unix.Mkdirat(parent, name, mode); err != nil && !errors.Is(err, unix.EEXIST) { // follows no link
		return -1, err
	}
	fd, err := beneath(volume, at, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err == nil {
		err = unix.Fchmod(fd, mode) // without the umask
	}
	return fd, err
}
