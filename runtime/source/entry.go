package source

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/runtime"
)

// entry is what is known of one path.
type entry struct {
	path    string
	pod     *runtime.Pod     // the last good one
	problem *runtime.Problem // why the file is refused or ignored
	gone    time.Time        // since when the file is missing
	seen    time.Time        // when it came; zero if it was there at the start

	stamp     stamp     // of the file when it was read last
	sum       [32]byte  // of its bytes then
	again     bool      // it changed so recently that the stamp may hide another change
	unsettled time.Time // since when the file is different and cannot be read yet
	pending   stamp     // of the unsettled file
	since     time.Time // since when it has that stamp
}

// stamp changes when a file does, but for writes within one tick of the kernel's clock.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
}

const (
	// clockTick is longer than the kernel's coarsest time stamp (10 ms at 100 Hz).
	clockTick = 20 * time.Millisecond
	// settleLimit is how long a file may stay open for writing, or empty, without any change
	// before it is read all the same.
	settleLimit = 2 * time.Second
)

// look reads the file if it has changed and is settled. It returns after what time it must be looked
// at again, 0 for not before something happens.
func (e *entry) look(now time.Time, d Decoder) time.Duration {
	e.gone = time.Time{}
	if name := filepath.Base(e.path); isBackup(name) {
		e.ignore("ignored: its name is that of a backup")
		return 0
	} else if wait := e.young(now); wait > 0 && sedTemporary.MatchString(name) {
		return wait
	}
	info, err := os.Stat(e.path) // through links (statement 4)
	if err != nil {
		return e.unreadable(err)
	}
	if st, err := stampOf(info); err == nil && st == e.stamp && !e.again {
		e.unsettled = time.Time{}
		return 0
	}
	f, st, err := openRegular(e.path, info)
	if err != nil {
		return e.unreadable(err)
	}
	defer f.Close()
	if wait := e.settle(now, f, st); wait > 0 {
		return wait
	}
	data, err := readAtMost(f)
	if after, statErr := fstat(f); err == nil && (statErr != nil || after != st) {
		return clockTick // it was written while it was read
	}
	e.unsettled = time.Time{}
	e.stamp = st
	e.again = now.Sub(time.Unix(st.mtime.Unix())).Abs() < clockTick
	if err != nil {
		e.refuse(&DecodeError{Err: fmt.Errorf("cannot read the manifest: %w", err)})
	} else if sum := sha256.Sum256(data); sum != e.sum || e.pod == nil && e.problem == nil {
		e.sum = sum
		e.take(data, d, now)
	}
	if e.again {
		return clockTick + clockTick/4
	}
	return 0
}

// young says how long a file has still to stay before it is no editor's temporary one.
func (e *entry) young(now time.Time) time.Duration { return max(0, tellDelay-now.Sub(e.seen)) }

// settle says how long to wait before the file can be read, 0 when it can: nobody has it open for
// writing, which a read lease tells, or, where the file system or somebody else's file allows no
// lease, it has not changed for a while. A file renamed into place is read at once (statement 29).
func (e *entry) settle(now time.Time, f *os.File, st stamp) time.Duration {
	if e.unsettled.IsZero() {
		e.unsettled = now
	}
	if st != e.pending {
		e.pending, e.since = st, now
	}
	// Untouched since we look, or by its own time stamps.
	still := max(now.Sub(e.since), now.Sub(time.Unix(st.mtime.Unix())))
	wait := max(5*time.Millisecond, min(now.Sub(e.unsettled)/4, time.Second))
	if st.size == 0 && still < settleLimit {
		return wait // created and not yet written; vim tests directories so (4913)
	}
	switch err := probeLease(f); {
	case err == nil:
		return 0
	case errors.Is(err, unix.EAGAIN) && still < settleLimit:
		return wait
	case errors.Is(err, unix.EAGAIN):
		return 0 // held open, and never written
	}
	return max(0, clockTick-still)
}

// probeLease takes and gives back a read lease: EAGAIN means that somebody writes the file.
func probeLease(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lease error
	if err := conn.Control(func(fd uintptr) {
		if _, lease = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK); lease == nil {
			_, lease = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
		}
	}); err != nil {
		return err
	}
	return lease
}

