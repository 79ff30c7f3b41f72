// Package launch starts this program again as a supervisor in the background, finds the one that runs, and stops it.
package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/supervisor"
)

// Supervisor is the supervisor that init leaves running: this program, started
// again as "kubecrank supervise" in a session of its own. It is plan.Supervisor.
//
//	init --Start--> fork, setsid, stdin /dev/null, output to the log, clean environment
//	                   |
//	                   |     it ends if init has ended before it held its lock (Wanted)
//	                   +-- polls the socket until it answers, or the process has ended: then its last words are the error
type Supervisor struct {
	Client     Client
	Executable string   // this program
	Args       []string // of the verb supervise
	Path       string   // the PATH in which the lean build finds its components
	Log        string   // its log file
	Lock       string   // its lock file
}

// Client talks to a supervisor that runs.
type Client interface {
	Status(ctx context.Context) (runtime.Status, error)
	Stop(ctx context.Context, tell func(runtime.Event)) error
	Restart(ctx context.Context, pod string) error
}

const (
	// AnswerTimeout is how long a supervisor may take from its lock to its first answer.
	AnswerTimeout = time.Second
	// StartedBy is the environment variable with the PID of the program that started a supervisor.
	StartedBy = "KUBECRANK_STARTED_BY"

	socketPoll = 5 * time.Millisecond
	logLines   = 15       // of the log in an error
	logBytes   = 64 << 10 // of the log that are searched for them
)

// Wanted is an error when the program that started this supervisor has ended before the supervisor had its lock.
// startedBy is the value of the variable StartedBy. That program was killed then, and a later reset may be done: it could
// not know of this supervisor, which must make nothing.
func Wanted(startedBy string) error {
	if startedBy != "" && startedBy != strconv.Itoa(os.Getppid()) {
		return fmt.Errorf("cannot start the supervisor: process %s, which started it, has ended", startedBy)
	}
	return nil
}

// Restart implements plan.Restarter: a run that continues does not sit out the back-off of the run before it.
func (s *Supervisor) Restart(ctx context.Context, pod string) error {
	return s.Client.Restart(ctx, pod)
}

// Status implements plan.Supervisor.
func (s *Supervisor) Status(ctx context.Context) (runtime.Status, error) { return s.Client.Status(ctx) }

// Start implements plan.Supervisor.
func (s *Supervisor) Start(ctx context.Context) (int, error) {
	st, err := s.Client.Status(ctx)
	if err == nil {
		return st.Supervisor.PID, nil
	}
	if !errors.Is(err, runtime.ErrNotRunning) {
		return 0, err
	}
	return s.start(ctx, s.Args)
}

// Stop implements plan.Supervisor. It returns when the supervisor's process is gone too.
func (s *Supervisor) Stop(ctx context.Context, tell func(runtime.Event)) error {
	st, err := s.Client.Status(ctx)
	if errors.Is(err, runtime.ErrNotRunning) {
		deaf, err := supervisor.Find(s.Lock)
		if err != nil {
			return err
		}
		if len(deaf) > 0 {
			return s.interrupt(ctx, deaf)
		}
		if st.Supervisor.PID, err = s.start(ctx, append(slices.Clip(s.Args), "--adopt-only")); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	gone, err := watchProcess(st.Supervisor.PID)
	if err != nil {
		return fmt.Errorf("cannot watch the supervisor (PID %d): %w", st.Supervisor.PID, err)
	}
	if err := s.Client.Stop(ctx, essential(tell)); err != nil {
		return err
	}
	return gone(ctx)
}

// interrupt stops supervisors whose socket was removed. They end when their pods are stopped.
func (s *Supervisor) interrupt(ctx context.Context, pids []int) error {
	for _, pid := range pids {
		gone, err := watchProcess(pid)
		if err != nil {
			return fmt.Errorf("cannot watch the supervisor (PID %d): %w", pid, err)
		}
		if err := supervisor.Interrupt(pid, s.Lock); err != nil {
			return err
		}
		if err := gone(ctx); err != nil {
			return err
		}
	}
	return nil
}

// essential passes on what a person wants to know of a stop: who is gone, and what went wrong.
func essential(tell func(runtime.Event)) func(runtime.Event) {
	return func(e runtime.Event) {
		if e.Pod != "" && (e.Reason == runtime.ReasonStopped || strings.HasPrefix(string(e.Reason), string(runtime.ReasonFailed))) {
			tell(e)
		}
	}
}

// watchProcess returns a function that waits for the end of a process. It is
// called while the process is known to run, so that a later one with the same PID is not mistaken for it.
func watchProcess(pid int) (func(context.Context) error, error) {
	fd, err := unix.PidfdOpen(pid, 0) // it is polled, never read
	if errors.Is(err, unix.ESRCH) {
		return func(context.Context) error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		defer func() { _ = unix.Close(fd) }() // there is nothing to lose in it
		for ctx.Err() == nil {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
			if n > 0 {
				return nil
			}
			if err != nil && !errors.Is(err, unix.EINTR) {
				return fmt.Errorf("cannot wait for the supervisor's end: %w", err)
			}
		}
		return ctx.Err()
	}, nil
}

// start starts a supervisor and waits until it answers, or another one does, which a run that was killed has started.
func (s *Supervisor) start(ctx context.Context, args []string) (int, error) {
	log, err := os.OpenFile(s.Log, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return 0, fmt.Errorf("cannot start the supervisor: %w", err)
	}
	defer log.Close()
	begin, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, fmt.Errorf("cannot start the supervisor: %w", err)
	}
	cmd := exec.Command(s.program(), args...) // not CommandContext: it outlives us
	cmd.Stdout, cmd.Stderr = log, log         // stdin is /dev/null
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + s.Path, fmt.Sprintf("%s=%d", StartedBy, os.Getpid())}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// What we have inherited, such as the lock of a "flock FILE kubecrank init", is not to be held as long as the supervisor lives.
	_ = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) // ENOSYS before Linux 5.11
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("cannot start the supervisor: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var tooLate <-chan time.Time
	var exit error
	for {
		if st, err := s.Client.Status(ctx); err == nil {
			return st.Supervisor.PID, nil
		}
		select {
		case exit = <-ended: // perhaps because another one has the lock, and does not answer yet
			tooLate = time.After(AnswerTimeout)
		case <-tooLate:
			return 0, s.died(exit, begin)
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(socketPoll):
		}
	}
}

// program is the file of this program, also after an upgrade has replaced it while we run.
func (s *Supervisor) program() string {
	if _, err := os.Stat(s.Executable); errors.Is(err, fs.ErrNotExist) {
		return "/proc/self/exe"
	}
	return s.Executable
}

// died makes the error for a supervisor that ended before it answered.
func (s *Supervisor) died(exit error, begin int64) error {
	how := "exit status 0"
	if exit != nil {
		how = exit.Error()
	}
	words := tail(s.Log, begin)
	if words == "" {
		return fmt.Errorf("cannot start the supervisor: it ended at once (%s) and wrote nothing to %s", how, s.Log)
	}
	return fmt.Errorf("cannot start the supervisor: it ended at once (%s); its last words in %s:\n  %s",
		how, s.Log, strings.ReplaceAll(words, "\n", "\n  "))
}

// tail returns the last lines of a file, of those behind an offset.
func tail(path string, begin int64) string {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	if _, err := f.Seek(max(begin, end-logBytes), io.SeekStart); err != nil {
		return ""
	}
	data, _ := io.ReadAll(f) // as much of it as can be read
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-logLines):], "\n")
}
