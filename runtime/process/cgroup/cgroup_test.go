package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kubecrank/kubecrank/procfs"
)

// The kubelet's numbers (pkg/kubelet/cm/helpers_linux_test.go): TestMilliCPUToQuota, TestMilliCPUToShares, TestConvertCPUSharesToCgroupV2Value.
func TestNumbers(t *testing.T) {
	t.Parallel()
	for milli, want := range map[int64]int64{1: 1000, 5: 1000, 9: 1000, 10: 1000, 200: 20000, 500: 50000, 1000: 100000, 1500: 150000} {
		if got := quota(milli); got != want {
			t.Errorf("quota(%d) = %d, want %d", milli, got, want)
		}
	}
	for milli, want := range map[int64]uint64{0: 2, 1: 2, 250: 256, 1000: 1024, 1_000_000_000: 262144} {
		if got := shares(milli); got != want {
			t.Errorf("shares(%d) = %d, want %d", milli, got, want)
		}
	}
	for shares, want := range map[uint64]uint64{2: 1, 1024: 100, 262144: 10000, 300000: 10000} {
		if got := weight(shares); got != want {
			t.Errorf("weight(%d) = %d, want %d", shares, got, want)
		}
	}
}

func list(cpu, memory string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for name, value := range map[corev1.ResourceName]string{"cpu": cpu, "memory": memory} {
		if value != "" {
			l[name] = resource.MustParse(value)
		}
	}
	return l
}

