// Package procfs is the one reader of /proc: processes, mounts, listening
// sockets, the boot ID. It is below everything and imports nothing of ours.
//
// A process may end between any two looks at it, and may belong to another
// user. So every reader of a process answers with one of these errors, which
// errors.Is finds:
//
//	ErrGone    no process has this PID, or it is hidden from this user
//	ErrZombie  it has ended, and its parent has not waited for it yet
//	ErrDenied  it is another user's, and this user may not look
//	ErrEmpty   it runs and has nothing there: it is in the middle of execve, or a thread of the kernel
//
// ReadStat knows zombies by their State and is the cheapest way to ask whether
// a process runs.
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The reasons why a process gives no answer; see the package comment.
var (
	ErrGone   = errors.New("the process is gone")
	ErrZombie = errors.New("the process has ended")
	ErrDenied = errors.New("the process belongs to another user")
	ErrEmpty  = errors.New("the process has nothing there: it is just starting, or a thread of the kernel")
)

// PIDs lists all processes that this user can see, in no order.
func PIDs() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("cannot look for processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("cannot look for processes: %w", err)
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func path(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// read reads a file of a process with as few system calls as there can be: every end of a container looks at
// every process.
func read(pid int, name string) ([]byte, error) {
	fd, err := unix.Open(path(pid, name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, explain(pid, name, err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	data := make([]byte, 0, 4096)
	for {
		n, err := unix.Read(fd, data[len(data):cap(data)])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, explain(pid, name, err)
		}
		full := n == cap(data)-len(data)
		data = data[:len(data)+n]
		if n == 0 || name == "stat" && !full { // "stat" comes in one piece
			return data, nil
		}
		if full {
			data = slices.Grow(data, cap(data))
		}
	}
}

// readFilled is read for files that are empty only for a moment, or at the end.
func readFilled(pid int, name string) ([]byte, error) {
	data, err := read(pid, name)
	if err == nil && len(data) == 0 {
		return nil, explain(pid, name, ErrEmpty)
	}
	return data, err
}

// explain names the reason why a file of a process could not be read. For what a zombie or a thread of the kernel does not have,
// the kernel says "no such file" or "no such process" too, or the file is empty.
func explain(pid int, name string, err error) error {
	missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
	switch {
	case errors.Is(err, fs.ErrPermission):
		err = ErrDenied
	case missing && name == "stat":
		err = ErrGone
	case missing, errors.Is(err, ErrEmpty):
		switch stat, statErr := ReadStat(pid); {
		case statErr != nil:
			err = ErrGone
		case stat.Dead():
			err = ErrZombie
		default:
			err = ErrEmpty
		}
	}
	return fmt.Errorf("cannot read %s: %w", path(pid, name), err)
}

// readLink reads a symbolic link of a process.
func readLink(pid int, name string) (string, error) {
	to, err := os.Readlink(path(pid, name))
	if err != nil {
		return "", explain(pid, name, err)
	}
	return to, nil
}

// split takes a list apart whose entries end with a NUL.
func split(data []byte) []string {
	return strings.Split(string(bytes.TrimSuffix(data, []byte{0})), "\x00")
}
