package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/logs"
)

// The termination message of a failed container is the end of its log, as much as the kubelet takes
// (pkg/kubelet/container/runtime.go: MaxContainerTerminationMessageLogLines and -Length).
const (
	messageLines = 80
	messageBytes = 2 << 10
)

// container is one started process.
type container struct {
	rt     *Runtime
	rec    record // as at the start, never changed
	info   runtime.ContainerInfo
	env    []string // for Exec; of an adopted container, what it was started with
	child  bool     // ours to wait for; else adopted
	pidfd  *os.File // of its own process; nil if that had ended when we came; closed when done
	execs  atomic.Int64
	exited chan struct{} // its own process has ended
	exit   runtime.Exit  // valid when exited
	failed chan struct{} // something of it does not die
	done   chan struct{} // nothing of it is left

	mu       sync.Mutex
	final    *runtime.Exit // set when it has ended
	recorded bool          // the record on disk says what there is to say
	left     error         // what does not die; nil until failed
}

// endTimeout bounds how long Stop waits for the end of what was killed.
const endTimeout = 5 * time.Second

func (c *container) Info() runtime.ContainerInfo { return c.info }

func (c *container) Wait(ctx context.Context) (runtime.Exit, error) {
	if c.ended() {
		return c.exit, nil
	}
	select {
	case <-c.exited:
		return c.exit, nil
	case <-ctx.Done():
		return runtime.Exit{}, ctx.Err()
	}
}

// Stop sends SIGTERM to the container's process, and after the grace period SIGKILL; what else is left
// of the container is killed as soon as that process has ended.
func (c *container) Stop(ctx context.Context, grace time.Duration) error {
	if c.ended() {
		return c.awaitClean(ctx)
	}
	if err := sendSignal(c.pidfd, unix.SIGTERM); err != nil {
		return fmt.Errorf("cannot stop container %s: %w", c.info.Name, err)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.exited:
		return c.awaitClean(ctx)
	case <-ctx.Done():
		return fmt.Errorf("cannot stop container %s: %w", c.info.Name, ctx.Err())
	case <-timer.C:
	}
	if err := sendSignal(c.pidfd, unix.SIGKILL); err != nil {
		return fmt.Errorf("cannot kill container %s: %w", c.info.Name, err)
	}
	timer.Reset(endTimeout)
	select {
	case <-c.exited:
		return c.awaitClean(ctx)
	case <-ctx.Done():
		return fmt.Errorf("cannot kill container %s: %w", c.info.Name, errors.Join(ctx.Err(), stuck(c.rec.PID)))
	case <-timer.C:
		return fmt.Errorf("cannot kill container %s: %w", c.info.Name, cmp.Or(stuck(c.rec.PID), context.DeadlineExceeded))
	}
}

// awaitClean waits until nothing of a container that has ended is left, but not for ever for what does not die.
func (c *container) awaitClean(ctx context.Context) error {
	var timeout <-chan time.Time
	failed := c.failed
	select {
	case <-failed: // before this call: what is left may end meanwhile
		failed = nil
		timer := time.NewTimer(endTimeout)
		defer timer.Stop()
		timeout = timer.C
	default:
	}
	select {
	case <-c.done:
		return nil
	case <-failed:
	case <-ctx.Done():
	case <-timeout:
	}
	return c.leftovers()
}

// leftovers says what is left of a container that has ended.
func (c *container) leftovers() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == nil {
		return fmt.Errorf("cannot clean up after container %s: %w", c.info.Name, runtime.ErrLeftovers)
	}
	return fmt.Errorf("cannot clean up after container %s: %w: %w", c.info.Name, runtime.ErrLeftovers, c.left)
}

// stuck says why a process does not go although it was killed.
func stuck(pid int) error {
	stat, err := procfs.ReadStat(pid)
	if err != nil || stat.Dead() {
		return nil
	}
	return fmt.Errorf("process %d (%s) does not end, its state is %c", pid, stat.Name, stat.State)
}

func (c *container) ended() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// register makes the container known and has it watched and recorded. When the record cannot be written
// (a full disk), the container runs all the same: its marker is enough to find it, and Housekeep tries again and says why.
func (c *container) register() {
	c.rt.mu.Lock()
	c.rt.containers[c.rec.marker().String()] = c
	c.rt.crowded[filepath.Dir(c.info.LogPath)] = true
	c.rt.mu.Unlock()
	go c.watch()
	_ = c.record()
}

// watch follows the process to its end, tells everybody, and then clears away what it left.
func (c *container) watch() {
	awaitEnd(c.pidfd)
	finished := time.Now()
	status, known := c.status()
	c.exit.OOMKilled = c.rec.Cgroup.OOMKills() > 0
	c.finish(finished, status, known)
	c.cleanUp()
}

// status asks the kernel how the process ended. A child stays a zombie: until it is reaped, its PID stands for its
// session and cannot be reused.
func (c *container) status() (status unix.WaitStatus, known bool) {
	if !c.child {
		return adoptedStatus(c.pidfd, c.rec.PID, c.rec.Start)
	}
	return childStatus(c.rec.PID)
}

func (c *container) finish(at time.Time, status unix.WaitStatus, known bool) {
	c.exit.FinishedAt = at
	switch {
	case !known:
		c.exit.Code = -1
	case status.Signaled():
		c.exit.Code = 128 + int(status.Signal())
		c.exit.Signal = unix.SignalName(status.Signal())
	default:
		c.exit.Code = status.ExitStatus()
	}
	if c.exit.Code != 0 {
		c.exit.Message = lastWords(c.info.LogPath)
	}
	c.mu.Lock()
	c.final, c.recorded = &c.exit, false
	c.mu.Unlock()
	_ = c.record() // what cannot be recorded is an exit code that only a later supervisor would read
	close(c.exited)
}

// cleanUp kills what the container left, until nothing is left of it. What does not die at once (it hangs in the
// kernel, or in a freezer) is tried again, ever more rarely.
func (c *container) cleanUp() {
	const rarest = 10 * time.Second
	for delay := time.Second; ; delay = min(2*delay, rarest) {
		err := c.sweep(time.Now().Add(sweepTimeout))
		if err == nil {
			break
		}
		c.fail(err)
		time.Sleep(delay)
	}
	c.release()
}

// fail keeps what does not die.
func (c *container) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == nil {
		close(c.failed)
	}
	c.left = err
}

// release forgets a container of which nothing is left.
func (c *container) release() {
	if c.child {
		_, _ = c.rt.children.reap(c.rec.PID)
	}
	if c.pidfd != nil {
		_ = c.pidfd.Close() // nothing was written
	}
	_ = c.rec.Cgroup.Remove() // what is left goes with the pod's, which says why if it cannot
	c.rt.mu.Lock()
	delete(c.rt.containers, c.rec.marker().String())
	c.rt.mu.Unlock()
	close(c.done)
}

func lastWords(logPath string) string {
	message, err := logs.LastLines(logPath, messageLines, messageBytes)
	if err != nil {
		return err.Error()
	}
	return message
}

// record writes the record unless that is done.
func (c *container) record() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recorded {
		return nil
	}
	rec := c.rec
	rec.Exit = c.final
	if err := c.rt.writeRecord(rec); err != nil {
		return err
	}
	c.recorded = true
	return nil
}
