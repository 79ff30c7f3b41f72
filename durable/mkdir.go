package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Mkdir makes one directory with exactly these permission bits, whatever the
// umask and the default ACL of its parent. It is used instead of os.Mkdir
// everywhere, and a rule of the linter holds that.
func Mkdir(path string, mode fs.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	// The mode is set on a descriptor: in a directory of others, the name may lead elsewhere by now.
	dir, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrPermission) { // a umask that takes even the owner's rights: it must be opened up first
		return os.Chmod(path, mode)
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	info, err := dir.Stat()
	if err != nil || info.Mode().Perm() == mode.Perm() {
		return err
	}
	return dir.Chmod(mode.Perm() | info.Mode()&fs.ModeSetgid)
}

// MkdirAll makes the directory path and its missing parents, all of them with
// exactly these permission bits. A directory that is there keeps its mode.
func MkdirAll(path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: unix.ENOTDIR}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	path = filepath.Clean(path)
	if parent := filepath.Dir(path); parent != path {
		if err := MkdirAll(parent, mode); err != nil {
			return err
		}
	}
	err = Mkdir(path, mode)
	if errors.Is(err, fs.ErrExist) {
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			return nil // somebody else made it this moment
		}
	}
	return err
}