// Containers have their own limits, or the pod's; a request weighs, and a limit stands in for it.
func TestOf(t *testing.T) {
	t.Parallel()
	always := corev1.ContainerRestartPolicyAlways
	ctr := func(requests, limits corev1.ResourceList) corev1.Container {
		return corev1.Container{Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits}}
	}
	sidecar := ctr(list("100m", ""), nil)
	sidecar.RestartPolicy = &always
	for name, tc := range map[string]struct {
		spec     corev1.PodSpec
		want     Limits // of the first container
		pod      Limits
		wantNone bool
	}{
		"nothing": {corev1.PodSpec{Containers: []corev1.Container{ctr(nil, nil)}},
			Limits{Shares: 2, Whole: true}, Limits{Shares: 2}, true},
		"requests alone": {corev1.PodSpec{Containers: []corev1.Container{ctr(list("250m", "1Gi"), nil)}},
			Limits{Shares: 256, Whole: true}, Limits{Shares: 256}, true},
		"limits": {corev1.PodSpec{Containers: []corev1.Container{ctr(nil, list("2", "1Mi"))}},
			Limits{Memory: 1 << 20, MilliCPU: 2000, Shares: 2048, Whole: true}, Limits{Shares: 2048}, false},
		"limits and requests": {corev1.PodSpec{Containers: []corev1.Container{ctr(list("1", ""), list("2", ""))}},
			Limits{MilliCPU: 2000, Shares: 1024, Whole: true}, Limits{Shares: 1024}, false},
		"pod level": {corev1.PodSpec{Containers: []corev1.Container{ctr(nil, list("", "1Mi"))},
			Resources: &corev1.ResourceRequirements{Limits: list("1", "5Mi")}},
			Limits{Memory: 1 << 20, MilliCPU: 1000, Shares: 1024, Whole: true}, Limits{Memory: 5 << 20, MilliCPU: 1000, Shares: 1024}, false},
		"sidecars and init containers": {corev1.PodSpec{
			InitContainers: []corev1.Container{sidecar, ctr(list("700m", ""), nil)},
			Containers:     []corev1.Container{ctr(list("100m", ""), nil), ctr(list("200m", ""), nil)}},
			Limits{Shares: 102, Whole: true}, Limits{Shares: 819}, true},
	} {
		pod := &corev1.Pod{Spec: tc.spec}
		got := Of(pod, &pod.Spec.Containers[0])
		if got != tc.want || got.None() != tc.wantNone {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
		if got := OfPod(pod); got != tc.pod {
			t.Errorf("%s: pod %+v, want %+v", name, got, tc.pod)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	v2 := func(all ...string) func(string) string { return func(string) string { return strings.Join(all, " ") } }
	in := func(path string, controllers ...string) procfs.Cgroup {
		return procfs.Cgroup{Controllers: controllers, Path: path}
	}
	for name, tc := range map[string]struct {
		mounts    string
		own       []procfs.Cgroup
		available func(string) string
		want      []hierarchy
	}{
		"v2, systemd": {
			"29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n", []procfs.Cgroup{in("/user.slice/user-1.slice")},
			v2("cpuset", "cpu", "io", "memory", "pids"),
			[]hierarchy{{v2: true, controllers: []string{"cpu", "memory"},
				bases: []string{"/sys/fs/cgroup", "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup/user.slice/user-1.slice"}}},
		},
		"v1, controllers together, and a v2 without": {
			"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
				"36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
				"37 31 0:33 / /mnt/again rw - cgroup cgroup rw,cpu,cpuacct\n" +
				"38 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n" +
				"39 31 0:35 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n" +
				"40 31 0:36 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n" +
				"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" +
				"42 31 0:38 / /mnt/unified rw - cgroup2 cgroup2 rw\n",
			[]procfs.Cgroup{in("/a", "memory"), in("/", "cpu", "cpuacct"), in("/")}, v2("hugetlb"),
			[]hierarchy{
				{controllers: []string{"memory"}, bases: []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/a"}, rank: rankLimits},
				{controllers: []string{"cpu"}, bases: []string{"/sys/fs/cgroup/cpu,cpuacct"}, rank: rankLimits},
				{bases: []string{"/sys/fs/cgroup/freezer"}, rank: rankFreezer},
				{bases: []string{"/sys/fs/cgroup/pids"}, rank: rankPIDs},
				{bases: []string{"/sys/fs/cgroup/unified"}, v2: true},
			},
		},
		"hybrid: memory moved to v2": {
			"36 31 0:33 / /c\\040pu rw - cgroup cgroup rw,cpu\n41 31 0:38 / /v2 rw - cgroup2 cgroup2 rw\n",
			[]procfs.Cgroup{in("/", "cpu"), in("/x")}, v2("memory"),
			[]hierarchy{
				{controllers: []string{"cpu"}, bases: []string{"/c pu"}, rank: rankLimits},
				{controllers: []string{"memory"}, bases: []string{"/v2", "/v2/x"}, v2: true},
			},
		},
		"in a container without a cgroup namespace": {
			"35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", []procfs.Cgroup{in("/docker/1/in", "memory")}, v2(),
			[]hierarchy{{controllers: []string{"memory"}, bases: []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/in"}, rank: rankLimits}},
		},
		"moved out of its namespace": {
			"29 23 0:26 / /v2 rw - cgroup2 cgroup2 rw\n", []procfs.Cgroup{in("/../x")}, v2("cpu"),
			[]hierarchy{{controllers: []string{"cpu"}, bases: []string{"/v2"}, v2: true}},
		},
		"none": {"22 27 0:21 / /proc rw - proc proc rw\nnonsense\n", nil, v2(), nil},
	} {
		if got := parse(procfs.ParseMounts(tc.mounts), tc.own, tc.available); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s:\n%+v, want\n%+v", name, got, tc.want)
		}
	}
}

// fakeKernel makes directories as cgroup v2 does: with files in them.
func fakeKernel(t *testing.T, missing ...string) *Tree {
	t.Helper()
	root := t.TempDir()
	tree := NewTree("cafe")
	tree.mkdir = func(path string) error {
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		return fill(path, missing)
	}
	tree.hierarchies = func() []hierarchy {
		return []hierarchy{{controllers: []string{cpu, memory}, bases: []string{root}, v2: true}}
	}
	if err := fill(root, nil); err != nil {
		t.Fatal(err)
	}
	return tree
}

func fill(path string, missing []string) error {
	var errs []error
	for _, file := range []string{"cgroup.subtree_control", "cgroup.procs", "cpu.weight", "cpu.max", "memory.max", swapMax, "memory.oom.group"} {
		if !strings.Contains(strings.Join(missing, " "), file) {
			errs = append(errs, os.WriteFile(filepath.Join(path, file), nil, 0o600))
		}
	}
	return errors.Join(errs...)
}

// On cgroup v2 every level gets what is its own, and hands the controllers down.
func TestMakeV2(t *testing.T) {
	t.Parallel()
	tree := fakeKernel(t)
	pod := Pod{UID: "u", Limits: Limits{Memory: 5 << 20, Shares: 1024}}
	group, err := tree.New(pod, "c-0", Limits{Memory: 1 << 20, MilliCPU: 500, Shares: 1024, Whole: true})
	if err != nil || len(group) != 1 || !group[0].V2 {
		t.Fatal(group, err)
	}
	dir := group[0].Path
	root := filepath.Join(dir, "../../../..")
	if want := filepath.Join(root, "kubecrank/cafe/podu/c-0"); dir != want {
		t.Errorf("made %s, want %s", dir, want)
	}
	for path, want := range map[string]string{
		"cgroup.subtree_control":                     "+cpu +memory",
		"kubecrank/cgroup.subtree_control":           "+cpu +memory",
		"kubecrank/cafe/podu/cgroup.subtree_control": "+cpu +memory",
		"kubecrank/cafe/podu/memory.max":             "5242880",
		"kubecrank/cafe/podu/memory.oom.group":       "",
		"kubecrank/cafe/podu/cpu.weight":             "100",
		"kubecrank/cafe/podu/c-0/memory.max":         "1048576",
		"kubecrank/cafe/podu/c-0/memory.swap.max":    "0",
		"kubecrank/cafe/podu/c-0/memory.oom.group":   "1",
		"kubecrank/cafe/podu/c-0/cpu.max":            "50000 100000",
		"kubecrank/cafe/podu/c-0/cpu.weight":         "100",

		"kubecrank/cafe/podu/c-0/cgroup.subtree_control": "", // it has processes in it
	} {
		got, err := os.ReadFile(filepath.Join(root, path))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	if groups := tree.Groups(); !reflect.DeepEqual(groups, map[string]map[string]Group{"u": {"c-0": group}}) {
		t.Errorf("groups: %v", groups)
	}
	events := "low 0\noom 3\noom_kill 2\noom_group_kill 1\n"
	if err := os.WriteFile(filepath.Join(dir, "memory.events"), []byte(events), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := group.OOMKills(); n != 2 {
		t.Errorf("%d kills", n)
	}
}

// What cannot be limited is an error, and what is only a weight or swap is not.
func TestMakeErrors(t *testing.T) {
	t.Parallel()
	if _, err := fakeKernel(t, swapMax).New(Pod{UID: "u"}, "c", Limits{Memory: 1}); err != nil {
		t.Errorf("a kernel without swap: %v", err)
	}
	_, err := fakeKernel(t, "memory.max").New(Pod{UID: "u"}, "c", Limits{Memory: 7})
	if err == nil || !strings.Contains(err.Error(), "cannot limit cpu and memory: cannot set memory.max to 7: ") {
		t.Errorf("got %v", err)
	}
	tree := fakeKernel(t)
	if _, err := tree.New(Pod{UID: "u"}, "c", Limits{Memory: 1}); err != nil {
		t.Fatal(err)
	}
	tree.mkdir = func(string) error { return &fs.PathError{Op: "mkdir", Path: "/x", Err: unix.EROFS} }
	if _, err := tree.New(Pod{UID: "u"}, "c", Limits{MilliCPU: 7}); !errors.Is(err, unix.EROFS) {
		t.Errorf("got %v", err)
	}
	if g, err := tree.New(Pod{UID: "u"}, "c", Limits{Shares: 7}); !errors.Is(err, unix.EROFS) || len(g) != 0 {
		t.Errorf("a weight alone: %v, %v", g, err)
	}
	tree.hierarchies = func() []hierarchy { return nil }
	err = tree.Check(Pod{UID: "u"}, Limits{Memory: 7})
	if err == nil || err.Error() != "cannot limit memory: this machine has no cgroups for it" {
		t.Errorf("got %v", err)
	}
}

// A second base is used where the first cannot be: the cgroup that a user was given.
func TestSecondBase(t *testing.T) {
	t.Parallel()
	tree := fakeKernel(t)
	good := tree.hierarchies()[0].bases[0]
	tree.hierarchies = func() []hierarchy {
		return []hierarchy{{controllers: []string{memory}, bases: []string{filepath.Join(good, "none"), good}, v2: true}}
	}
	group, err := tree.New(Pod{UID: "u"}, "c", Limits{Memory: 7})
	if err != nil || len(group) != 1 || !strings.HasPrefix(group[0].Path, good+"/kubecrank") {
		t.Errorf("%v, %v", group, err)
	}
}

// With a real cgroup v2 tree, though its controllers may be elsewhere: a process starts in the group, another one joins it,
// both are seen and killed, and the group is removed with what they made inside.
func TestRealV2(t *testing.T) {
	t.Parallel()
	mount := ""
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); strings.Contains(line, " - cgroup2 ") {
			mount = f[4]
		}
	}
	if mount == "" {
		t.Skip("needs cgroup v2")
	}
	dir := filepath.Join(mount, fmt.Sprint("kubecrank-test-", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("needs a cgroup v2 tree that we may write to: %v", err)
	}
	group := Group{{Path: dir, V2: true}}
	defer func() {
		group.Kill()
		_ = group.Remove()
	}()
	if err := os.Mkdir(filepath.Join(dir, "inside"), 0o755); err != nil {
		t.Fatal(err)
	}
	handle, err := group.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	started, joining := exec.Command("sleep", "1000"), exec.Command("sleep", "1000")
	started.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(handle.Fd())}
	for _, cmd := range []*exec.Cmd{started, joining} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if pids := group.PIDs(); !reflect.DeepEqual(pids, []int{started.Process.Pid}) {
		t.Errorf("in it: %v, want %d", pids, started.Process.Pid)
	}
	if err := group.Join(joining.Process.Pid); err != nil {
		t.Error(err)
	}
	if pids := group.PIDs(); len(pids) != 2 {
		t.Errorf("in it: %v", pids)
	}
	if err := group.Enter(); err != nil { // of v1 only
		t.Error(err)
	}
	group.Kill()
	for _, cmd := range []*exec.Cmd{started, joining} {
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("%v", err)
		}
	}
	if err := group.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
	if err := group.Remove(); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// Real limits of cgroup v2 are read back from the kernel.
func TestRealLimitsV2(t *testing.T) {
	t.Parallel()
	tree := NewTree(fmt.Sprint("test-", os.Getpid()))
	var has []string
	for _, h := range tree.hierarchies() {
		if h.v2 {
			has = h.controllers
		}
	}
	if len(has) != 2 {
		t.Skipf("needs cgroup v2 with the controllers cpu and memory; this machine's has %q", has)
	}
	group, err := tree.New(Pod{UID: "u", Limits: Limits{Shares: 1024}}, "c-0", Limits{Memory: 64 << 20, MilliCPU: 500, Shares: 256, Whole: true})
	if err != nil {
		t.Skipf("needs a cgroup v2 tree that we may write to: %v", err)
	}
	defer func() {
		if err := tree.RemovePod("u"); err != nil {
			t.Error(err)
		}
	}()
	for file, want := range map[string]string{"memory.max": "67108864", "cpu.max": "50000 100000", "memory.oom.group": "1"} {
		got, err := os.ReadFile(filepath.Join(group[0].Path, file))
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: %q, %v; want %q", file, got, err, want)
		}
	}
}
