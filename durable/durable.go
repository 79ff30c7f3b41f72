// Package durable writes files that are whole or not there at all, even when
// the process or the machine dies in the middle: temporary file, fsync,
// rename, fsync of the directory. Plan steps, the journal's helpers and the
// process runtime's state all write through it.
package durable

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile replaces path by a regular file with exactly these bytes and this
// mode, whatever the umask. The directory is opened once and the file is
// written inside it, so a symlink at path is replaced and never followed. The
// temporary file's name starts with a dot: a static pod directory ignores it.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer dir.Close()
	name := filepath.Base(path)
	tmp := TempPrefix + name + "." + rand.Text()[:8]
	if err := writeSynced(dir, tmp, data, mode); err != nil {
		_ = dir.Remove(tmp) // the first error is the one to report
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if err := dir.Rename(tmp, name); err != nil {
		_ = dir.Remove(tmp)
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

// TempPrefix starts the name of every temporary file, followed by the final name.
const TempPrefix = ".kubecrank-tmp-"

func writeSynced(dir *os.Root, name string, data []byte, mode fs.FileMode) error {
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// SyncDir makes what was created, renamed or removed in dir survive a power loss.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot sync %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("cannot sync %s: %w", dir, err)
	}
	return nil
}
