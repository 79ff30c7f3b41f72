package process

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/process/cgroup"
)

func quantities(cpu, memory string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, value := range map[corev1.ResourceName]string{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory} {
		if value != "" {
			list[name] = resource.MustParse(value)
		}
	}
	return list
}

// needLimits skips the test where no cgroup can limit anything.
func needLimits(t *testing.T, rt *Runtime) {
	t.Helper()
	pod := testPod("probe", "true")
	pod.Spec.Containers[0].Resources.Limits = quantities("1", "1Gi")
	err := rt.checkLimits(pod.Pod)
	if err != nil {
		t.Skipf("needs cgroups with cpu and memory controllers that we may use: %v", err)
	}
	if err := rt.cgroups.RemovePod(string(pod.UID)); err != nil {
		t.Fatal(err)
	}
}

// A container with limits runs in a cgroup that has them, its Exec too, and nothing of the cgroup is left when the pod is closed.
func TestLimits(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	needLimits(t, rt)
	pod := testPod("limited", "exec sleep 1000")
	pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{Limits: quantities("500m", "64Mi"), Requests: quantities("250m", "")}
	s, err := rt.OpenPod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	started, err := s.Start(t.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0]})
	if err != nil {
		t.Fatal(err)
	}
	c := started.(*container)
	want := map[string]string{ // in whichever version there is
		"memory.limit_in_bytes": "67108864", "memory.max": "67108864", "memory.oom.group": "1",
		"cpu.shares": "256", "cpu.weight": "35", "cpu.cfs_quota_us": "50000", "cpu.max": "50000 100000",
	}
	seen := 0
	for _, d := range c.rec.Cgroup {
		for file, value := range want {
			got, err := os.ReadFile(filepath.Join(d.Path, file))
			if err == nil {
				seen++
				if strings.TrimSpace(string(got)) != value {
					t.Errorf("%s/%s: %s, want %s", d.Path, file, got, value)
				}
			}
		}
		procs, err := os.ReadFile(filepath.Join(d.Path, "cgroup.procs"))
		if err != nil || !strings.Contains(string(procs), fmt.Sprint(c.info.PID)+"\n") {
			t.Errorf("%s: processes %q, %v", d.Path, procs, err)
		}
	}
	if seen < 3 {
		t.Errorf("only %d limits in %v", seen, c.rec.Cgroup)
	}
	out, code, err := c.Exec(t.Context(), []string{"cat", "/proc/self/cgroup"})
	if err != nil || code != 0 || !strings.Contains(string(out), "/kubecrank/"+rt.root+"/poduid-limited/main-0\n") {
		t.Errorf("a command is in %s, %d, %v", out, code, err)
	}
	if err := c.Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for _, d := range c.rec.Cgroup {
		if _, err := os.Stat(d.Path); err == nil {
			t.Errorf("%s is left", d.Path)
		}
	}
	if exit := wait(t, c); exit.OOMKilled {
		t.Errorf("%+v", exit)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if groups := rt.cgroups.Groups(); len(groups) > 0 {
		t.Errorf("left: %v", groups)
	}
}

// What eats more memory than it may is killed by the kernel, and the exit says why. What may use that much is not.
func TestOOM(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	needLimits(t, rt)
	for _, tc := range []struct {
		name   string
		change func(spec *corev1.PodSpec)
	}{
		{"container", func(spec *corev1.PodSpec) { spec.Containers[0].Resources.Limits = quantities("", "48Mi") }},
		{"pod", func(spec *corev1.PodSpec) {
			spec.Resources = &corev1.ResourceRequirements{Limits: quantities("", "48Mi")}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			pod := selfPod(t, "eater-"+tc.name, "eat")
			tc.change(&pod.Spec)
			exit := wait(t, start(t, rt, pod))
			if !exit.OOMKilled || exit.Code != 137 || exit.Signal != "SIGKILL" {
				t.Errorf("%+v", exit)
			}
		})
	}
	t.Run("another's SIGKILL", func(t *testing.T) {
		t.Parallel()
		pod := testPod("killed", "kill -9 $$$$")
		pod.Spec.Containers[0].Resources.Limits = quantities("", "48Mi")
		if exit := wait(t, start(t, rt, pod)); exit.OOMKilled || exit.Code != 137 {
			t.Errorf("%+v", exit)
		}
	})
}

// A limit that the kernel does not take is an error, and leaves no cgroup.
func TestLimitNotTaken(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	needLimits(t, rt)
	pod := testPod("greedy", "exec sleep 1000")
	pod.Spec.Resources = &corev1.ResourceRequirements{Limits: quantities("1", "")}
	pod.Spec.Containers[0].Resources.Limits = quantities("2000000000", "64Mi")
	if _, err := rt.OpenPod(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	s, err := rt.OpenPod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Start(t.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0]})
	if err == nil || !strings.Contains(err.Error(), "cannot start container main: cannot limit cpu: cannot set cpu.") {
		t.Errorf("got %v", err)
	}
	if groups := rt.cgroups.Groups(); len(groups) > 0 && len(groups["uid-greedy"]) > 0 {
		t.Errorf("left: %v", groups)
	}
}

