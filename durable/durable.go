// Package durable writes files that are whole or not there at all, even when
// the process or the machine dies in the middle: temporary file, fsync,
// rename, fsync of the directory. Plan steps, the journal's helpers and the
// process runtime's state all write through it.
//
// Directories can be born the same way, with their first files already in
// them (NewDir), and go the same way (RetireDir). What a killed process leaves
// behind has a name that starts with TempPrefix; Sweep and SweepDir remove it.
package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
)

// TempPrefix starts the name of every temporary file or directory, followed by
// the final name, a dot and eight random characters. The dot in front makes a
// static pod directory ignore it.
const TempPrefix = ".kubecrank-tmp-"

// File is one file to write.
type File struct {
	Path string
	Data []byte
	Mode fs.FileMode
	// Owner is whom it is given to; nil leaves it to the process's own user.
	Owner *Owner
}

// Owner is a user and a group.
type Owner struct{ UID, GID int }

// WriteFile replaces path by a regular file with exactly these bytes and this
// mode, whatever the umask. The directory is opened once and the file is
// written inside it, so a symlink at path is replaced and never followed. The
// temporary file's name starts with a dot: a static pod directory ignores it.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return WriteFiles([]File{{Path: path, Data: data, Mode: mode}})
}

// syncers is how many files are synced at once: a disk merges what waits together.
const syncers = 8

// WriteFiles writes many files for the price of a few: all temporary files are
// written and synced side by side, then renamed in the given order, then each
// directory is synced once. A process that dies in between has renamed a
// prefix of the list, and each of those files is whole.
func WriteFiles(files []File) error {
	pending := make([]*pendingFile, 0, len(files))
	defer func() {
		for _, p := range pending {
			p.close()
		}
	}()
	for _, f := range files {
		p, err := openPending(f)
		if err != nil {
			return err
		}
		pending = append(pending, p)
	}
	var g errgroup.Group
	g.SetLimit(syncers)
	for _, p := range pending {
		g.Go(p.write)
	}
	if err := g.Wait(); err != nil {
		return err
	}
	dirs := make(map[string]bool)
	for _, p := range pending {
		if err := p.rename(); err != nil {
			return err
		}
		dirs[filepath.Dir(p.Path)] = true
	}
	var syncs errgroup.Group
	for dir := range dirs {
		syncs.Go(func() error { return SyncDir(dir) })
	}
	return syncs.Wait()
}

// pendingFile is a temporary file on its way to its final name.
type pendingFile struct {
	File
	dir *os.Root
	tmp string // "" once renamed
}

func openPending(f File) (*pendingFile, error) {
	dir, err := os.OpenRoot(filepath.Dir(f.Path))
	if err != nil {
		return nil, fmt.Errorf("cannot write %s: %w", f.Path, err)
	}
	return &pendingFile{File: f, dir: dir, tmp: tempName(filepath.Base(f.Path))}, nil
}

func (p *pendingFile) write() error {
	if err := writeSynced(p.dir, p.tmp, p.File); err != nil {
		return fmt.Errorf("cannot write %s: %w", p.Path, err)
	}
	return nil
}

func (p *pendingFile) rename() error {
	if err := p.dir.Rename(p.tmp, filepath.Base(p.Path)); err != nil {
		return fmt.Errorf("cannot write %s: %w", p.Path, err)
	}
	p.tmp = ""
	return nil
}

// close removes the temporary file if it was not renamed: an error is under way then, and is the one to report.
func (p *pendingFile) close() {
	if p.tmp != "" {
		_ = p.dir.Remove(p.tmp)
	}
	_ = p.dir.Close()
}

func writeSynced(dir *os.Root, name string, file File) error {
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(file.Data); err != nil {
		return err
	}
	if file.Owner != nil {
		if err := f.Chown(file.Owner.UID, file.Owner.GID); err != nil {
			return err
		}
	}
	if err := f.Chmod(file.Mode); err != nil {
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

// SweepDir removes the temporary files that writes of these names into dir left
// when they were killed. Names are base names; a dir that is not there is swept.
func SweepDir(dir string, names ...string) error {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot sweep %s: %w", dir, err)
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return fmt.Errorf("cannot sweep %s: %w", dir, err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !isTempOf(e.Name(), names) {
			continue
		}
		if err := root.Remove(e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove %s: %w", filepath.Join(dir, e.Name()), err)
		}
	}
	return nil
}

const randomLength = 8

func tempName(name string) string {
	return TempPrefix + name + "." + rand.Text()[:randomLength]
}

func isTempOf(entry string, names []string) bool {
	for _, name := range names {
		rest, ok := strings.CutPrefix(entry, TempPrefix+name+".")
		if ok && len(rest) == randomLength {
			return true
		}
	}
	return false
}
