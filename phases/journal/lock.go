package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/pathname"
)

// Lock keeps two runs apart that change the same node. It is a flock on
// Paths.Lock, so it ends with its holder, whatever kills that.
//
// The file says who holds it, and which directories had to be made for it:
// it is there before the journal is, and still there after it.
type Lock struct {
	file  *os.File
	dir   *os.Root // Paths.Run, as it was when the lock was taken
	paths config.Paths
	made  []string
}

// lockContent is what the lock file holds.
type lockContent struct {
	PID  int      `json:"pid"`
	Verb string   `json:"verb"`
	Made []string `json:"made,omitempty"` // outermost first
}

// LockedError says that another run holds the lock.
type LockedError struct {
	Path string
	PID  int
	Verb string
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("cannot lock %s: another kubecrank is at work", e.Path)
	}
	return fmt.Sprintf("cannot lock %s: kubecrank %s is at work (PID %d)", e.Path, e.Verb, e.PID)
}

// Hint says what to do next.
func (e *LockedError) Hint() string { return "wait until it has ended, and run this again" }

// Acquire takes the lock, or says at once who holds it (*LockedError).
// What a killed run left of its own beginning or end is swept up.
func Acquire(paths config.Paths, verb string) (*Lock, error) {
	for range 100 { // each turn lost means that a reset removed the file between two of our calls
		l, err := tryLock(paths, verb)
		if err != nil || l != nil {
			return l, err
		}
	}
	return nil, &LockedError{Path: paths.Lock}
}

// tryLock returns nil and no error when the file was removed in between.
func tryLock(paths config.Paths, verb string) (*Lock, error) {
	made, err := durable.NewDir(paths.Run, 0o700, func(made []string) []durable.File {
		data, _ := json.Marshal(lockContent{PID: os.Getpid(), Verb: verb, Made: made}) // ints and strings: cannot fail
		return []durable.File{{Path: paths.Lock, Data: data, Mode: 0o600}}
	})
	if err != nil {
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	f, err := os.OpenFile(paths.Lock, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	content := readLock(f)
	if errors.Is(err, unix.EWOULDBLOCK) {
		_ = f.Close()
		return nil, &LockedError{Path: paths.Lock, PID: content.PID, Verb: content.Verb}
	}
	dir := dirOf(f, paths.Lock)
	if err == nil && dir == nil {
		_ = f.Close() // the one that held it removed it: ours locks nothing
		return nil, nil
	}
	l := &Lock{file: f, dir: dir, paths: paths, made: made}
	if made == nil { // what the file says counts for parents of the file only, whoever wrote it
		l.made = slices.DeleteFunc(content.Made, func(dir string) bool { return !pathname.Below(dir, paths.Run) || dir == "/" })
	}
	if err == nil {
		err = l.write(lockContent{PID: os.Getpid(), Verb: verb, Made: l.made})
	}
	if err == nil {
		err = errors.Join(durable.Sweep(paths.Run), durable.Sweep(paths.State))
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("cannot lock %s: %w", paths.Lock, err)
	}
	return l, nil
}

// readLock is lenient: a file that says nothing makes an error message poorer, no more.
func readLock(f *os.File) lockContent {
	var c lockContent
	buf := make([]byte, 64<<10)
	n, _ := f.ReadAt(buf, 0)
	_ = json.Unmarshal(buf[:n], &c)
	return c
}

// write replaces the content by one write of the same length or longer, so that
// a kill in between does not lose the made directories.
func (l *Lock) write(c lockContent) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	for int64(len(data)) < info.Size() {
		data = append(data, '\n')
	}
	_, err = l.file.WriteAt(data, 0)
	return err
}

// dirOf opens the directory that has the file f under the name of path, nil when it is not there any more.
func dirOf(f *os.File, path string) *os.Root {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil
	}
	held, err1 := f.Stat()
	there, err2 := dir.Lstat(filepath.Base(path))
	if err1 != nil || err2 != nil || !os.SameFile(held, there) {
		_ = dir.Close()
		return nil
	}
	return dir
}

