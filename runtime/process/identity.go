package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
)

func procPath(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// errGone: the process is not there any more, or its PID belongs to another one by now.
var errGone = errors.New("no such process")

// checkPidfds tells whether this kernel has what nothing here works without.
func checkPidfds() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return noPidfds(err, kernelRelease())
	}
	return unix.Close(fd)
}

func noPidfds(err error, release string) error {
	if errors.Is(err, unix.ENOSYS) {
		err = errors.New("it has no pidfds")
	}
	return hinted{
		error: fmt.Errorf("processes cannot be watched with this kernel, Linux %s: %w", release, err),
		hint:  "Linux 5.4 or later is needed; in a container, a seccomp profile that allows pidfd_open",
	}
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "of an unknown version"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// pin opens a pidfd and then makes sure that it is the process with this start time. It is not blocking, so that
// the Go poller can wait for its end.
func pin(pid int, start uint64) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true) // PIDFD_NONBLOCK would need Linux 5.10
	}
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) { // EINVAL: a thread has this number
		return nil, errGone
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open pidfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	stat, err := procfs.ReadStat(pid)
	if err == nil && stat.Start == start && !stat.Dead() {
		return f, nil
	}
	_ = f.Close()
	if err == nil || errors.Is(err, procfs.ErrGone) {
		return nil, errGone
	}
	return nil, err
}

// sendSignal sends a signal to the process behind a pidfd. One that has ended is no error.
func sendSignal(pidfd *os.File, sig unix.Signal) error {
	conn, err := pidfd.SyscallConn()
	if err != nil {
		return nil
	}
	var sent error
	if err := conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return nil // closed, as it is when the end was seen
	}
	if errors.Is(sent, unix.ESRCH) {
		return nil
	}
	return sent
}

// awaitEnd waits until the process behind a pidfd has ended, without a thread of its own: the Go poller wakes it.
// If the poller has not taken the pidfd (a limit of epoll's), it does take a thread.
func awaitEnd(pidfd *os.File) {
	conn, err := pidfd.SyscallConn()
	if err != nil {
		return // closed: the end was seen
	}
	if err := conn.Read(func(fd uintptr) bool { return hasEnded(int(fd), 0) }); err == nil {
		return
	}
	_ = conn.Control(func(fd uintptr) { // fails only when closed
		for !hasEnded(int(fd), -1) {
			continue // interrupted
		}
	})
}

// hasEnded waits for the end so many milliseconds at most; negative: for ever.
func hasEnded(pidfd int, timeout int) bool {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, timeout)
	return err == nil && n > 0
}

// adoptedStatus is the wait status of a process that has ended and is not our child: from its pidfd once
// its parent has waited for it (Linux 6.15), from the zombie before that. false when nobody can tell.
func adoptedStatus(pidfd *os.File, pid int, start uint64) (unix.WaitStatus, bool) {
	conn, err := pidfd.SyscallConn()
	if err != nil {
		return 0, false
	}
	for range 3 { // between the two looks it may be waited for
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
		var asked error
		err := conn.Control(func(fd uintptr) { asked = unix.IoctlPidfdInfo(int(fd), &info) })
		if err == nil && asked == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0 {
			return unix.WaitStatus(info.Exit_code), true
		}
		if stat, err := procfs.ReadStat(pid); err == nil && stat.Start == start && stat.Dead() {
			return unix.WaitStatus(stat.ExitCode), true
		}
	}
	return 0, false
}

// startedAt is the wall clock time that belongs to a start time in ticks.
func startedAt(start uint64) time.Time {
	up, err := procfs.Uptime()
	if err != nil {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(start)*procfs.Tick - up)
}
