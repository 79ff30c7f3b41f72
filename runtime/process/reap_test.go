package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
)

// As the first process of a PID namespace, a Runtime reaps orphans, and steals nobody's exit code: neither of its own
// containers and commands, nor of what somebody else in the process has started.
func TestReap(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a PID namespace")
	}
	cmd := exec.Command("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", os.Args[0])
	cmd.Env = append(os.Environ(), "PROCESS_TEST=first", "T_ROOT="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "unshare failed") {
		t.Skipf("needs PID namespaces: %s", out)
	}
	if err != nil || string(out) != "fine\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// first starts containers that leave orphans, and says what is wrong afterwards.
func first() {
	if os.Getpid() != 1 {
		fail(fmt.Errorf("process %d is not the first one", os.Getpid()))
	}
	rt, err := New(Options{Root: os.Getenv("T_ROOT"), LogDir: os.Getenv("T_ROOT") + "/log", StateDir: os.Getenv("T_ROOT") + "/state"})
	if err != nil {
		fail(err)
	}
	go rt.Reap(context.Background())
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			if err := orphan(rt, fmt.Sprint("orphan-", i)); err != nil {
				fail(err)
			}
		})
		all.Go(func() { // os/exec, as flag checks use it
			if err := exec.Command("sh", "-c", "exit 6").Run(); err == nil || err.Error() != "exit status 6" {
				fail(fmt.Errorf("os/exec: %w", err))
			}
		})
	}
	all.Wait()
	left := ""
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		left = ""
		pids, _ := procfs.PIDs()
		for _, pid := range pids {
			if stat, err := procfs.ReadStat(pid); err == nil && pid != 1 {
				left += fmt.Sprintf("%d (%s) is left in state %c\n", pid, stat.Name, stat.State)
			}
		}
		if left == "" {
			fmt.Println("fine")
			os.Exit(0)
		}
	}
	fail(fmt.Errorf("%s", left))
}

// orphan runs a container with a child that forks again and ends: its own child is ours then, and ends before the container.
func orphan(rt *Runtime, name string) error {
	ctx := context.Background()
	end := filepath.Join(os.Getenv("T_ROOT"), name)
	pod := testPod(name, "(sleep 0.05 & exec sleep 0.01) & while [ ! -e "+end+" ]; do sleep 0.01; done; exit 7")
	s, err := rt.OpenPod(ctx, pod)
	if err != nil {
		return err
	}
	c, err := s.Start(ctx, runtime.ContainerSpec{Container: pod.Spec.Containers[0]})
	if err != nil {
		return err
	}
	if _, code, err := c.(runtime.Execer).Exec(ctx, []string{"sh", "-c", "(sleep 0.02 &) ; exit 3"}); err != nil || code != 3 {
		return fmt.Errorf("exec: %d, %w", code, err)
	}
	if err := os.WriteFile(end, nil, 0o600); err != nil {
		return err
	}
	exit, err := c.Wait(ctx)
	if err != nil || exit.Code != 7 {
		return fmt.Errorf("exit %+v, %w", exit, err)
	}
	if err := c.Stop(ctx, 0); err != nil {
		return err
	}
	return s.Close(ctx)
}
