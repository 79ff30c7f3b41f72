package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
)

// A container has nothing of its supervisor's: environment, descriptors, session, umask, directory.
func TestSurroundings(t *testing.T) {
	leaked, err := unix.Open("/dev/null", unix.O_RDONLY, 0) // not close-on-exec, as if inherited from our parent
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leaked)
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	t.Setenv("KUBECRANK_TEST_SECRET", "x")

	rt := newRuntime(t)
	pod := selfPod(t, "env", "describe")
	pod.Hash = "0123abcd"
	pod.Labels = map[string]string{"tier": "control-plane"}
	pod.Spec.NodeName = "node1"
	pod.Spec.Containers[0].Args = []string{"--name=$(NAME)", "$(PATH)", "$$(NAME)"}
	pod.Spec.Containers[0].Env = append(pod.Spec.Containers[0].Env,
		corev1.EnvVar{Name: "NAME", ValueFrom: field("metadata.name")},
		corev1.EnvVar{Name: "TIER", ValueFrom: field("metadata.labels['tier']")},
		corev1.EnvVar{Name: "LATER", Value: "$(NAME)-$(NONE)"},
		corev1.EnvVar{Name: "TWICE", Value: "1"}, corev1.EnvVar{Name: "TWICE", Value: "2"},
		corev1.EnvVar{Name: markerVar, Value: "forged"},
	)
	c := start(t, rt, pod)
	if exit := wait(t, c); exit.Code != 0 {
		t.Fatalf("%+v", exit)
	}
	var d description
	if err := json.Unmarshal([]byte(logOf(t, c)), &d); err != nil {
		t.Fatalf("%v: %s", err, logOf(t, c))
	}
	wantArgs := []string{pod.Spec.Containers[0].Command[0], "--name=env", "$(PATH)", "$(NAME)"}
	if !slices.Equal(d.Args, wantArgs) {
		t.Errorf("arguments %q, want %q", d.Args, wantArgs)
	}
	wantEnv := []string{"PATH=" + defaultPath, "PROCESS_TEST=describe", "NAME=env", "TIER=control-plane", "LATER=env-$(NONE)", "TWICE=2",
		markerVar + "=" + c.rec.Marker}
	if m, ok := parseMarker(c.rec.Marker); !ok || !strings.HasPrefix(c.rec.Marker, rt.root+"/kube-system/env/uid-env/main/0/0123abcd/") {
		t.Errorf("marker %+v", m)
	}
	if !slices.Equal(d.Env, wantEnv) {
		t.Errorf("environment\n%q, want\n%q", d.Env, wantEnv)
	}
	wantFDs := map[string]string{"0": "/dev/null", "1": c.info.LogPath, "2": c.info.LogPath}
	if !maps.Equal(d.FDs, wantFDs) {
		t.Errorf("descriptors %v, want %v", d.FDs, wantFDs)
	}
	if d.SID != d.PID || d.PGID != d.PID {
		t.Errorf("process %d, group %d, session %d", d.PID, d.PGID, d.SID)
	}
	if d.Umask != 0o022 || d.Dir != "/" {
		t.Errorf("umask %o, directory %s", d.Umask, d.Dir)
	}
	if now := unix.Umask(0o077); now != 0o077 {
		t.Errorf("the supervisor's own umask became %o", now)
	}
}

func field(path string) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
}

func ptr[T any](v T) *T { return &v }

