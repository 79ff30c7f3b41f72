package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/process/cgroup"
)

// needCgroups skips the test where a container cannot have a cgroup.
func needCgroups(t *testing.T, rt *Runtime) {
	t.Helper()
	_, err := rt.cgroups.New(cgroup.Pod{UID: "probe"}, "c-0", cgroup.Limits{})
	if err != nil {
		t.Skipf("needs a cgroup hierarchy that we may write to: %v", err)
	}
	if err := rt.cgroups.RemovePod("probe"); err != nil {
		t.Fatal(err)
	}
}

// daemonScript starts a daemon that neither session nor environment tell from a stranger, tells its PID, and goes on.
const daemonScript = "env -i setsid sh -c 'echo children $$$$; exec sleep 1000' & sleep 1000; sleep 1000"

// A daemon that left the session and cleared its environment ends with its container: when that is stopped, when it
// ends, and when it is stopped by another supervisor, which has its record or not; with limits and without.
func TestDaemonEnds(t *testing.T) {
	t.Parallel()
	needCgroups(t, newRuntime(t))
	for _, limited := range []bool{false, true} {
		change := func(spec *corev1.PodSpec) {}
		if limited {
			needLimits(t, newRuntime(t))
			change = func(spec *corev1.PodSpec) { spec.Containers[0].Resources.Limits = quantities("", "256Mi") }
		}
		for name, end := range map[string]func(t *testing.T, script string) (runtime.Container, []int){
			"stopped": func(t *testing.T, script string) (runtime.Container, []int) {
				pod := testPod("daemon", script)
				change(&pod.Spec)
				c := start(t, newRuntime(t), pod)
				return c, children(t, c)
			},
			"ended": func(t *testing.T, script string) (runtime.Container, []int) {
				pod := testPod("daemon", strings.Replace(script, "sleep 1000; sleep 1000", "sleep 0.2", 1))
				change(&pod.Spec)
				c := start(t, newRuntime(t), pod)
				kids := children(t, c)
				wait(t, c)
				return c, kids
			},
			"adopted": func(t *testing.T, script string) (runtime.Container, []int) {
				root, _ := killedSupervisorOf(t, "daemon", script, change)
				c := one(t, runtimeAt(t, root))
				return c, children(t, c)
			},
			"adopted without a record": func(t *testing.T, script string) (runtime.Container, []int) {
				root, _ := killedSupervisorOf(t, "daemon", script, change)
				if err := os.Remove(filepath.Join(root, "state", "uid-daemon", "main.json")); err != nil {
					t.Fatal(err)
				}
				c := one(t, runtimeAt(t, root))
				return c, children(t, c)
			},
		} {
			t.Run(fmt.Sprint(name, ", limits: ", limited), func(t *testing.T) {
				t.Parallel()
				c, kids := end(t, daemonScript)
				if name != "ended" && !runs(kids[0]) {
					t.Fatal("the daemon does not run")
				}
				if err := c.Stop(t.Context(), 0); err != nil {
					t.Fatal(err)
				}
				for _, pid := range kids {
					if runs(pid) {
						t.Errorf("process %d still runs", pid)
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			})
		}
	}
}

// On a machine without cgroups a container starts, and the session and the marker tell what belongs to it.
func TestNoCgroups(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	rt.cgroups = new(cgroup.Tree)
	c := start(t, rt, selfPod(t, "stubborn", "stubborn"))
	kids := children(t, c)
	if len(c.rec.Cgroup) > 0 {
		t.Errorf("it is in %v", c.rec.Cgroup)
	}
	if err := c.Stop(t.Context(), 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, pid := range kids {
		if runs(pid) {
			t.Errorf("process %d still runs", pid)
		}
	}
}

// freezer makes a frozen cgroup v1: a process in it cannot be killed until it is thawed.
func freezer(t *testing.T) (add func(pid int), thaw func()) {
	t.Helper()
	dir := fmt.Sprint("/sys/fs/cgroup/freezer/kubecrank-test-", os.Getpid(), "-", time.Now().UnixNano())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("needs the freezer of cgroup v1: %v", err)
	}
	put := func(file, text string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	thaw = func() { put("freezer.state", "THAWED") }
	t.Cleanup(func() {
		thaw()
		eventually(t, "the freezer is empty", func() bool { return os.Remove(dir) == nil || errors.Is(os.Remove(dir), os.ErrNotExist) })
	})
	return func(pid int) {
		put("cgroup.procs", strconv.Itoa(pid))
		put("freezer.state", "FROZEN")
		eventually(t, "it is frozen", func() bool {
			state, err := os.ReadFile(filepath.Join(dir, "freezer.state"))
			return err == nil && strings.TrimSpace(string(state)) == "FROZEN"
		})
	}, thaw
}

// The exit of a container is published although something that it left does not die. Stop says what that is, within
// its bounds. No new instance starts and the pod does not close before it is gone. Then all of it goes on.
func TestExitBeforeLeftovers(t *testing.T) {
	t.Parallel()
	for name, adapt := range map[string]func(*Runtime){
		"cgroup": func(*Runtime) {},
		"marker": func(rt *Runtime) { rt.cgroups = new(cgroup.Tree) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := newRuntime(t)
			adapt(rt)
			end := filepath.Join(t.TempDir(), "end")
			pod := testPod("frozen", "setsid sleep 1000 & echo children $!; while [ ! -e "+end+" ]; do sleep 0.01; done; exit 9")
			s, err := rt.OpenPod(t.Context(), pod)
			if err != nil {
				t.Fatal(err)
			}
			spec := runtime.ContainerSpec{Container: pod.Spec.Containers[0]}
			c, err := s.Start(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			kid := children(t, c)[0]
			add, thaw := freezer(t)
			add(kid)
			if err := os.WriteFile(end, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if exit, err := c.Wait(ctx); err != nil || exit.Code != 9 {
				t.Errorf("exit %+v, %v", exit, err)
			}
			began := time.Now()
			err = c.Stop(t.Context(), 0)
			if !errors.Is(err, runtime.ErrLeftovers) || !strings.Contains(err.Error(), fmt.Sprintf("process %d (", kid)) {
				t.Errorf("stop: %v", err)
			}
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("stop took %v", took)
			}
			if _, err := s.Start(t.Context(), spec); !errors.Is(err, runtime.ErrLeftovers) {
				t.Errorf("start: %v", err)
			}
			if err := s.Close(t.Context()); !errors.Is(err, runtime.ErrLeftovers) {
				t.Errorf("close: %v", err)
			}
			if name == "cgroup" { // the next supervisor knows as much
				next := one(t, runtimeAt(t, rt.opts.Root))
				if exit, err := next.Wait(ctx); !next.Exited || exit.Code != 9 || err != nil && ctx.Err() == nil {
					t.Errorf("listed: %v, %+v, %v", next.Exited, exit, err)
				}
				if err := next.Pod.Close(t.Context()); !errors.Is(err, runtime.ErrLeftovers) {
					t.Errorf("close of what was found: %v", err)
				}
			}
			thaw()
			eventually(t, "the leftover is gone", func() bool { return c.Stop(t.Context(), 0) == nil })
			again, err := s.Start(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			wait(t, again)
		})
	}
}

// stranger runs a process in a session of its own, with an environment and for a user of its own choice.
func stranger(t *testing.T, uid int, env ...string) int {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	cmd.Env, cmd.Dir = env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if uid != os.Geteuid() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	return cmd.Process.Pid
}

// A process that carries a marker which everybody can compute, or one that was copied, is neither adopted, nor signaled,
// nor waited for: while the container runs, when it ends, and by a supervisor that comes later.
func TestMarkerOfStranger(t *testing.T) {
	t.Parallel()
	uid := os.Geteuid()
	if uid == 0 {
		uid = 65534
	}
	root := t.TempDir()
	rt := runtimeAt(t, root)
	rt.cgroups = new(cgroup.Tree) // the marker must do
	pod := testPod("etcd", "exec sleep 1000")
	m := marker{root: rt.root, namespace: "kube-system", pod: "etcd", uid: "uid-etcd", container: "main", specHash: "hash1"}
	computed := stranger(t, uid, markerVar+"="+m.String())
	for _, f := range list(t, rt) {
		t.Errorf("found %+v, which everybody could have started", f.Info())
	}
	c := start(t, rt, pod)
	began := time.Now()
	if err := c.Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > sweepTimeout {
		t.Errorf("the end took %v", took)
	}
	if !runs(computed) {
		t.Error("the stranger with a computed marker was killed")
	}
	next := one(t, runtimeAt(t, root))
	if !next.Exited {
		t.Errorf("adopted process %d", next.Info().PID)
	}
	if !runs(computed) {
		t.Error("the stranger with a computed marker was killed by the next supervisor")
	}
}

// A sealed marker that was copied makes nobody the container: the user, the time of the start and the cgroup must fit.
func TestLeaders(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	needCgroups(t, rt)
	c := start(t, rt, testPod("real", "exec sleep 1000"))
	m := c.rec.marker()
	copied := stranger(t, os.Geteuid(), markerVar+"="+m.String())
	marked, err := rt.scan()
	if err != nil {
		t.Fatal(err)
	}
	if all := marked[m]; len(all) != 2 {
		t.Errorf("marked: %v", all)
	}
	if got := rt.leaders(&trace{marked: marked}, m); len(got) != 1 || got[0].pid != c.info.PID {
		t.Errorf("leaders: %v; the container is %d, the copy %d", got, c.info.PID, copied)
	}
	stat, err := procfs.ReadStat(c.info.PID)
	if err != nil {
		t.Fatal(err)
	}
	real := rt.cgroups
	defer func() { rt.cgroups = real }()
	rt.cgroups = new(cgroup.Tree) // without one, the rest must fit
	at := func(change func(*seen)) []seen {
		p := seen{c.info.PID, stat}
		change(&p)
		return rt.leaders(&trace{marked: map[marker][]seen{m: {p}}}, m)
	}
	if got := at(func(*seen) {}); len(got) != 1 {
		t.Errorf("the container itself: %v", got)
	}
	for name, change := range map[string]func(*seen){
		"too early":   func(p *seen) { p.stat.Start -= 1000 },
		"too late":    func(p *seen) { p.stat.Start += startWindow + 1000 },
		"not leading": func(p *seen) { p.stat.Session = 1 },
	} {
		if got := at(change); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	other := rt.key.seal(marker{root: rt.root, namespace: "n", pod: "p", uid: "u", container: "c", specHash: "h"}, os.Geteuid()+1)
	if os.Geteuid() != 0 || other.seal[0] != '0' {
		if got := rt.leaders(&trace{marked: map[marker][]seen{other: {{c.info.PID, stat}}}}, other); len(got) != 0 {
			t.Errorf("another user's: %v", got)
		}
	}
}

// The key of the markers is made once, is nobody else's, and what it did not seal does not open.
func TestSealKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := readSealKey(dir)
	if err != nil || len(key) != sealKeySize {
		t.Fatalf("%x, %v", key, err)
	}
	if again, err := readSealKey(dir); err != nil || string(again) != string(key) {
		t.Errorf("a second time: %x, %v", again, err)
	}
	m := key.seal(marker{root: "r", namespace: "n", pod: "p", uid: "u", container: "c", restart: 1, specHash: "h"}, 77)
	if got, ok := parseMarker(m.String()); !ok || got != m {
		t.Errorf("%+v, %v", got, ok)
	}
	user, since, ok := key.open(m)
	if !ok || user != 77 || since == 0 {
		t.Errorf("opened: %d, %d, %v", user, since, ok)
	}
	for name, change := range map[string]func(*marker){
		"restart": func(m *marker) { m.restart++ }, "pod": func(m *marker) { m.pod = "x" },
		"user": func(m *marker) { m.seal = "0" + m.seal[2:] }, "none": func(m *marker) { m.seal = "" },
		"cut": func(m *marker) { m.seal = m.seal[:len(m.seal)-1] },
	} {
		forged := m
		change(&forged)
		if _, _, ok := key.open(forged); ok {
			t.Errorf("%s: %s opens", name, forged)
		}
	}
	path := filepath.Join(dir, ".seal-key")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readSealKey(dir); err == nil || !strings.Contains(hintOf(err), "remove it") {
		t.Errorf("a key that others can read: %v", err)
	}
	if err := os.Truncate(path, 3); err != nil {
		t.Fatal(err)
	}
	if got, err := readSealKey(dir); err != nil || len(got) != sealKeySize {
		t.Errorf("one that was cut short: %x, %v", got, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// What an earlier version started has no seal in its marker. Its record tells that it is ours; without one it is not.
func TestAdoptUnsealed(t *testing.T) {
	t.Parallel()
	for _, recorded := range []bool{true, false} {
		t.Run(fmt.Sprint("record: ", recorded), func(t *testing.T) {
			t.Parallel()
			rt := newRuntime(t)
			m := marker{root: rt.root, namespace: "kube-system", pod: "old", uid: "uid-old", container: "main", specHash: "hash1"}
			pid := stranger(t, os.Geteuid(), markerVar+"="+m.String())
			kid := stranger(t, os.Geteuid(), markerVar+"="+m.String()+"/exec/1")
			stat, err := procfs.ReadStat(pid)
			if err != nil {
				t.Fatal(err)
			}
			if !recorded {
				if found := list(t, rt); len(found) != 0 || !runs(pid) {
					t.Errorf("found %v", found)
				}
				return
			}
			if err := rt.writeRecord(record{Version: recordVersion, Root: rt.root, BootID: rt.bootID, Namespace: m.namespace, Pod: m.pod,
				UID: m.uid, Container: m.container, SpecHash: m.specHash, PID: pid, Start: stat.Start, StartedAt: time.Now(),
				LogPath: filepath.Join(rt.opts.LogDir, "0.log"), Dir: "/"}); err != nil {
				t.Fatal(err)
			}
			c := one(t, rt)
			if c.Exited || c.Info().PID != pid {
				t.Fatalf("exited %v, %+v", c.Exited, c.Info())
			}
			if err := c.Stop(t.Context(), 0); err != nil {
				t.Error(err)
			}
			for _, p := range []int{pid, kid} {
				if runs(p) {
					t.Errorf("process %d still runs", p)
				}
			}
		})
	}
}

// The wait status of a child can be had while it stays a zombie, and is what wait4 tells.
func TestChildStatus(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]unix.WaitStatus{"exit 7": 7 << 8, "kill -9 $$": 9, "true": 0} {
		cmd := exec.Command("sh", "-c", script)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		got, known := childStatus(cmd.Process.Pid)
		if got != want || !known {
			t.Errorf("%s: %v, %v", script, got, known)
		}
		_ = cmd.Wait()
		if now := cmd.ProcessState.Sys().(syscall.WaitStatus); unix.WaitStatus(now) != want {
			t.Errorf("%s: wait tells %v", script, now)
		}
	}
}
