// Package trust is the gate before anything below a root is believed. It asks
// of every component of a path what sshd's StrictModes asks: its owner is root
// or the caller, and nobody else may write to it.
//
//	"/" --openat2, no links--> component --fstat--> owner, mode --ok--> the next one ... --> Place
//	                             |
//	                             +-- a link: its owner and directory are checked too; its target is walked the same way
//
// Each component is opened in the descriptor of the one before, and is checked
// on its own descriptor. So no rename can come between a check and the step
// after it. When the walk has ended, only root and the caller can rename, add
// or replace a component: the path leads to the same place from then on. A
// Place that is Open is the exception: others may still make its next component,
// and whoever makes it checks again.
package trust

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Owners are the users whose files are believed.
type Owners []uint32

// Caller returns the owners that this process believes: root, its own
// effective user, and the users that it was told to believe.
func Caller(also ...uint32) Owners {
	return append(Owners{0, uint32(os.Geteuid())}, also...)
}

// Place is where a walk has ended: the deepest component that exists.
type Place struct {
	// File is an O_PATH descriptor of it. The caller closes it.
	File *os.File
	// Rest are the components that do not exist, or that the caller cannot look at; "" if all were checked.
	Rest string
	// Open is true if Rest is missing from a sticky directory, in which every user can make it.
	Open bool
}

// maxLinks is the kernel's own limit (path_resolution(7)).
const maxLinks = 40

// Check walks path, and returns why it cannot be trusted (*Error), or nil.
// What does not exist, and what the caller cannot look at, is nothing to believe: it is no error.
func (o Owners) Check(path string) error {
	p, err := o.Open(path)
	if err != nil {
		return err
	}
	return p.File.Close()
}

// Open walks an absolute path and returns the place where it ended. The error
// is an *Error for what cannot be trusted.
func (o Owners) Open(path string) (*Place, error) {
	return o.walk(path, false)
}

// CheckShared is Check for a directory that the machine's programs share, such as /var/log/pods: a parent
// that belongs to root may be writable by its group. Ubuntu has /var/log so, for the group of syslog.
func (o Owners) CheckShared(path string) error {
	p, err := o.walk(path, true)
	if err != nil {
		return err
	}
	return p.File.Close()
}

// ReadFile walks path and reads the file there through the descriptor that was checked. It returns
// fs.ErrNotExist for a file that does not exist, and an error for one larger than limit bytes.
func (o Owners) ReadFile(path string, limit int64) ([]byte, error) {
	p, err := o.Open(path)
	if err != nil {
		return nil, err
	}
	defer p.File.Close()
	if p.Rest != "" {
		_, err := os.Stat(path) // says which it is: missing, or closed to the caller
		if err == nil || errors.Is(err, unix.ENOTDIR) {
			err = &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return nil, err
	}
	info, err := p.File.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe would have us wait for ever
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(int(p.File.Fd())))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.Unwrap(err)}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return data, err
}

// walker is one walk. dir is the last component that was checked.
type walker struct {
	owners Owners
	shared bool
	asked  string // the path that was asked for
	dir    *os.File
	at     unix.Stat_t // of dir
	real   string      // where dir is, links resolved
	links  int
}

func (o Owners) walk(path string, shared bool) (*Place, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("cannot check %s: it is not absolute", path)
	}
	w := &walker{owners: o, shared: shared, asked: path}
	place, err := w.run(filepath.Clean(path))
	if err != nil && w.dir != nil {
		_ = w.dir.Close()
	}
	return place, err
}

func (w *walker) run(path string) (*Place, error) {
	if err := w.top(); err != nil {
		return nil, err
	}
	rest := components(path)
	for len(rest) > 0 {
		name := rest[0]
		f, err := openIn(w.dir, name)
		if absent(err) {
			return w.place(rest), nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot check %s: %w", w.asked, err)
		}
		st, err := stat(f)
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("cannot check %s: %w", w.asked, err)
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			target, err := w.link(f, name, st)
			_ = f.Close()
			if err != nil {
				return nil, err
			}
			rest = append(target, rest[1:]...)
			continue
		}
		if err := w.enter(f, name, st, len(rest) == 1); err != nil {
			return nil, err
		}
		rest = rest[1:]
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			break // what is below a file does not exist
		}
	}
	return w.place(rest), nil
}

// top begins the walk, or begins it again for a link to an absolute path.
func (w *walker) top() error {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot check %s: %w", w.asked, err)
	}
	f := os.NewFile(uintptr(fd), "/")
	st, err := stat(f)
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("cannot check %s: %w", w.asked, err)
	}
	w.real = ""
	return w.enter(f, "/", st, false)
}

// enter checks a component that is no link, and goes on from it.
func (w *walker) enter(f *os.File, name string, st unix.Stat_t, last bool) error {
	if w.dir != nil {
		_ = w.dir.Close()
	}
	w.real = filepath.Join(w.real, name) // name is "/" for the first, and ".." for the parent
	w.dir, w.at = f, st
	return w.check(w.real, st, last)
}

// check is the rule for one component; last is the one that was asked for.
func (w *walker) check(path string, st unix.Stat_t, last bool) error {
	isLink, isDir := st.Mode&unix.S_IFMT == unix.S_IFLNK, st.Mode&unix.S_IFMT == unix.S_IFDIR
	e := &Error{Path: w.asked, At: path, UID: st.Uid, GID: st.Gid, Mode: st.Mode & 0o7777, IsLink: isLink, Parent: isDir && !last}
	group, all := st.Mode&unix.S_IWGRP != 0, st.Mode&unix.S_IWOTH != 0 // with an ACL, group is the most that any entry gives
	switch {
	case !slices.Contains(w.owners, st.Uid):
		e.Cause = Owner
		return e
	case isLink: // it has no mode
	case isDir && !last && st.Mode&unix.S_ISVTX != 0: // nobody can rename what belongs to others in it
	case w.shared && !last && st.Uid == 0 && !all:
	case group || all:
		e.Cause = Writable
		return e
	}
	return nil
}

// link returns the components that a link stands for, from the directory that is then w.dir.
func (w *walker) link(f *os.File, name string, st unix.Stat_t) ([]string, error) {
	path := filepath.Join(w.real, name)
	if err := w.check(path, st, false); err != nil {
		return nil, err
	}
	if w.links++; w.links > maxLinks {
		return nil, fmt.Errorf("cannot check %s: %w", w.asked, &fs.PathError{Op: "open", Path: path, Err: unix.ELOOP})
	}
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", buffer)
	if err != nil {
		return nil, fmt.Errorf("cannot check %s: %w", w.asked, &fs.PathError{Op: "readlink", Path: path, Err: err})
	}
	target := string(buffer[:n])
	if filepath.IsAbs(target) {
		if err := w.top(); err != nil {
			return nil, err
		}
	}
	return components(target), nil
}

// place ends the walk at w.dir.
func (w *walker) place(rest []string) *Place {
	open := w.at.Mode&unix.S_ISVTX != 0 && w.at.Mode&(unix.S_IWGRP|unix.S_IWOTH) != 0
	return &Place{File: w.dir, Rest: filepath.Join(rest...), Open: open && len(rest) > 0}
}

// components are the names in a path, without those that say nothing. ".." is kept: after a link it means the real parent.
func components(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(name string) bool { return name == "" || name == "." })
}

// openIn opens one component in a directory, a link itself and not what it leads to.
func openIn(dir *os.File, name string) (*os.File, error) {
	const flags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat2(int(dir.Fd()), name, &unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // before Linux 5.6, or a seccomp filter that does not know it
		fd, err = unix.Openat(int(dir.Fd()), name, flags, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func stat(f *os.File) (st unix.Stat_t, err error) {
	err = unix.Fstat(int(f.Fd()), &st)
	return st, err
}

// absent says whether nothing can be read at a component: it does not exist, or the caller may not search its directory.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOTDIR)
}
