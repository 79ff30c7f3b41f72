package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/test/guardian"
)

// The test binary is also the containers and the supervisor that is killed. The environment says which.
func TestMain(m *testing.M) {
	switch os.Getenv("PROCESS_TEST") {
	case "":
		guardian.Guard()
		os.Exit(m.Run())
	case "supervisor":
		superviseAndWait()
	case "describe":
		describe()
	case "stubborn": // a program that ignores SIGTERM, with children that hide
		stubborn()
	case "leave": // ends, and leaves children
		leaveChildren()
	case "eat": // memory, until it is killed
		eat()
	case "hide": // starts a child that nothing tells from a stranger but its cgroup
		hide()
	case "open": // what a supervisor without rights says of a pod
		openAndTell()
	case "bind": // a port for which a capability is needed
		bind()
	case "first": // the first process of a PID namespace
		first()
	case "sleep":
		time.Sleep(time.Hour)
	}
	os.Exit(99)
}

// description is what a container finds around itself.
type description struct {
	Args   []string
	Env    []string
	Dir    string
	Umask  int
	FDs    map[string]string
	PID    int
	PGID   int
	SID    int
	UID    int
	GID    int
	Status map[string]string
}

func describe() {
	d := description{Args: os.Args, Env: os.Environ(), Umask: syscall.Umask(0), FDs: map[string]string{}, PID: os.Getpid(),
		PGID: syscall.Getpgrp(), UID: os.Geteuid(), GID: os.Getegid(), Status: map[string]string{}}
	d.SID, _ = unix.Getsid(0)
	d.Dir, _ = os.Getwd()
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !isGoRuntimes(target) {
			d.FDs[e.Name()] = target
		}
	}
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if key, value, ok := strings.Cut(line, ":"); ok {
			d.Status[key] = strings.TrimSpace(value)
		}
	}
	_ = json.NewEncoder(os.Stdout).Encode(d)
	os.Exit(0)
}

// isGoRuntimes holds for what a Go program opens itself: the poller, cgroup limits, and the directory being read.
func isGoRuntimes(target string) bool {
	return strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "/sys/fs/cgroup/") || strings.HasSuffix(target, "/fd")
}

// spawnSleeper starts a child of a container that ignores SIGTERM, in a session of its own when it should hide.
func spawnSleeper(hide bool) int {
	cmd := exec.Command("/bin/sh", "-c", "trap '' TERM; while :; do sleep 1000; done")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: hide}
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		os.Exit(98)
	}
	return cmd.Process.Pid
}

func stubborn() {
	signal.Ignore(syscall.SIGTERM)
	fmt.Println("children", spawnSleeper(false), spawnSleeper(true))
	time.Sleep(time.Hour)
}

func leaveChildren() {
	fmt.Println("children", spawnSleeper(false), spawnSleeper(true))
	os.Exit(5)
}

func bind() {
	_, err := net.Listen("tcp", "127.0.0.1:907")
	fmt.Println(err)
	os.Exit(0)
}

func eat() {
	var all [][]byte
	for len(all) < 1<<10 { // 4 GiB at most
		chunk := make([]byte, 4<<20)
		for i := 0; i < len(chunk); i += 4096 {
			chunk[i] = 1
		}
		all = append(all, chunk)
	}
	os.Exit(96)
}

func hide() {
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.Env, cmd.SysProcAttr = []string{}, &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fail(err)
	}
	fmt.Println("children", cmd.Process.Pid)
	os.Exit(0)
}

// openAndTell opens the pod of a manifest in $T_POD and prints the error and its hint.
func openAndTell() {
	rt, err := New(Options{Root: os.Getenv("T_ROOT"), LogDir: os.Getenv("T_ROOT") + "/log", StateDir: os.Getenv("T_ROOT") + "/state"})
	if err != nil {
		fail(err)
	}
	pod := testPod("told", "exec sleep 1000")
	if err := json.Unmarshal([]byte(os.Getenv("T_POD")), &pod.Spec); err != nil {
		fail(err)
	}
	_, err = rt.OpenPod(context.Background(), pod)
	fmt.Println(err)
	fmt.Println(hintOf(err))
	os.Exit(0)
}

