package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/durable"
)

// LockedError says that another supervisor runs.
type LockedError struct {
	Path string
	PID  int // 0 when the lock file does not tell
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("cannot start the supervisor: another one holds %s", e.Path)
	}
	return fmt.Sprintf("cannot start the supervisor: another one runs with PID %d (it holds %s)", e.PID, e.Path)
}

// Hint is the remedy.
func (e *LockedError) Hint() string {
	return "use `kubecrank status` to see what it runs; only one supervisor may own a static pod directory"
}

// takeLock locks the file for as long as it is open, and writes our PID into it. The lock goes with
// the process, however that ends; the file stays.
func takeLock(path string) (*os.File, error) {
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of the lock: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	for begun := time.Now(); errors.Is(err, unix.EWOULDBLOCK) && time.Since(begun) < lockPatience && !heldByAnother(f); {
		time.Sleep(lockPatience / 100)
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &LockedError{Path: path, PID: readPID(f)}
		}
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	if err := writePID(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot write %s: %w", path, err)
	}
	return f, nil
}

// lockPatience is how long a lock may outlast its owner: what that was starting when it was killed holds
// the descriptor until it has become the program that it is to be.
const lockPatience = time.Second

// heldByAnother says that the process which the lock file names is there, and is not this one.
func heldByAnother(f *os.File) bool {
	pid := readPID(f)
	return pid != 0 && pid != os.Getpid() && !errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// readPID is 0 when the file holds something else.
func readPID(f *os.File) int {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid < 1 {
		return 0
	}
	return pid
}
