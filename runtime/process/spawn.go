package process

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/runtime/process/cgroup"
	"github.com/kubecrank/kubecrank/runtime/process/mounts"
)

// umask of containers, as container runtimes have it.
const umask = 0o022

// spawnSpec is one process to be started.
type spawnSpec struct {
	find   func() (path string, err error) // called where the process will be
	argv   []string
	env    []string
	dir    string
	files  []uintptr // 0, 1 and 2
	user   *user
	limits privileges
	group  cgroup.Group
	joins  bool // it enters the group a moment after its start

	view      *mounts.View // a mount namespace of its own; nil for none
	namespace *os.File     // or another one's; nil for none
}

// privileges are what a process and its descendants can never get back, and what another user than root is given.
type privileges struct {
	NoNew   bool  `json:"noNew,omitempty"` // allowPrivilegeEscalation: false
	Drop    bool  `json:"drop,omitempty"`
	Keep    []int `json:"keep,omitempty"` // capabilities that stay in the bounding set, when Drop
	Ambient []int `json:"ambient,omitempty"`
}

// spawn starts a process in a session of its own and returns its PID and a pidfd.
//
// Umask, no_new_privs and the bounding set belong to a thread in Linux. So they are set on a thread
// that is made for the purpose, forks, and ends: neither a helper program nor a change of the supervisor is needed.
func spawn(s spawnSpec) (pid, pidfd int, err error) {
	onOwnThread(func() { pid, pidfd, err = spawnOnThread(s) })
	return pid, pidfd, err
}

// onOwnThread runs f on a thread that ends afterwards, whatever f does to it. It is never the process's first
// thread: that one does not end, and what /proc and a cgroup say of it holds for the process.
func onOwnThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		goruntime.LockOSThread() // not unlocked: the thread ends with the goroutine
		if unix.Gettid() == os.Getpid() {
			onOwnThread(f) // on another one, while this one is held here
			goruntime.UnlockOSThread()
			return
		}
		f()
	}()
	<-done
}

func spawnOnThread(s spawnSpec) (pid, pidfd int, err error) {
	if err := unix.Unshare(unix.CLONE_FS); err == nil {
		unix.Umask(umask)
	} // where a seccomp filter forbids it, the supervisor's own umask has to do
	if err := s.group.Enter(); err != nil {
		return 0, -1, fmt.Errorf("cannot enter cgroup: %w", err)
	}
	if err := s.enterView(); err != nil {
		return 0, -1, err
	}
	path, err := s.find()
	if err != nil {
		return 0, -1, err
	}
	if s.limits.NoNew {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return 0, -1, fmt.Errorf("cannot forbid privilege escalation: %w", err)
		}
	}
	if s.limits.Drop {
		if err := dropCapabilities(s.limits.Keep); err != nil {
			return 0, -1, err
		}
	}
	// Go opens everything close-on-exec, but what the supervisor inherited itself may not be.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil { // before Linux 5.11
		if err := closeOnExec(); err != nil {
			return 0, -1, err
		}
	}
	pidfd = -1
	attr := &syscall.ProcAttr{
		Dir:   s.dir,
		Env:   s.env,
		Files: s.files,
		// A session of its own: no terminal's hang-up and no Ctrl-C reaches it.
		Sys: &syscall.SysProcAttr{Setsid: true, Credential: s.user.credential(), PidFD: &pidfd},
	}
	for _, c := range s.limits.Ambient {
		attr.Sys.AmbientCaps = append(attr.Sys.AmbientCaps, uintptr(c))
	}
	// A command for a group that dies whole (memory.oom.group) is moved there after its start: as long as it shares our
	// memory (vfork), the end of the group would be ours.
	if !s.joins {
		dir, err := s.group.Open()
		if err != nil {
			return 0, -1, fmt.Errorf("cannot open cgroup: %w", err)
		}
		if dir != nil {
			defer dir.Close()
			attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(dir.Fd())
		}
	}
	pid, _, err = syscall.StartProcess(path, s.argv, attr)
	for wait := time.Millisecond; errors.Is(err, unix.ETXTBSY) && wait < 200*time.Millisecond; wait *= 2 {
		// A program that was written a moment ago may still be open in a child between its fork and its exec (golang.org/issue/22315).
		time.Sleep(wait)
		pid, _, err = syscall.StartProcess(path, s.argv, attr)
	}
	if err != nil {
		if attr.Sys.UseCgroupFD && (errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.E2BIG)) {
			return 0, -1, fmt.Errorf("cannot start in a cgroup: %w: Linux 5.7 is needed", err)
		}
		return 0, -1, explainExec(path, s.user, err)
	}
	if pidfd < 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // our own child, not waited for: it cannot be another one
		_, _ = syscall.Wait4(pid, nil, 0, nil)
		return 0, -1, noPidfds(unix.ENOSYS, kernelRelease())
	}
	err = unix.SetNonblock(pidfd, true) // lets the Go poller have it
	if err == nil && s.joins {
		err = s.group.Join(pid)
	}
	if err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL) // not waited for either
		_, _ = syscall.Wait4(pid, nil, 0, nil)
		_ = unix.Close(pidfd)
		return 0, -1, err
	}
	return pid, pidfd, nil
}

func (s spawnSpec) enterView() error {
	if s.view != nil {
		return s.view.Enter()
	}
	if s.namespace != nil {
		if err := unix.Setns(int(s.namespace.Fd()), unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("cannot enter the container's mount namespace: %w", err)
		}
	}
	return nil
}

// closeOnExec does it one by one, where the kernel cannot do it for all.
func closeOnExec() error {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("cannot keep descriptors from the container: %w", err)
	}
	for _, f := range fds {
		if fd, err := strconv.Atoi(f.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd) // the one that the list was read from is closed by now, which does no harm
		}
	}
	return nil
}