// take decodes new content. Content that is no pod leaves the last good one in place (statement 28).
func (e *entry) take(data []byte, d Decoder, now time.Time) {
	pod, err := d.Pod(data, e.path)
	if err != nil {
		e.refuse(err)
		return
	}
	e.problem = ignoredFields(pod)
	if e.pod != nil && e.pod.Hash == pod.Hash {
		return // the old one keeps its config.seen (statement 23)
	}
	pod.Annotations[ConfigSeenAnnotation] = now.Format(time.RFC3339Nano)
	e.pod = pod
}

func (e *entry) refuse(err error) {
	e.problem = &runtime.Problem{Source: e.path, Message: err.Error()}
	var decode *DecodeError
	if errors.As(err, &decode) {
		e.problem.Line = decode.Line
	}
	if e.pod != nil {
		e.problem.Message += "; the last good version stays in use"
	}
}

// ignore is for what is no manifest: no pod, and a warning.
func (e *entry) ignore(why string) {
	e.pod, e.stamp, e.unsettled = nil, stamp{}, time.Time{}
	e.problem = &runtime.Problem{Source: e.path, Message: why, Warning: true}
}

// errNotRegular is for directories, FIFOs, sockets, devices.
type errNotRegular struct{ mode fs.FileMode }

func (e errNotRegular) Error() string {
	if e.mode.IsDir() {
		return "ignored: it is a directory, and directories are not searched"
	}
	return fmt.Sprintf("ignored: it is no regular file (%s)", e.mode.Type())
}

// unreadable handles what could not be opened: no file at all (statement 3), or a good one that we may not read now.
func (e *entry) unreadable(err error) time.Duration {
	var not errNotRegular
	switch {
	case errors.As(err, &not):
		e.ignore(not.Error())
	case errors.Is(err, fs.ErrNotExist):
		if info, lerr := os.Lstat(e.path); lerr == nil && info.Mode()&fs.ModeSymlink != 0 && e.pod == nil {
			e.ignore("ignored: the link leads nowhere")
			return 0
		}
		// It vanished between the listing and now, or a link's target did: gone, or back soon.
		if e.unsettled.IsZero() {
			e.unsettled = time.Now()
		}
		if time.Since(e.unsettled) > removeDelay {
			e.ignore("ignored: the link leads nowhere")
			return 0
		}
		return removeDelay
	default:
		e.stamp, e.sum, e.unsettled = stamp{}, [32]byte{}, time.Time{}
		e.refuse(fmt.Errorf("cannot read the manifest: %w", err))
	}
	return 0
}

// openRegular opens what info says is a regular file, and nothing else.
func openRegular(path string, info fs.FileInfo) (*os.File, stamp, error) {
	if !info.Mode().IsRegular() {
		return nil, stamp{}, errNotRegular{info.Mode()}
	}
	// O_NONBLOCK: what is there now may be a FIFO after all.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, stamp{}, err
	}
	st, err := fstat(f)
	if err != nil {
		f.Close()
		return nil, stamp{}, err
	}
	return f, st, nil
}

func fstat(f *os.File) (stamp, error) {
	info, err := f.Stat()
	if err != nil {
		return stamp{}, err
	}
	return stampOf(info)
}

func stampOf(info fs.FileInfo) (stamp, error) {
	if !info.Mode().IsRegular() {
		return stamp{}, errNotRegular{info.Mode()}
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return stamp{}, fmt.Errorf("cannot stat %s: no inode number", info.Name())
	}
	return stamp{
		dev: sys.Dev, ino: sys.Ino, size: sys.Size,
		mtime: unix.Timespec(sys.Mtim), ctime: unix.Timespec(sys.Ctim),
	}, nil
}

// sedTemporary are the names of the files that sed -i writes next to those it edits: they hold a whole
// manifest for the moment before they take their place.
var sedTemporary = regexp.MustCompile(`^sed[[:alnum:]]{6}$`)

// isBackup tells the names that editors and package managers give to old versions. The kubelet runs
// them as pods (kubernetes#136962, kubeadm#2823).
func isBackup(name string) bool {
	if strings.HasSuffix(name, "~") || strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#") ||
		strings.HasSuffix(name, "___jb_tmp___") || strings.HasSuffix(name, "___jb_old___") { // JetBrains' editors
		return true
	}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".bak", ".backup", ".orig", ".old", ".save", ".swp", ".swo", ".swx", ".tmp", ".rej",
		".rpmsave", ".rpmnew", ".rpmorig", ".dpkg-old", ".dpkg-dist", ".dpkg-new", ".dpkg-tmp":
		return true
	default:
		return false
	}
}
