package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
)

// Find returns the PIDs of the supervisors that hold a lock file of this path, or held it until it was removed. It asks
// neither socket nor lock: what a process has open is a fact that no other user can forge in its name. Processes of
// other users are left out, unless the caller is root and they are root's.
func Find(lockPath string) ([]int, error) {
	pids, err := procfs.PIDs()
	if err != nil {
		return nil, fmt.Errorf("cannot look for supervisors: %w", err)
	}
	lockPath = resolved(lockPath)
	var found []int
	for _, pid := range pids {
		if pid != os.Getpid() && holds(pid, lockPath) {
			found = append(found, pid)
		}
	}
	slices.Sort(found)
	return found, nil
}

// holds says whether a process is a supervisor with this lock. Its arguments are looked at first: they cost little.
func holds(pid int, lockPath string) bool {
	args, err := procfs.Args(pid)
	if err != nil || !slices.Contains(args, "supervise") {
		return false
	}
	status, err := procfs.ReadStatus(pid)
	if err != nil {
		return false
	}
	if uids, err := status.UIDs(); err != nil || uids[1] != os.Geteuid() {
		return false
	}
	files, err := procfs.Files(pid)
	if err != nil {
		return false
	}
	for _, file := range files {
		if file == lockPath || file == lockPath+" (deleted)" {
			return true
		}
	}
	return false
}

// Interrupt asks a supervisor that Find has found to stop its pods in order and then to end, as Ctrl-C does. The signal
// goes through a pidfd of a process that still holds the lock, so no other process can get it. One that is gone is no error.
func Interrupt(pid int, lockPath string) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot stop the supervisor (PID %d): %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	if !holds(pid, resolved(lockPath)) {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGINT, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot stop the supervisor (PID %d): %w", pid, err)
	}
	return nil
}

// resolved is the path without symbolic links, as /proc shows it, also if its last parts are gone.
func resolved(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		return real
	}
	dir := filepath.Dir(path)
	if dir == path {
		return path
	}
	return filepath.Join(resolved(dir), filepath.Base(path))
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }
