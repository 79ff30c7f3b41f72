package process

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
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
)

// killedSupervisor runs a supervisor as a process of its own, lets it start a pod with that script, kills it with
// SIGKILL, and returns its root and the PID of what it left running.
func killedSupervisor(t *testing.T, pod, script string) (root string, pid int) {
	t.Helper()
	return killedSupervisorOf(t, pod, script, nil)
}

// killedSupervisorOf changes the pod before it starts it.
func killedSupervisorOf(t *testing.T, pod, script string, change func(*corev1.PodSpec)) (root string, pid int) {
	t.Helper()
	root = t.TempDir()
	spec := testPod(pod, script).Spec
	if change != nil {
		change(&spec)
	}
	return root, killedProgram(t, os.Args[0], root, pod, spec)
}

// killedProgram does so with a program that may be another file than this test's, below a root that is there.
func killedProgram(t *testing.T, program, root, pod string, spec corev1.PodSpec) (pid int) {
	t.Helper()
	specJSON, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "PROCESS_TEST=supervisor", "T_ROOT="+root, "T_POD="+pod, "T_SPEC="+string(specJSON))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil || pid < 2 {
		t.Fatalf("supervisor: %s", line)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	stat, err := procfs.ReadStat(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // left by a test that failed
		if pidfd, err := pin(pid, stat.Start); err == nil {
			_ = sendSignal(pidfd, unix.SIGKILL)
			_ = pidfd.Close()
		}
	})
	return pid
}

func list(t *testing.T, rt *Runtime) []runtime.Found {
	t.Helper()
	found, err := rt.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func one(t *testing.T, rt *Runtime) runtime.Found {
	t.Helper()
	found := list(t, rt)
	if len(found) != 1 {
		t.Fatalf("found %d containers", len(found))
	}
	return found[0]
}

// untilEnd is a script that writes, waits until a file appears, writes again, and ends with code 7.
func untilEnd(file string) string {
	return "echo begin; while [ ! -e " + file + " ]; do sleep 0.01; done; echo end; exit 7"
}

// A supervisor is killed; the next one goes on with the same process, whether there is a record, none (the
// moment after the start), or a damaged one.
func TestAdopt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		damage  func(t *testing.T, path string)
		wantErr string
	}{
		{"record", func(*testing.T, string) {}, ""},
		{"no record", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"garbage", func(t *testing.T, path string) { overwrite(t, path, []byte("\x00\xff{")) }, "cannot use container record"},
		{"a directory in its place", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, "cannot use container record"},
		{"huge", func(t *testing.T, path string) { overwrite(t, path, make([]byte, 2<<20)) }, "cannot use container record"},
		{"another container's", func(t *testing.T, path string) {
			edit(t, path, func(r *record) { r.Container = "other" })
		}, "about another container"},
		{"path in a name", func(t *testing.T, path string) { edit(t, path, func(r *record) { r.Pod = "../../x" }) }, "names no container"},
		{"a digit of the PID", func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, path, []byte(strings.Replace(string(data), `"pid":`, `"pid":1`, 1)))
		}, "checksum"},
		{"older instance", func(t *testing.T, path string) {
			edit(t, path, func(r *record) { r.PID, r.SpecHash, r.Marker = 1<<22, "before", "" })
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			end := filepath.Join(t.TempDir(), "end")
			root, pid := killedSupervisor(t, "adopted", untilEnd(end))
			path := filepath.Join(root, "state", "uid-adopted", "main.json")
			tc.damage(t, path)
			rt := runtimeAt(t, root)
			found, err := rt.List(t.Context())
			if tc.wantErr == "" && err != nil || tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("error %v, want %q", err, tc.wantErr)
			}
			if len(found) != 1 {
				t.Fatalf("found %d containers", len(found))
			}
			c := found[0]
			info := c.Info()
			if c.Exited || info.PID != pid || info.RestartCount != 0 || info.SpecHash != "hash1" ||
				info.PodFullName != "adopted_kube-system" || info.PodUID != "uid-adopted" ||
				time.Since(info.StartedAt) > time.Minute || time.Since(info.StartedAt) < 0 ||
				info.LogPath != filepath.Join(root, "log", "kube-system_adopted_uid-adopted", "main", "0.log") {
				t.Errorf("exited %v, %+v", c.Exited, info)
			}
			if tc.name == "a directory in its place" { // the adoption has replaced every other damage
				if err := rt.Housekeep(t.Context()); err == nil {
					t.Error("housekeeping does not tell that there is still no record")
				}
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if err := rt.Housekeep(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if again := one(t, rt); again.Container != c.Container {
				t.Error("a second List made a second container of it")
			}
			out, code, err := c.Container.(runtime.Execer).Exec(t.Context(), []string{"sh", "-c", "echo $PATH; pwd"})
			if string(out) != defaultPath+"\n/\n" || code != 0 || err != nil {
				t.Errorf("exec: %q, %d, %v", out, code, err)
			}
			if err := os.WriteFile(end, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if exit := wait(t, c); exit.Code != 7 && (exit.Code != -1 || knowsExits()) {
				t.Errorf("%+v", exit)
			}
			if text := logOf(t, c); text != "begin\nend\n" {
				t.Errorf("log %q", text)
			}
			next := one(t, runtimeAt(t, root)) // its end was recorded for the supervisor after this one
			if exit := wait(t, next); !next.Exited || exit.Code == 0 || exit.FinishedAt.IsZero() {
				t.Errorf("exited %v, %+v", next.Exited, exit)
			}
		})
	}
}

