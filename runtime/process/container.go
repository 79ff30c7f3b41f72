package process

import (
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
	rt      *Runtime
	rec     record // as at the start, never changed
	info    runtime.ContainerInfo
	env     []string // for Exec; of an adopted container, what it was started with
	child   bool     // ours to wait for; else adopted
	pidfd   *os.File // closed when done
	execs   atomic.Int64
	done    chan struct{}
	exit    runtime.Exit // valid when done
	escaped error        // what outlived it and cannot be killed; valid when done

	mu       sync.Mutex
	final    *runtime.Exit // set when it has ended
	recorded bool          // the record on disk says what there is to say
}

func (c *container) Info() runtime.ContainerInfo { return c.info }

func (c *container) Wait(ctx context.Context) (runtime.Exit, error) {
	select {
	case <-c.done:
		return c.exit, nil
	default:
	}
	select {
	case <-c.done:
		return c.exit, nil
	case <-ctx.Done():
		return runtime.Exit{}, ctx.Err()
	}
}

// Stop sends SIGTERM to the container's process, and after the grace period SIGKILL; what else is left
// of the container is killed as soon as that process has ended.
func (c *container) Stop(ctx context.Context, grace time.Duration) error {
	if c.ended() {
		return c.escaped
	}
	if err := sendSignal(c.pidfd, unix.SIGTERM); err != nil {
		return fmt.Errorf("cannot stop container %s: %w", c.info.Name, err)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.done:
		return c.escaped
	case <-ctx.Done():
		return fmt.Errorf("cannot stop container %s: %w", c.info.Name, ctx.Err())
	case <-timer.C:
	}
	if err := sendSignal(c.pidfd, unix.SIGKILL); err != nil {
		return fmt.Errorf("cannot kill container %s: %w", c.info.Name, err)
	}
	select {
	case <-c.done:
		return c.escaped
	case <-ctx.Done():
		return fmt.Errorf("cannot kill container %s: %w", c.info.Name, errors.Join(ctx.Err(), stuck(c.rec.PID)))
	}
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
	case <-c.done:
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

// watch follows the process to its end, clears away what it left, and tells everybody.
func (c *container) watch() {
	awaitEnd(c.pidfd)
	finished := time.Now()
	// Until our own child is waited for, its PID stands for its session and cannot be reused.
	leader := 0
	if c.child {
		leader = c.rec.PID
	}
	c.escaped = errors.Join(c.sweep(leader), killGroup(c.rec.Cgroup, leader))
	status, known := c.status()
	_ = c.pidfd.Close() // nothing was written
	c.exit.OOMKilled = c.rec.Cgroup.OOMKills() > 0
	_ = c.rec.Cgroup.Remove() // what is left goes with the pod's, which says why if it cannot
	c.finish(finished, status, known)
}

// status waits for a child, and asks the kernel about an adopted process.
func (c *container) status() (status unix.WaitStatus, known bool) {
	if !c.child {
		return adoptedStatus(c.pidfd, c.rec.PID, c.rec.Start)
	}
	for {
		pid, err := unix.Wait4(c.rec.PID, &status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return status, err == nil && pid == c.rec.PID
		}
	}
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
