package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
)

// Containers that end together share the looks at all processes; each loses all that it left, and a stranger loses nothing.
func TestSweepTogether(t *testing.T) {
	t.Parallel()
	stranger := exec.Command("sleep", "1000")
	stranger.Env = []string{markerVar + "=0123456789abcdef/kube-system/together-0/uid-together-0/main/0/hash1"} // of another root
	stranger.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stranger.Process.Kill(); err != nil {
			t.Errorf("the stranger: %v", err)
		}
		_ = stranger.Wait()
	}()
	const n = 40
	rt := newRuntime(t)
	all := make([]*container, n)
	var left []int
	for i := range all {
		pod := selfPod(t, fmt.Sprint("together-", i), "stubborn")
		all[i] = start(t, rt, pod)
	}
	for _, c := range all {
		left = append(left, children(t, c)...)
	}
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() {
			if err := c.Stop(context.Background(), 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, pid := range left {
		if runs(pid) {
			t.Errorf("process %d still runs", pid)
		}
	}
	// Alone, each would need a look that finds something and one that finds nothing.
	if looks := rt.sweeps.looks; looks >= 2*n {
		t.Errorf("%d looks for %d containers", looks, n)
	}
	if !runs(stranger.Process.Pid) {
		t.Error("the stranger is gone")
	}
}

// A search gets no process that only has a marker which begins like its own, none that is older, and not the leader.
func TestSweepOwns(t *testing.T) {
	t.Parallel()
	with := func(marker string) int {
		cmd := exec.Command("sleep", "1000")
		cmd.Env = []string{markerVar + "=" + marker}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		return cmd.Process.Pid
	}
	m := fmt.Sprint("cafe/ns/pod/uid/main/1/hash-", os.Getpid())
	own, longer, command, other := with(m), with(m+"-2"), with(m+"/exec/7"), with(m+"/exec/71")
	stat, err := procfs.ReadStat(own)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		leftover
		want []int
	}{
		{"container", leftover{marker: m}, []int{own, command, other}},
		{"exec", leftover{marker: m + "/exec/7"}, []int{command}},
		{"leader", leftover{marker: m, leader: own}, []int{command, other}},
		{"later", leftover{marker: m, since: stat.Start + 1000}, nil},
		{"longer", leftover{marker: m + "-2"}, []int{longer}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			found, err := new(sweeper).find(tc.leftover)
			if err != nil || len(found) != len(tc.want) {
				t.Errorf("found %v, %v; want %v", found, err, tc.want)
			}
			for _, pid := range tc.want {
				fd, ok := found[pid]
				if !ok {
					t.Errorf("process %d not found", pid)
					continue
				}
				if err := unix.Close(fd); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A kernel without pidfds is named, with what to do; the one that the test runs on has them.
func TestKernel(t *testing.T) {
	t.Parallel()
	if err := checkPidfds(); err != nil {
		t.Error(err)
	}
	err := noPidfds(unix.ENOSYS, "4.18.0")
	if !strings.Contains(err.Error(), "Linux 4.18.0: it has no pidfds") || !strings.Contains(hintOf(err), "Linux 5.4") {
		t.Errorf("%v", err)
	}
	if err := noPidfds(unix.EPERM, "6.1"); !errors.Is(err, unix.EPERM) || !strings.Contains(hintOf(err), "seccomp") {
		t.Errorf("%v", err)
	}
}

// Where the kernel cannot mark all descriptors at once, it is done one by one (Linux before 5.11).
func TestCloseOnExec(t *testing.T) {
	leaked, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leaked)
	if err := closeOnExec(); err != nil {
		t.Fatal(err)
	}
	flags, err := unix.FcntlInt(uintptr(leaked), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %x, %v", flags, err)
	}
}

// BenchmarkStop100 and BenchmarkStop1000 are the time from the first of so many stops at once to the last end.
func BenchmarkStop100(b *testing.B)  { benchmarkStop(b, 100) }
func BenchmarkStop1000(b *testing.B) { benchmarkStop(b, 1000) }

func benchmarkStop(b *testing.B, n int) {
	rt, err := New(Options{Root: b.TempDir(), LogDir: b.TempDir(), StateDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	pod := testPod("bench", "")
	pod.Spec.Containers[0].Command = []string{"sleep", "1000"}
	s, err := rt.OpenPod(b.Context(), pod)
	if err != nil {
		b.Fatal(err)
	}
	var took time.Duration
	for b.Loop() {
		all := make([]runtime.Container, n)
		for i := range all {
			spec := runtime.ContainerSpec{Container: pod.Spec.Containers[0]}
			spec.Name = fmt.Sprint("c", i)
			if all[i], err = s.Start(b.Context(), spec); err != nil {
				b.Fatal(err)
			}
		}
		at := time.Now()
		var wg sync.WaitGroup
		for _, c := range all {
			wg.Go(func() {
				if err := c.Stop(context.Background(), time.Minute); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		took += time.Since(at)
	}
	if entries, err := os.ReadDir(rt.opts.StateDir); err != nil || len(entries) != 2 { // the pod's, and the key
		b.Error(entries, err)
	}
	if err := s.Close(b.Context()); err != nil {
		b.Error(err)
	}
	b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms/stop-all")
}
