// Package guardian ends every process that a test program has started, however
// the program ends: a panic, go test's timeout, SIGKILL, the end of go test.
//
//	go test --> launcher --> guardian --> the tests --> kubecrank --> ...
//
// Guard, the first call of TestMain, starts the program twice more. The
// guardian is a "child subreaper" (prctl(2)): the kernel makes it the parent of
// every orphan below it, so that a daemon is still its descendant. When the
// tests have ended, or the launcher has (its end of a pipe closes), the guardian
// kills what is left below it until nothing is, and removes the cgroups of that.
// If the tests had passed, they have failed now, for each test must end what it starts.
package guardian

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
)

// roleVar says which of the three this process is. What the tests start inherits it, so that a test program
// that starts itself is not guarded twice.
const (
	roleVar   = "KUBECRANK_TEST_ROLE"
	guardRole = "guardian"
	testsRole = "tests"
)

const (
	grace   = 3 * time.Second // for what is about to end when tests have passed
	patient = time.Minute     // until all that was killed is gone
	failed  = 1               // exit codes of a test program
	broken  = 2
)

// Guard returns in the process that runs the tests. The two others never return from it.
func Guard() {
	var code int
	var err error
	switch os.Getenv(roleVar) {
	case testsRole:
		return
	case guardRole:
		code, err = guard()
	default:
		code, err = launch()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot guard the tests:", err)
		code = broken
	}
	os.Exit(code)
}

// launch starts the guardian in a session of its own, so that no signal to this one's group reaches it, and waits for it.
func launch() (int, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer write.Close() // its end tells the guardian of ours
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{"test-guardian"}, os.Args...)
	cmd.Env = append(os.Environ(), roleVar+"="+guardRole)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdin, os.Stdout, os.Stderr, []*os.File{read} // descriptor 3
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	_ = read.Close()
	forwardSignals(cmd.Process)
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 0, fmt.Errorf("the guardian has ended: %s", cmd.ProcessState)
}

// guard runs the tests, then ends what they have left.
func guard() (int, error) {
	unix.CloseOnExec(3)
	launcher := os.NewFile(3, "launcher")
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	program, err := os.Executable()
	if err != nil {
		return 0, err
	}
	if err := os.Setenv(roleVar, testsRole); err != nil {
		return 0, err
	}
	runtime.LockOSThread() // Pdeathsig is about the thread that has started the process
	tests, err := os.StartProcess(program, os.Args[1:], &os.ProcAttr{
		Env:   os.Environ(),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, err
	}
	forwardSignals(tests)
	go func() {
		_, _ = io.Copy(io.Discard, launcher) // until its end
		_ = tests.Kill()
	}()
	status := reapUntil(tests.Pid)
	code := status.ExitStatus() // -1: a signal
	if status.Signaled() {
		fmt.Fprintln(os.Stderr, "guardian: the tests were ended by a signal:", status.Signal())
		code = broken
	}
	wait := time.Duration(0)
	if code == 0 {
		wait = grace
	}
	killed, err := sweep(wait)
	if len(killed) > 0 {
		fmt.Fprintf(os.Stderr, "guardian: the tests have left processes behind, which are killed now:\n  %s\n", strings.Join(killed, "\n  "))
		code = max(code, failed)
	}
	return code, err
}

// forwardSignals passes on what is meant to end the tests.
func forwardSignals(to *os.Process) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGHUP)
	go func() {
		for s := range signals {
			_ = to.Signal(s) // it may have ended
		}
	}()
}

// reapUntil waits for children, those that it has inherited too, until the one with this PID has ended.
func reapUntil(pid int) unix.WaitStatus {
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		if ended == pid && err == nil {
			return status
		}
	}
}

// sweep waits so long for what runs below this process to end, and then kills it until nothing is left. It
// returns what it had to kill.
func sweep(wait time.Duration) (killed []string, err error) {
	begin, groups := time.Now(), make(cgroups)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		for pid := 1; pid > 0; {
			pid, _ = unix.Wait4(-1, nil, unix.WNOHANG, nil) // no child: -1
		}
		left, err := descendants(os.Getpid())
		if err != nil || len(left) == 0 {
			return killed, errors.Join(err, groups.remove())
		}
		waited := time.Since(begin)
		if waited > wait+patient {
			return killed, fmt.Errorf("processes do not end: %v", left)
		}
		if waited >= wait {
			for _, p := range left {
				groups.add(p.pid)
				if line := p.kill(); line != "" && !slices.Contains(killed, line) {
					killed = append(killed, line)
				}
			}
		}
		time.Sleep(pause)
	}
}

// process is a process that cannot be mistaken for another one.
type process struct {
	pid   int
	start uint64
}

// descendants are the processes below one that run: its children, theirs, and so on.
func descendants(of int) ([]process, error) {
	pids, err := procfs.PIDs()
	if err != nil {
		return nil, err
	}
	stats := make(map[int]procfs.Stat, len(pids))
	for _, pid := range pids {
		if stat, err := procfs.ReadStat(pid); err == nil {
			stats[pid] = stat
		}
	}
	var below []process
	for pid, stat := range stats {
		for up, depth := stat.Parent, 0; up != 0 && depth < len(stats); up, depth = stats[up].Parent, depth+1 { // a PID may be reused meanwhile
			if up == of && !stat.Dead() {
				below = append(below, process{pid, stat.Start})
			}
		}
	}
	return below, nil
}

// kill kills the process and returns a line about it; "" if it has ended. The handle pins it before it is looked at.
func (p process) kill() string {
	handle, err := os.FindProcess(p.pid)
	if err != nil {
		return ""
	}
	defer func() { _ = handle.Release() }()
	stat, err := procfs.ReadStat(p.pid)
	if err != nil || stat.Start != p.start || stat.Dead() {
		return ""
	}
	args, err := procfs.Args(p.pid)
	if err != nil {
		args = []string{stat.Name}
	}
	if handle.Kill() != nil {
		return ""
	}
	return fmt.Sprintf("%d %s", p.pid, strings.Join(args, " "))
}