func (l *Lock) close() {
	_ = l.file.Close()
	if l.dir != nil {
		_ = l.dir.Close()
	}
}

// Made are the directories that were made for the lock, outermost first, by
// this run or by an earlier one since when they stand.
func (l *Lock) Made() []string { return slices.Clone(l.made) }

// Own adds directories above the lock that an earlier run made, by the journal.
func (l *Lock) Own(h History) error {
	changed := false
	for dir := l.paths.Run; dir != "/"; dir = filepath.Dir(dir) {
		if _, ours := h.At(dir); ours && !slices.Contains(l.made, dir) {
			l.made, changed = append(l.made, dir), true
		}
	}
	if !changed {
		return nil
	}
	slices.Sort(l.made) // each is a prefix of the next
	return l.write(lockContent{PID: os.Getpid(), Verb: VerbReset, Made: l.made})
}

// Release gives the lock up. If there is no journal (nothing was done, or a
// reset has ended), the lock's own file goes too, and so do the directories
// that were made for it and hold nothing else.
func (l *Lock) Release() error {
	defer l.close()
	if _, err := os.Lstat(l.paths.Journal); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	entries, err := fs.ReadDir(l.dir.FS(), ".")
	if err != nil {
		return fmt.Errorf("cannot remove the lock: %w", err)
	}
	if len(entries) == 1 && slices.Contains(l.made, l.paths.Run) {
		return retireChain(l.dir, l.paths.Run, l.made)
	}
	if err := l.dir.Remove(filepath.Base(l.paths.Lock)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove the lock: %w", err)
	}
	return nil
}

// FinishReset removes what a reset left that was killed after it had removed
// the journal: the lock, and directories that have lost their names already.
// It returns whether there was something. Where nothing is left it touches
// nothing, so that it needs no rights.
func FinishReset(paths config.Paths) (bool, error) {
	_, err := os.Lstat(paths.Lock)
	unfinished := err == nil
	for _, dir := range []string{paths.Run, paths.State} {
		leftovers, err := durable.Leftovers(dir)
		if err != nil {
			return false, err
		}
		unfinished = unfinished || len(leftovers) > 0
	}
	if !unfinished {
		return false, nil
	}
	l, err := Acquire(paths, VerbReset)
	if err != nil {
		return false, err
	}
	return true, l.Release()
}

// retireChain removes the directory path, which dir is, and with it those of the made parents
// that hold nothing else, in one rename: a kill leaves all of it or nothing that has its name.
// It goes up from dir by descriptors, so it never removes what took the place of a parent.
func retireChain(dir *os.Root, path string, made []string) error {
	top, at := path, dir
	for {
		parent, err := parentOf(at)
		if err != nil {
			return fmt.Errorf("cannot remove %s: %w", top, err)
		}
		defer parent.Close()
		entries, err := fs.ReadDir(parent.FS(), ".")
		if err != nil {
			return fmt.Errorf("cannot remove %s: %w", top, err)
		}
		if len(entries) > 1 || !slices.Contains(made, filepath.Dir(top)) {
			return retireSame(parent, at, top)
		}
		top, at = filepath.Dir(top), parent
	}
}

// retireSame removes from parent the directory that is open as dir, if it still has the name that it has in path.
func retireSame(parent, dir *os.Root, path string) error {
	name := filepath.Base(path)
	opened, err1 := dir.Stat(".")
	there, err2 := parent.Lstat(name)
	if errors.Is(err2, fs.ErrNotExist) {
		return nil
	}
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	if !os.SameFile(opened, there) {
		return fmt.Errorf("cannot remove %s: it was renamed, and another directory has its name", path)
	}
	return durable.RetireIn(parent, name)
}

// parentOf opens the parent of an open directory, wherever that is by now.
func parentOf(dir *os.Root) (*os.Root, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d/..", f.Fd()))
}