// A process that left the session and cleared its environment is not told from strangers by a sweep. Its cgroup tells.
func TestCgroupTakesAllAlong(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	needLimits(t, rt)
	pod := selfPod(t, "hider", "hide")
	pod.Spec.Containers[0].Resources.Limits = quantities("", "256Mi")
	c := start(t, rt, pod)
	if exit := wait(t, c); exit.Code != 0 || exit.OOMKilled {
		t.Errorf("%+v: %s", exit, logOf(t, c))
	}
	for _, pid := range children(t, c) {
		if runs(pid) {
			t.Errorf("process %d still runs", pid)
		}
	}
}

// A supervisor is killed; the next one has the container's cgroup, with and without a record, and removes it in the end. If
// the container was killed for its memory meanwhile, it can tell.
func TestAdoptCgroup(t *testing.T) {
	t.Parallel()
	needLimits(t, newRuntime(t))
	limited := func(spec *corev1.PodSpec) { spec.Containers[0].Resources.Limits = quantities("", "48Mi") }
	check := func(t *testing.T, rt *Runtime, f runtime.Found) {
		t.Helper()
		if err := f.Pod.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if groups := rt.cgroups.Groups(); len(groups) > 0 {
			t.Errorf("left: %v", groups)
		}
	}
	for _, name := range []string{"record", "no record"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, pid := killedSupervisorOf(t, "adopted", "exec sleep 1000", limited)
			if name == "no record" {
				if err := os.Remove(filepath.Join(root, "state", "uid-adopted", "main.json")); err != nil {
					t.Fatal(err)
				}
			}
			rt := runtimeAt(t, root)
			found := one(t, rt)
			group := found.Container.(*container).rec.Cgroup
			if len(group) == 0 || !strings.Contains(groupsOf(t, pid), group[0].Path[strings.Index(group[0].Path, "/kubecrank/"):]) {
				t.Errorf("group %v of a process in %s", group, groupsOf(t, pid))
			}
			if err := found.Stop(t.Context(), 0); err != nil {
				t.Error(err)
			}
			check(t, rt, found)
		})
	}
	t.Run("killed meanwhile", func(t *testing.T) {
		t.Parallel()
		root, pid := killedSupervisorOf(t, "eaten", "", func(spec *corev1.PodSpec) {
			pod := selfPod(t, "eaten", "eat")
			pod.Spec.Containers[0].Command = []string{"/bin/sh", "-c", "sleep 0.3; exec " + pod.Spec.Containers[0].Command[0]}
			spec.Containers = pod.Spec.Containers
			limited(spec)
		})
		eventually(t, "killed", func() bool { return !runs(pid) })
		rt := runtimeAt(t, root)
		found := one(t, rt)
		if exit := wait(t, found); !found.Exited || !exit.OOMKilled {
			t.Errorf("%v %+v", found.Exited, exit)
		}
		check(t, rt, found)
	})
}

func groupsOf(t *testing.T, pid int) string {
	t.Helper()
	data, err := os.ReadFile(procPath(pid, "cgroup"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A record that names a cgroup which is not the container's is not believed: what is in it would be killed.
func TestForeignCgroup(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	rec := record{UID: "u", Container: "c", Restart: 3}
	for path, good := range map[string]bool{
		"/sys/fs/cgroup/kubecrank/" + rt.root + "/podu/c-3":    true,
		"/sys/fs/cgroup/kubecrank/" + rt.root + "/podu/c-4":    false,
		"/sys/fs/cgroup/kubecrank/" + rt.root + "/podu/../c-3": false,
		"/sys/fs/cgroup":            false,
		"/":                         false,
		"kubecrank/x/podu/c-3":      false,
		"/sys/fs/cgroup/init.scope": false,
	} {
		rec.Cgroup = cgroup.Group{{Path: path}}
		if err := rt.checkGroup(rec); (err == nil) != good {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// asNobody is what a supervisor without rights says of a pod: the error and the hint.
func asNobody(t *testing.T, spec corev1.PodSpec) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	root := publicDir(t)
	if err := os.Chown(root, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	specJSON, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(publicProgram(t))
	cmd.Env = []string{"PROCESS_TEST=open", "T_ROOT=" + root, "T_POD=" + string(specJSON)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// Where no cgroup can be made, a pod with limits is refused with the reason and not started without them.
func TestLimitsRefused(t *testing.T) {
	t.Parallel()
	spec := testPod("told", "exec sleep 1000").Spec
	spec.Containers[0].Resources.Limits = quantities("", "64Mi")
	out := asNobody(t, spec)
	if !strings.Contains(out, "cannot open pod told: container main: resources.limits: cannot limit memory: ") ||
		!strings.Contains(out, "permission denied") || !strings.Contains(out, "run the supervisor as root") {
		t.Errorf("%s", out)
	}
}