// knowsExits: since Linux 6.15 a pidfd tells how a process ended that was not our child.
func knowsExits() bool {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false
	}
	major, rest, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, _ := strconv.Atoi(major)
	b, _ := strconv.Atoi(minor)
	return a > 6 || a == 6 && b >= 15
}

func overwrite(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, path string, change func(*record)) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := decodeRecord(data)
	if err != nil {
		t.Fatal(err)
	}
	change(&rec)
	if data, err = encodeRecord(rec); err != nil {
		t.Fatal(err)
	}
	overwrite(t, path, data)
}

// An adopted container is stopped with all that belongs to it.
func TestStopAdopted(t *testing.T) {
	t.Parallel()
	root, pid := killedSupervisor(t, "kids",
		"trap '' TERM; setsid sh -c \"trap '' TERM; sleep 1000; sleep 1000\" & echo children $!; while :; do sleep 1000; done")
	c := one(t, runtimeAt(t, root))
	kids := children(t, c)
	if err := c.Stop(t.Context(), 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, p := range append(kids, pid) {
		if runs(p) {
			t.Errorf("process %d still runs", p)
		}
	}
	if exit := wait(t, c); exit.Signal != "SIGKILL" && knowsExits() {
		t.Errorf("%+v", exit)
	}
}

// A container that ended while no supervisor was there is told of with its restart count, and what it left is cleared away.
func TestEndedUnseen(t *testing.T) {
	t.Parallel()
	root, pid := killedSupervisor(t, "unseen", "setsid sh -c 'sleep 1000; sleep 1000' & echo children $!; sleep 1000; sleep 1000")
	before := runtimeAt(t, root)
	rec, err := before.readRecord("uid-unseen", "main")
	if err != nil {
		t.Fatal(err)
	}
	kids := children(t, before.newContainer(rec))
	if pidfd, err := pin(rec.PID, rec.Start); err != nil || sendSignal(pidfd, unix.SIGKILL) != nil {
		t.Fatal(err)
	}
	eventually(t, "it ends", func() bool { return !runs(pid) })
	c := one(t, runtimeAt(t, root))
	if exit := wait(t, c); !c.Exited || exit.Code != -1 || !strings.Contains(exit.Message, "children") || c.Info().RestartCount != 0 {
		t.Errorf("exited %v, %+v", c.Exited, exit)
	}
	for _, p := range kids {
		if runs(p) {
			t.Errorf("process %d still runs", p)
		}
	}
	if err := c.Stop(t.Context(), time.Second); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := c.Pod.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := list(t, runtimeAt(t, root)); len(found) != 0 {
		t.Errorf("it is still remembered: %v", found)
	}
	if _, err := os.Stat(c.Info().LogPath); err != nil {
		t.Errorf("its log: %v", err)
	}
}

// A record may name a PID that belongs to somebody else by now, or after a reboot. A stranger is never signaled.
func TestNeverSignalsStrangers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		change  func(rec *record)
		wantErr string
	}{
		{"reused PID: other start time", func(r *record) { r.Start-- }, ""},
		{"reboot: same PID and start time", func(r *record) { r.BootID = "11111111-2222-3333-4444-555555555555" }, ""},
		{"forged: PID and start time are right", func(*record) {}, "it is not that container"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			stranger := exec.Command("sleep", "1000")
			stranger.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := stranger.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _, _ = stranger.Process.Kill(), stranger.Wait() })
			stat, err := procfs.ReadStat(stranger.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			rt := newRuntime(t)
			rec := record{Version: recordVersion, Root: rt.root, BootID: rt.bootID,
				Namespace: "ns", Pod: "p", UID: "u", Container: "c", Restart: 4,
				PID: stranger.Process.Pid, Start: stat.Start, LogPath: filepath.Join(rt.opts.LogDir, "4.log"), Dir: "/"}
			tc.change(&rec)
			if err := rt.writeRecord(rec); err != nil {
				t.Fatal(err)
			}
			found, err := rt.List(t.Context())
			if tc.wantErr == "" && err != nil || tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("error %v, want %q", err, tc.wantErr)
			}
			if len(found) != 1 || !found[0].Exited || found[0].Info().RestartCount != 4 {
				t.Fatalf("found %+v", found)
			}
			if err := found[0].Stop(t.Context(), 0); err != nil {
				t.Error(err)
			}
			if exit := wait(t, found[0]); exit.Code != -1 {
				t.Errorf("%+v", exit)
			}
			if !runs(stranger.Process.Pid) {
				t.Error("the stranger was killed")
			}
		})
	}
}

