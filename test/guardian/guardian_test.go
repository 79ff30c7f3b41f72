package guardian

import (
	"bytes"
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

	"github.com/kubecrank/kubecrank/procfs"
)

// scenarioVar makes this program a test program that ends in a certain way, after it has started a daemon.
const scenarioVar = "GUARDIAN_TEST_SCENARIO"

func TestMain(m *testing.M) {
	Guard()
	if scenario := os.Getenv(scenarioVar); scenario != "" {
		play(scenario)
	}
	os.Exit(m.Run())
}

// play starts an etcd-like daemon: in a session of its own, its parent gone, and stopped. It prints the daemon's PID.
func play(scenario string) {
	if scenario == "clean" {
		os.Exit(0)
	}
	out, err := exec.Command("setsid", "sh", "-c", "sleep 3600 >/dev/null 2>&1 </dev/null & echo $!").Output()
	if err != nil {
		panic(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		panic(err)
	}
	if group := groupOf(pid); group != "" {
		if err := errors.Join(os.MkdirAll(group, 0o755),
			os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)); err != nil {
			panic(err)
		}
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		panic(err)
	}
	fmt.Println(pid)
	switch scenario {
	case "panics":
		panic("as a test may")
	case "fails":
		os.Exit(1)
	case "is killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "forgets":
		os.Exit(0)
	}
	time.Sleep(time.Hour) // until it is ended
}

// groupOf is where the process runtime would keep the daemon, "" if this user or machine has no such place.
func groupOf(pid int) string {
	mounts, _ := procfs.Mounts()
	for _, m := range mounts {
		if m.Type == "cgroup2" && os.Geteuid() == 0 {
			return filepath.Join(m.Point, "kubecrank", fmt.Sprint("guardian-", pid), "pod", "container")
		}
	}
	return ""
}

// Whatever ends the tests or go test, no process is left, be it stopped or a daemon, nor its cgroup, and the tests have
// failed.
func TestNothingIsLeft(t *testing.T) {
	for _, tt := range []struct {
		scenario string
		signal   syscall.Signal // to the program that go test would have started
		code     int            // -1: a signal
	}{
		{"clean", 0, 0},
		{"forgets", 0, failed},
		{"fails", 0, 1},
		{"panics", 0, broken},
		{"is killed", 0, broken},
		{"hangs, interrupted", syscall.SIGINT, broken},
		{"hangs, asked for its goroutines", syscall.SIGQUIT, broken},
		{"hangs, go test killed", syscall.SIGKILL, -1},
	} {
		t.Run(tt.scenario, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), roleVar+"=", scenarioVar+"="+tt.scenario)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			daemon := 0
			if tt.scenario != "clean" {
				if _, err := fmt.Fscanln(stdout, &daemon); err != nil {
					t.Fatal(err)
				}
			}
			if tt.signal != 0 {
				_ = cmd.Process.Signal(tt.signal)
			}
			err = cmd.Wait()
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for end := time.Now().Add(time.Minute); procfs.Runs(daemon); time.Sleep(10 * time.Millisecond) {
				if tt.signal != syscall.SIGKILL || time.Now().After(end) { // else the guardian ends after its launcher
					t.Fatalf("the daemon %d still runs\n%s", daemon, stderr.String())
				}
			}
			for end, group := time.Now().Add(time.Minute), filepath.Dir(filepath.Dir(groupOf(daemon))); daemon != 0; time.Sleep(10 * time.Millisecond) {
				if _, err := os.Lstat(group); err != nil || group == "." {
					break
				}
				if tt.signal != syscall.SIGKILL || time.Now().After(end) {
					t.Fatalf("the daemon's cgroup %s is left\n%s", group, stderr.String())
				}
			}
			named := fmt.Sprintf("%d sleep 3600", daemon)
			if daemon != 0 && tt.signal != syscall.SIGKILL && !strings.Contains(stderr.String(), named) {
				t.Errorf("the report lacks %q:\n%s", named, stderr.String())
			}
		})
	}
}
