package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
)

const (
	// maxOutput is what the kubelet keeps of an exec probe's output (pkg/probe/exec: maxReadLength).
	maxOutput = 10 << 10
	// drainTimeout is how long output is awaited from what a command left running, when it has ended itself.
	drainTimeout = 100 * time.Millisecond
)

// Exec runs a command as the container's own process was started: same environment, directory, user and limits, in a
// session of its own. When ctx ends first, the command and all that it started are killed.
func (c *container) Exec(ctx context.Context, argv []string) ([]byte, int, error) {
	output, code, err := c.exec(ctx, argv)
	if err != nil {
		return output, code, fmt.Errorf("cannot run a command in container %s: %w", c.info.Name, err)
	}
	return output, code, nil
}

func (c *container) exec(ctx context.Context, argv []string) ([]byte, int, error) {
	if err := ctx.Err(); err != nil {
		return nil, -1, err
	}
	if len(argv) == 0 {
		return nil, -1, errors.New("the command is empty")
	}
	if c.ended() {
		return nil, -1, errors.New("it does not run")
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, -1, err
	}
	defer out.Close()
	cmd, err := c.startExec(argv, in)
	if err != nil {
		return nil, -1, errors.Join(err, in.Close())
	}
	_ = in.Close() // the command has its own
	output := make(chan []byte, 1)
	go func() { output <- readSome(out) }()
	ended := make(chan struct{})
	go func() {
		awaitEnd(cmd.pidfd)
		close(ended)
	}()
	var killed error
	select {
	case <-ended:
	case <-ctx.Done():
		killed = errors.Join(ctx.Err(), cmd.kill())
		select {
		case <-ended:
		case <-time.After(endTimeout): // it hangs in the kernel
			go func() {
				<-ended
				cmd.reap()
			}()
			return nil, -1, errors.Join(killed, stuck(cmd.pid))
		}
	}
	_ = out.SetReadDeadline(time.Now().Add(drainTimeout)) // a pipe takes deadlines
	text := <-output
	code := cmd.reap()
	if killed != nil {
		return text, -1, killed
	}
	return text, code, nil
}

// command is a process that Exec started, our child.
type command struct {
	pid   int
	pidfd *os.File
	of    leftover // what it may leave
	rt    *Runtime
}

func (c *container) startExec(argv []string, out *os.File) (*command, error) {
	ns, err := c.namespace()
	if err != nil {
		return nil, err
	}
	if ns != nil {
		defer ns.Close()
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	marker := fmt.Sprintf("%s/exec/%d", c.rec.marker(), c.execs.Add(1))
	pid, pidfd, err := c.rt.children.spawn(spawnSpec{
		find: func() (string, error) { return c.rt.findProgram(argv[0], c.rec.Dir, lookup(c.env, "PATH")) },
		argv: argv, env: append(c.env[:len(c.env):len(c.env)], markerVar+"="+marker), dir: c.rec.Dir,
		files: []uintptr{null.Fd(), out.Fd(), out.Fd()}, user: c.rec.User, limits: c.rec.Limits,
		group: c.rec.Cgroup, joins: c.rec.Cgroup.DiesWhole(), namespace: ns,
	})
	if err != nil {
		return nil, err
	}
	cmd := &command{rt: c.rt, pid: pid, pidfd: os.NewFile(uintptr(pidfd), "pidfd"), of: c.rec.leftover(pid)}
	cmd.of.marker = marker
	if stat, err := procfs.ReadStat(pid); err == nil {
		cmd.of.since = stat.Start // else all since the container's start are looked at when it must be killed
	}
	return cmd, nil
}

// kill ends the command and all that it started.
func (cmd *command) kill() error {
	err := sendSignal(cmd.pidfd, unix.SIGKILL)
	return errors.Join(err, cmd.rt.killLeftovers(cmd.of, time.Now().Add(sweepTimeout)))
}

// reap waits for the command, which has ended.
func (cmd *command) reap() int {
	defer cmd.pidfd.Close()
	status, err := cmd.rt.children.reap(cmd.pid)
	switch {
	case err != nil:
		return -1
	case status.Signaled():
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// readSome reads to the end and keeps the beginning.
func readSome(r io.Reader) []byte {
	data, err := io.ReadAll(io.LimitReader(r, maxOutput))
	if err == nil {
		_, _ = io.Copy(io.Discard, r) // a full pipe would stop the command
	}
	return data
}

func lookup(env []string, name string) string {
	for _, e := range env {
		if len(e) > len(name) && e[len(name)] == '=' && e[:len(name)] == name {
			return e[len(name)+1:]
		}
	}
	return ""
}