// A container that replaced its environment (exec env -i) is known by its record and its log.
func TestAdoptWithoutMarker(t *testing.T) {
	t.Parallel()
	root, pid := killedSupervisor(t, "bare", "exec env -i sleep 1000")
	eventually(t, "it replaced itself", func() bool { stat, err := procfs.ReadStat(pid); return err == nil && stat.Name == "sleep" })
	c := one(t, runtimeAt(t, root))
	if c.Exited || c.Info().PID != pid {
		t.Errorf("exited %v, %+v", c.Exited, c.Info())
	}
}

// Two installations on one machine do not see each other's containers.
func TestRootsApart(t *testing.T) {
	t.Parallel()
	root, _ := killedSupervisor(t, "mine", "exec sleep 1000")
	other, err := New(Options{Root: root + "/other", LogDir: root + "/log", StateDir: root + "/state"})
	if err != nil {
		t.Fatal(err)
	}
	found, err := other.List(t.Context())
	if len(found) != 0 || err == nil || !strings.Contains(err.Error(), "of another root") {
		t.Errorf("found %v, %v", found, err)
	}
	if c := one(t, runtimeAt(t, root)); c.Exited {
		t.Error("it does not run any more")
	}
}

// A running container cannot be forgotten, nor started twice.
func TestCloseAndStartOfRunning(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	pod := testPod("busy", "exec sleep 1000")
	s, err := rt.OpenPod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Start(t.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0]})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err == nil || !strings.Contains(err.Error(), strconv.Itoa(c.Info().PID)) {
		t.Errorf("close: %v", err)
	}
	if _, err := s.Start(t.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0]}); err == nil {
		t.Error("started twice")
	}
	if err := c.Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(rt.opts.StateDir, "uid-busy")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its record is still there: %v", err)
	}
}

// A record names a log that is read, and removed: one outside the log directory is no record of ours.
func TestRecordLogOutside(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	for _, path := range []string{"/etc/shadow", rt.opts.LogDir, rt.opts.LogDir + "/../state/u/c.json", rt.opts.LogDir + "-other/1.log", "1.log"} {
		rec := record{Version: recordVersion, Root: rt.root, BootID: rt.bootID, Namespace: "ns", Pod: "p", UID: "u", Container: "c",
			PID: os.Getpid(), Start: 1, LogPath: path, Dir: "/"}
		if err := rt.checkRecord(rec, "u", "c"); err == nil || !strings.Contains(err.Error(), "is not below "+rt.opts.LogDir) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
