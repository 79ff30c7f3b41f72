package cli

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

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/supervisor"
)

// background is the supervisor that init leaves running: this program, started
// again as "kubecrank supervise" in a session of its own. It is plan.Supervisor.
//
//	init --Start--> fork, setsid, stdin /dev/null, output to the log, clean environment
//	                   |
//	                   |     it ends if init has ended before it held its lock (app.wanted)
//	                   +-- polls the socket until it answers, or the process has ended: then its last words are the error
type background struct {
	client     supervisorClient
	executable string
	args       []string // of the verb supervise
	path       string   // the PATH in which the lean build finds its components
	log        string
	lock       string // of the supervisor
}

// supervisorClient talks to a supervisor that runs.
type supervisorClient interface {
	Status(ctx context.Context) (runtime.Status, error)
	Stop(ctx context.Context, tell func(runtime.Event)) error
	Restart(ctx context.Context, pod string) error
}

// background returns the supervisor of a configuration, which runs or can be started.
func (a *app) background(cfg config.Config) *background {
	args := []string{"supervise"}
	if a.global.root != "" {
		args = append(args, "--root", a.global.root)
	}
	for _, uid := range a.global.trustOwners {
		args = append(args, "--"+trustOwner, strconv.FormatUint(uint64(uid), 10))
	}
	if dir := a.componentsFor(cfg); dir != "" {
		args = append(args, "--components-dir", dir)
	}
	if cfg.Node.Name != "" {
		args = append(args, "--node-name", cfg.Node.Name)
	}
	if cfg.Node.AdvertiseAddress.IsValid() {
		args = append(args, "--node-ip", cfg.Node.AdvertiseAddress.String())
	}
	return &background{
		client:     a.client(),
		executable: a.stdio.Executable,
		args:       args,
		path:       a.stdio.getenv("PATH"),
		log:        cfg.Paths().SupervisorLog,
		lock:       cfg.Paths().SupervisorLock,
	}
}

// client talks to the supervisor of this root.
func (a *app) client() *supervisor.Client {
	return supervisor.NewClient(config.PathsBelow(a.global.root).Socket)
}

const (
	socketPoll = 5 * time.Millisecond
	// othersPatience is how long another supervisor may take from its lock to its first answer.
	othersPatience = time.Second
	lastWords      = 15       // lines of the log in an error
	maxWords       = 64 << 10 // bytes of the log that are looked at for them
)

// Restart implements plan.Restarter: a run that continues does not sit out the back-off of the run before it.
func (b *background) Restart(ctx context.Context, pod string) error {
	return b.client.Restart(ctx, pod)
}

// Status implements plan.Supervisor.
func (b *background) Status(ctx context.Context) (runtime.Status, error) { return b.client.Status(ctx) }

// Start implements plan.Supervisor.
func (b *background) Start(ctx context.Context) (int, error) {
	st, err := b.client.Status(ctx)
	if err == nil {
		return st.Supervisor.PID, nil
	}
	if !errors.Is(err, runtime.ErrNotRunning) {
		return 0, err
	}
	return b.start(ctx, b.args)
}

// Stop implements plan.Supervisor. It returns when the supervisor's process is gone too.
func (b *background) Stop(ctx context.Context, tell func(runtime.Event)) error {
	st, err := b.client.Status(ctx)
	if errors.Is(err, runtime.ErrNotRunning) {
		deaf, err := supervisor.Find(b.lock)
		if err != nil {
			return err
		}
		if len(deaf) > 0 {
			return b.interrupt(ctx, deaf)
		}
		if st.Supervisor.PID, err = b.start(ctx, append(slices.Clip(b.args), "--adopt-only")); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	gone, err := watchProcess(st.Supervisor.PID)
	if err != nil {
		return fmt.Errorf("cannot watch the supervisor (PID %d): %w", st.Supervisor.PID, err)
	}
	if err := b.client.Stop(ctx, essential(tell)); err != nil {
		return err
	}
	return gone(ctx)
}

// interrupt stops supervisors whose socket was removed. They end when their pods are stopped.
func (b *background) interrupt(ctx context.Context, pids []int) error {
	for _, pid := range pids {
		gone, err := watchProcess(pid)
		if err != nil {
			return fmt.Errorf("cannot watch the supervisor (PID %d): %w", pid, err)
		}
		if err := supervisor.Interrupt(pid, b.lock); err != nil {
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
func (b *background) start(ctx context.Context, args []string) (int, error) {
	log, err := os.OpenFile(b.log, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return 0, fmt.Errorf("cannot start the supervisor: %w", err)
	}
	defer log.Close()
	begin, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, fmt.Errorf("cannot start the supervisor: %w", err)
	}
	cmd := exec.Command(b.program(), args...) // not CommandContext: it outlives us
	cmd.Stdout, cmd.Stderr = log, log         // stdin is /dev/null
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + b.path, fmt.Sprintf("%s=%d", startedBy, os.Getpid())}
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
		if st, err := b.client.Status(ctx); err == nil {
			return st.Supervisor.PID, nil
		}
		select {
		case exit = <-ended: // perhaps because another one has the lock, and does not answer yet
			tooLate = time.After(othersPatience)
		case <-tooLate:
			return 0, b.died(exit, begin)
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(socketPoll):
		}
	}
}

// program is the file of this program, also after an upgrade has replaced it while we run.
func (b *background) program() string {
	if _, err := os.Stat(b.executable); errors.Is(err, fs.ErrNotExist) {
		return "/proc/self/exe"
	}
	return b.executable
}

// died makes the error for a supervisor that ended before it answered.
func (b *background) died(exit error, begin int64) error {
	how := "exit status 0"
	if exit != nil {
		how = exit.Error()
	}
	words := tail(b.log, begin)
	if words == "" {
		return fmt.Errorf("cannot start the supervisor: it ended at once (%s) and wrote nothing to %s", how, b.log)
	}
	return fmt.Errorf("cannot start the supervisor: it ended at once (%s); its last words in %s:\n  %s",
		how, b.log, strings.ReplaceAll(words, "\n", "\n  "))
}

// tail returns the last lines of a file, of those behind an offset.
func tail(path string, begin int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	if _, err := f.Seek(max(begin, end-maxWords), io.SeekStart); err != nil {
		return ""
	}
	data, _ := io.ReadAll(f) // as much of it as can be read
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-lastWords):], "\n")
}