func TestExit(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	for _, tc := range []struct {
		name, script string
		want         runtime.Exit
	}{
		{"success", "echo fine", runtime.Exit{}},
		{"failure", "echo one; echo two >&2; exit 3", runtime.Exit{Code: 3, Message: "one\ntwo\n"}},
		{"signal", "kill -SEGV $$$$", runtime.Exit{Code: 139, Signal: "SIGSEGV"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			before := time.Now()
			c := start(t, rt, testPod(tc.name, tc.script))
			exit := wait(t, c)
			if exit.FinishedAt.Before(before) || exit.FinishedAt.After(time.Now()) {
				t.Errorf("finished at %v", exit.FinishedAt)
			}
			exit.FinishedAt = time.Time{}
			if exit != tc.want {
				t.Errorf("got %+v, want %+v", exit, tc.want)
			}
			if err := c.Stop(t.Context(), time.Second); err != nil {
				t.Errorf("stop after the end: %v", err)
			}
			if again := wait(t, c); again.Code != tc.want.Code {
				t.Errorf("second wait: %+v", again)
			}
			if info := c.Info(); !strings.HasPrefix(info.ID, "process://"+rt.bootID+"/") || info.PodFullName != tc.name+"_kube-system" ||
				info.SpecHash != "hash1" || info.PID == 0 || info.StartedAt.Before(before) {
				t.Errorf("%+v", info)
			}
		})
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	t.Parallel()
	c := start(t, newRuntime(t), testPod("waits", "exec sleep 1000"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if !runs(c.info.PID) {
		t.Error("the container ended with the wait")
	}
}

// SIGTERM is heeded at once, and the grace period is not waited out.
func TestStopGently(t *testing.T) {
	t.Parallel()
	c := start(t, newRuntime(t), testPod("gentle", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done"))
	eventually(t, "ready", func() bool { return strings.Contains(logOf(t, c), "ready") })
	begin := time.Now()
	if err := c.Stop(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if exit := wait(t, c); exit.Code != 0 || !strings.Contains(logOf(t, c), "bye") {
		t.Errorf("%+v", exit)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// After the grace period everything goes: the program that ignores SIGTERM, its child that ignores it too, and the child
// that made a session of its own.
func TestStopKillsAll(t *testing.T) {
	t.Parallel()
	c := start(t, newRuntime(t), selfPod(t, "stubborn", "stubborn"))
	kids := children(t, c)
	if err := c.Stop(t.Context(), 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, pid := range append(kids, c.info.PID) {
		if runs(pid) {
			t.Errorf("process %d still runs", pid)
		}
	}
	if exit := wait(t, c); exit.Code != 137 || exit.Signal != "SIGKILL" {
		t.Errorf("%+v", exit)
	}
}

// When a container's process ends by itself, what it started ends too, as in a PID namespace: it may hold the ports.
func TestEndTakesAllAlong(t *testing.T) {
	t.Parallel()
	c := start(t, newRuntime(t), selfPod(t, "leaver", "leave"))
	if exit := wait(t, c); exit.Code != 5 {
		t.Errorf("%+v", exit)
	}
	for _, pid := range children(t, c) {
		if runs(pid) {
			t.Errorf("process %d still runs", pid)
		}
	}
}

// A hung process (SIGSTOP) can be stopped.
func TestStopHung(t *testing.T) {
	t.Parallel()
	c := start(t, newRuntime(t), testPod("hung", "exec sleep 1000"))
	if err := sendSignal(c.pidfd, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "stopped", func() bool { stat, err := procfs.ReadStat(c.info.PID); return err == nil && stat.State == 'T' })
	if err := c.Stop(t.Context(), 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if exit := wait(t, c); exit.Signal != "SIGKILL" {
		t.Errorf("%+v", exit)
	}
}

// Each start has its own log, and none is overwritten, whatever restart count the caller believes in.
func TestRestartLogs(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	pod := testPod("again", "echo $0 $$")
	s, err := rt.OpenPod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for i, ask := range []int{0, 1, 0, 9} {
		c, err := s.Start(t.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0], RestartCount: ask})
		if err != nil {
			t.Fatal(err)
		}
		wait(t, c)
		if want := []int{0, 1, 2, 9}[i]; c.Info().RestartCount != want {
			t.Errorf("restart count %d, want %d", c.Info().RestartCount, want)
		}
		paths = append(paths, c.Info().LogPath)
		if text := logOf(t, c); strings.Count(text, "\n") != 1 {
			t.Errorf("log %q", text)
		}
	}
	if want := filepath.Join(rt.opts.LogDir, "kube-system_again_uid-again", "main", "9.log"); paths[3] != want {
		t.Errorf("log at %s, want %s", paths[3], want)
	}
	if info, err := os.Stat(paths[3]); err != nil || info.Mode() != 0o640 {
		t.Errorf("log: %v, %v", info.Mode(), err)
	}
}

// A start that fails says why, and leaves no log that would count as a restart.
func TestStartErrors(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tc := range []struct {
		name    string
		command []string
		workDir string
		want    string
		hint    string
	}{
		{"no such component", []string{"kube-nothing"}, "",
			"cannot run kube-nothing: there is no such program in /usr/local/sbin:", "not images"},
		{"no such file", []string{"/nowhere/etcd"}, "", "cannot run /nowhere/etcd: no such file or directory", ""},
		{"not executable", []string{file("plain", "x", 0o644)}, "", "it is not executable", ""},
		{"directory", []string{"/tmp"}, "", "cannot run /tmp: it is not a file", ""},
		{"other architecture", []string{file("alien", "\x7fELF\x02\x01\x01 not for us", 0o755)}, "",
			"exec format error", "another architecture"},
		{"no interpreter", []string{file("script", "#!/nowhere/sh\n", 0o755)}, "", "interpreter", ""},
		{"no directory", []string{"sh"}, "/nowhere", "cannot use workingDir: stat /nowhere: no such file or directory", ""},
		{"relative program is looked for in the working directory", []string{"./plain"}, dir,
			"cannot run " + dir + "/plain: it is not executable", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pod := testPod("bad", "")
			s, err := rt.OpenPod(t.Context(), pod)
			if err != nil {
				t.Fatal(err)
			}
			spec := pod.Spec.Containers[0]
			spec.Command, spec.WorkingDir = tc.command, tc.workDir
			_, err = s.Start(t.Context(), runtime.ContainerSpec{Container: spec})
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "cannot start container main: ") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if tc.hint != "" && !strings.Contains(hintOf(err), tc.hint) {
				t.Errorf("hint %q", hintOf(err))
			}
		})
	}
	left, err := filepath.Glob(filepath.Join(rt.opts.LogDir, "*", "*", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// A bare name is one of our components first; the program sees the bare name, by which a multi-call binary knows itself.
func TestComponentsFirst(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	rt.opts.ComponentsDir = t.TempDir()
	multi := filepath.Join(rt.opts.ComponentsDir, "components")
	if err := os.WriteFile(multi, []byte("#!/bin/sh\necho component $0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("components", filepath.Join(rt.opts.ComponentsDir, "sleep")); err != nil {
		t.Fatal(err)
	}
	pod := testPod("multi", "")
	pod.Spec.Containers[0].Command = []string{"sleep"}
	c := start(t, rt, pod)
	wait(t, c)
	if got := logOf(t, c); got != "component "+rt.opts.ComponentsDir+"/sleep\n" { // a script's $0 is its path
		t.Errorf("%q", got)
	}
	rt.opts.ComponentsDir = filepath.Dir(rt.opts.ComponentsDir) // none there: PATH
	pod = testPod("path", "")
	pod.Spec.Containers[0].Command = []string{"sh", "-c", "tr '\\0' ' ' < /proc/$$$$/cmdline; echo"}
	c = start(t, rt, pod)
	wait(t, c)
	if got := logOf(t, c); !strings.HasPrefix(got, "sh -c ") {
		t.Errorf("%q", got)
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	pod := testPod("exec", "exec sleep 1000")
	dir := t.TempDir()
	pod.Spec.Containers[0].WorkingDir = dir
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "COLOR", Value: "blue"}}
	c := start(t, rt, pod)
	t.Run("output and code", func(t *testing.T) {
		out, code, err := c.Exec(t.Context(), []string{"sh", "-c", "echo $COLOR; pwd >&2; exit 4"})
		if string(out) != "blue\n"+dir+"\n" || code != 4 || err != nil {
			t.Errorf("%q, %d, %v", out, code, err)
		}
	})
	t.Run("output is cut, the command is not stopped", func(t *testing.T) {
		out, code, err := c.Exec(t.Context(), []string{"sh", "-c", "yes | head -c 1000000; exit 2"})
		if len(out) != 10<<10 || code != 2 || err != nil {
			t.Errorf("%d bytes, %d, %v", len(out), code, err)
		}
	})
	t.Run("timeout kills all of it", func(t *testing.T) {
		mark := filepath.Join(dir, "pid")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			eventually(t, "the grandchild runs", func() bool { b, _ := os.ReadFile(mark); return len(b) > 1 })
			cancel()
		}()
		_, _, err := c.Exec(ctx, []string{"sh", "-c", "(trap '' TERM; sh -c 'echo $PPID > pid; sleep 1000'; sleep 1000) & wait"})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		var pid int
		b, _ := os.ReadFile(mark)
		if _, err := fmt.Sscan(string(b), &pid); err != nil || runs(pid) {
			t.Errorf("process %d still runs, %v", pid, err)
		}
	})
	t.Run("what it leaves in the background does not hold it up", func(t *testing.T) {
		begin := time.Now()
		out, code, err := c.Exec(t.Context(), []string{"sh", "-c", "sleep 1000 & echo $!"})
		var pid int
		if _, scanErr := fmt.Sscan(string(out), &pid); scanErr != nil || code != 0 || err != nil {
			t.Fatalf("%q, %d, %v", out, code, err)
		}
		if time.Since(begin) > 5*time.Second {
			t.Error("it did")
		}
		if !runs(pid) {
			t.Error("it was killed, which a container would not do")
		}
		t.Cleanup(func() {
			if runs(pid) {
				t.Error("it outlived the container")
			}
		})
		if err := c.Stop(t.Context(), 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("no command, no program, no container", func(t *testing.T) {
		for _, argv := range [][]string{nil, {"no-such-program"}, {"sh", "-c", "exit 0"}} {
			if _, _, err := c.Exec(t.Context(), argv); err == nil {
				t.Errorf("%q: no error", argv)
			}
		}
	})
}

// Many containers cost goroutines, not threads.
func TestThreads(t *testing.T) {
	if testing.Short() {
		t.Skip("starts 100 processes")
	}
	rt := newRuntime(t)
	threads := func() int { e, _ := os.ReadDir("/proc/self/task"); return len(e) }
	before, goroutines := threads(), goruntime.NumGoroutine()
	for i := range 100 {
		start(t, rt, testPod(fmt.Sprintf("many-%d", i), "exec sleep 1000"))
	}
	if now := threads(); now > before+20 {
		t.Errorf("%d threads, %d before", now, before)
	}
	if now := goruntime.NumGoroutine(); now > goroutines+110 {
		t.Errorf("%d goroutines, %d before", now, goroutines)
	}
}