// superviseAndWait is a supervisor that starts a container, says so, and then only waits to be killed.
func superviseAndWait() {
	rt, err := New(Options{Root: os.Getenv("T_ROOT"), LogDir: os.Getenv("T_ROOT") + "/log", StateDir: os.Getenv("T_ROOT") + "/state"})
	if err != nil {
		fail(err)
	}
	pod := testPod(os.Getenv("T_POD"), os.Getenv("T_SCRIPT"))
	if spec := os.Getenv("T_SPEC"); spec != "" {
		if err := json.Unmarshal([]byte(spec), &pod.Spec); err != nil {
			fail(err)
		}
	}
	s, err := rt.OpenPod(context.Background(), pod)
	if err != nil {
		fail(err)
	}
	c, err := s.Start(context.Background(), runtime.ContainerSpec{Container: pod.Spec.Containers[0]})
	if err != nil {
		fail(err)
	}
	fmt.Println(c.Info().PID)
	time.Sleep(time.Hour)
}

func fail(err error) {
	fmt.Println(err)
	os.Exit(97)
}

// testPod is a pod with one container that runs a shell script.
func testPod(name, script string) *runtime.Pod {
	return &runtime.Pod{Hash: "hash1", Pod: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "kube-system", UID: types.UID("uid-" + name)},
		Spec: corev1.PodSpec{HostNetwork: true, Containers: []corev1.Container{{
			Name: "main", Image: "none", Command: []string{"/bin/sh", "-c", script},
		}}},
	}}
}

// selfPod is a pod whose container is this test binary in one of its roles.
func selfPod(t *testing.T, name, role string) *runtime.Pod {
	t.Helper()
	pod := testPod(name, "")
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	pod.Spec.Containers[0].Command = []string{self}
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PROCESS_TEST", Value: role}}
	return pod
}

func newRuntime(t *testing.T) *Runtime {
	t.Helper()
	root := t.TempDir()
	return runtimeAt(t, root)
}

func runtimeAt(t *testing.T, root string) *Runtime {
	t.Helper()
	rt, err := New(Options{Root: root, LogDir: filepath.Join(root, "log"), StateDir: filepath.Join(root, "state")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range rt.running() {
			if err := c.Stop(context.Background(), 0); err != nil {
				t.Error(err)
			}
		}
		entries, _ := os.ReadDir(rt.opts.StateDir)
		for _, e := range entries {
			if !e.IsDir() {
				continue
			}
			if err := rt.unmountVolumes(e.Name()); err != nil {
				t.Error(err)
			}
		}
		for uid := range rt.cgroups.Groups() {
			if err := rt.cgroups.RemovePod(uid); err != nil {
				t.Error(err)
			}
		}
	})
	return rt
}

func start(t *testing.T, rt *Runtime, pod *runtime.Pod) *container {
	t.Helper()
	s, err := rt.OpenPod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Start(t.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0]})
	if err != nil {
		t.Fatal(err)
	}
	return c.(*container)
}

// wait waits until nothing of a container is left.
func wait(t *testing.T, c runtime.Container) runtime.Exit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	exit, err := c.Wait(ctx)
	if err != nil {
		t.Fatalf("container %s: %v", c.Info().Name, err)
	}
	if err := c.Stop(ctx, 0); err != nil {
		t.Fatal(err)
	}
	return exit
}

func logOf(t *testing.T, c runtime.Container) string {
	t.Helper()
	data, err := os.ReadFile(c.Info().LogPath)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// eventually polls for what another process does.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func runs(pid int) bool {
	return procfs.Runs(pid)
}

// children waits for the "children PID ..." line of a container.
func children(t *testing.T, c runtime.Container) []int {
	t.Helper()
	var pids []int
	eventually(t, "the container tells of its children", func() bool {
		f := strings.Fields(logOf(t, c))
		if len(f) < 2 || !strings.HasSuffix(logOf(t, c), "\n") {
			return false
		}
		for _, s := range f[1:] {
			pid, err := strconv.Atoi(s)
			if err != nil {
				t.Fatalf("log: %v", f)
			}
			pids = append(pids, pid)
		}
		return true
	})
	return pids
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// publicDir is a directory that every user can reach.
func publicDir(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	publish(t, path)
	return path
}

// publish lets every user reach a directory. It leaves the machine's directory for temporary files alone, which other
// programs use meanwhile.
func publish(t *testing.T, path string) {
	t.Helper()
	for dir := path; dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// publicProgram is a copy of the test binary that every user can run: its own directory is closed to others.
func publicProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(publicDir(t), "program")
	if os.Link(os.Args[0], path) == nil { // a file that was just written may be open in a child of another test
		return path
	}
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
