package evidence

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/phases/diagnose"
	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
)

// sleeper is a process of ours, and how the process runtime names it.
func sleeper(t *testing.T) (pid int, id string) {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	boot, err := procfs.BootID()
	if err != nil {
		t.Fatal(err)
	}
	stat, err := procfs.ReadStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, fmt.Sprintf("process://%s/%d/%d", boot, cmd.Process.Pid, stat.Start)
}

// The clock is compared with the kernel's own count of a real process's age.
func TestClockSkew(t *testing.T) {
	_, id := sleeper(t)
	for _, jump := range []time.Duration{0, 3 * time.Hour, -400 * 24 * time.Hour} {
		started, now := time.Now(), time.Now().Add(jump) // after somebody has set it
		got := clockSkew(runtime.ContainerStatus{ID: id, StartedAt: &started}, now)
		if (got - jump).Abs() > 2*time.Second {
			t.Errorf("set by %s, it says %s", jump, got)
		}
	}
	started := time.Now().Add(-time.Hour)
	for _, id := range []string{"", "process://another-boot/1/1", "containerd://abc"} {
		if got := clockSkew(runtime.ContainerStatus{ID: id, StartedAt: &started}, time.Now()); got != 0 {
			t.Errorf("%q, which is no process of this boot: %s", id, got)
		}
	}
}

// A process that was stopped is told from one that waits.
func TestProcessOf(t *testing.T) {
	pid, _ := sleeper(t)
	state := func(want string) {
		t.Helper()
		for range 1000 {
			if p := processOf(pid); p != nil && p.State == want && p.Files > 0 && p.MaxFiles > 0 {
				return
			}
		}
		t.Errorf("process is %+v, want state %s", processOf(pid), want)
	}
	state("S")
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	state("T")
	if p := processOf(0); p != nil {
		t.Errorf("no process is %+v", p)
	}
}

func TestLook(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if p := look(self); p.Problem != "" || p.Machine == "" || p.Machine == diagnose.NoProgram || p.Mount == "" || p.Size == 0 {
		t.Errorf("this program is %+v", p)
	}
	if p := look(script); p.Machine != diagnose.NoProgram || p.UID != int64(os.Geteuid()) {
		t.Errorf("a script is %+v", p)
	}
	if p := look(filepath.Join(dir, "a/b")); p.Problem != "no such file or directory" || p.Nearest != dir || p.Free == 0 {
		t.Errorf("nothing is %+v", p)
	}
	bundle := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(bundle, []byte(strings.Repeat("-----BEGIN CERTIFICATE-----\n", 2)), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := look(bundle); p.Certificates != 2 {
		t.Errorf("a file of two certificates is %+v", p)
	}
	if p := look("/proc/self/x"); p.Mount != "/proc" {
		t.Errorf("below /proc is %+v", p)
	}
}

func TestFlags(t *testing.T) {
	got := flags([]string{"--a=1=2", "-b", "3", "--c", "--d", "x", "y"})
	want := map[string]string{"a": "1=2", "b": "3", "c": "", "d": "x"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("flags are %v", got)
	}
}

// A component's server is found by its address: there may be several.
func TestIsClientOf(t *testing.T) {
	api := command{program: "kube-apiserver", flags: map[string]string{"etcd-servers": "https://127.0.0.1:2379,https://10.0.0.2:2379"}}
	for urls, want := range map[string]bool{"https://10.0.0.2:2379": true, "https://127.0.0.1:2380": false, "": false} {
		etcd := command{program: "etcd", flags: map[string]string{"advertise-client-urls": urls}}
		if api.isClientOf(etcd) != want || etcd.isClientOf(api) {
			t.Errorf("%q: %t", urls, !want)
		}
	}
}

// Only what the manifest and the log name is looked at, and a strange log leads nowhere.
func TestPathsIn(t *testing.T) {
	got := pathsIn([]string{"open /a/b.crt: no such file or directory", "warn: x (path=/c/d segment=1)", "cannot run /e/f: it is not executable",
		"mkdir relative: permission denied"})
	if want := []string{"/e/f", "/c/d", "/a/b.crt"}; !reflect.DeepEqual(got, want) {
		t.Errorf("paths are %q", got)
	}
	var many []string
	for i := range 1000 {
		many = append(many, "open /"+strconv.Itoa(i)+": x")
	}
	if got := pathsIn(many); len(got) != maxPaths {
		t.Errorf("%d paths", len(got))
	}
}

// Stack traces and help texts do not hide what led to them.
func TestShown(t *testing.T) {
	for name, lines := range map[string][]string{
		"panic": append([]string{"info: one", "panic: boom", "", "goroutine 1 [running]:"}, make([]string, 40)...),
		"flag":  append([]string{"flag provided but not defined: -boom", "Usage:"}, strings.Split(strings.Repeat("  --x\n", 30), "\n")...),
	} {
		got := shown(lines)
		if len(got) == 0 || !strings.Contains(got[len(got)-1], "boom") {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := shown([]string{"a", "goroutine 1 is mentioned", "b"}); len(got) != 3 {
		t.Errorf("nothing has panicked: %q", got)
	}
}

// The log of the instance before this one is evidence only if that one has ended since: its lines may have no time.
func TestOldLogIsNoEvidence(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"0.log": "E1127 expected 1 certificate, found 2\n", "1.log": "I1127 Starting\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	for ago, want := range map[time.Duration]int{time.Second: 1, -time.Second: 2} { // lines
		started := now.Add(-ago)
		c := runtime.ContainerStatus{Name: "x", PID: os.Getpid(), StartedAt: &started, LogPath: filepath.Join(dir, "1.log")}
		e := Gather(runtime.Status{}, runtime.PodStatus{Name: "x"}, c, Options{Since: now})
		if len(e.Log) != want {
			t.Errorf("started %s ago: %q", ago, e.Log)
		}
	}
}
