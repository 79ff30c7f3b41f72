package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
)

// What a manifest says of users, groups and capabilities is what the kernel says of the process, and of its Exec.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	own := ownCapabilities()
	hex := func(set uint64) string { return fmt.Sprintf("%016x", set) }
	const engines = 0xa80425fb // what docker and containerd give by default
	drop := func(names ...corev1.Capability) *corev1.Capabilities { return &corev1.Capabilities{Drop: names} }
	with := func(c *corev1.Capabilities, names ...corev1.Capability) *corev1.Capabilities {
		c.Add = names
		return c
	}
	root := map[string]string{"Uid": "0\t0\t0\t0", "NoNewPrivs": "0", "CapAmb": hex(0), "CapInh": hex(0), "Seccomp": "0"}
	roots := func(set uint64) map[string]string {
		all := maps.Clone(root)
		all["CapBnd"], all["CapEff"], all["CapPrm"] = hex(set), hex(set), hex(set)
		return all
	}
	for name, tc := range map[string]struct {
		pod  corev1.PodSecurityContext
		ctr  *corev1.SecurityContext
		want map[string]string
	}{
		"nothing":      {want: roots(engines & own)},
		"privileged":   {ctr: &corev1.SecurityContext{Privileged: ptr(true)}, want: roots(own)},
		"drop one":     {ctr: &corev1.SecurityContext{Capabilities: drop("CAP_CHOWN")}, want: roots(engines &^ 1 & own)},
		"drop all":     {ctr: &corev1.SecurityContext{Capabilities: drop("all")}, want: roots(0)},
		"add one":      {ctr: &corev1.SecurityContext{Capabilities: with(drop(), "SYS_ADMIN")}, want: roots((engines | 1<<21) & own)},
		"add all":      {ctr: &corev1.SecurityContext{Capabilities: with(drop("CHOWN"), "ALL")}, want: roots(own &^ 1)},
		"add and drop": {ctr: &corev1.SecurityContext{Capabilities: with(drop("SYS_ADMIN"), "SYS_ADMIN")}, want: roots(engines & own)},
		"kube-apiserver of kubeadm's RootlessControlPlane": {
			pod: corev1.PodSecurityContext{RunAsUser: ptr[int64](12345), RunAsGroup: ptr[int64](12346), SupplementalGroups: []int64{12347}},
			ctr: &corev1.SecurityContext{Capabilities: with(drop("ALL"), "NET_BIND_SERVICE")},
			want: map[string]string{"Uid": "12345\t12345\t12345\t12345", "Gid": "12346\t12346\t12346\t12346", "Groups": "12347",
				"CapBnd": hex(1 << 10), "CapEff": hex(1 << 10), "CapPrm": hex(1 << 10), "CapAmb": hex(1 << 10), "NoNewPrivs": "0"},
		},
		"the others of RootlessControlPlane": {
			pod: corev1.PodSecurityContext{RunAsUser: ptr[int64](12345), RunAsGroup: ptr[int64](12346), RunAsNonRoot: ptr(true)},
			ctr: &corev1.SecurityContext{AllowPrivilegeEscalation: ptr(false), Capabilities: drop("ALL")},
			want: map[string]string{"Uid": "12345\t12345\t12345\t12345", "Groups": "", "NoNewPrivs": "1",
				"CapBnd": hex(0), "CapEff": hex(0), "CapPrm": hex(0), "CapAmb": hex(0), "CapInh": hex(0)},
		},
		"another user": {
			pod: corev1.PodSecurityContext{RunAsUser: ptr[int64](65534), FSGroup: ptr[int64](77), SupplementalGroups: []int64{78}},
			ctr: &corev1.SecurityContext{RunAsGroup: ptr[int64](66)},
			want: map[string]string{"Uid": "65534\t65534\t65534\t65534", "Gid": "66\t66\t66\t66", "Groups": "77 78",
				"CapBnd": hex(engines & own), "CapEff": hex(0), "CapAmb": hex(0)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := newRuntime(t)
			pod := selfPod(t, "priv", "describe")
			pod.Spec.Containers[0].Command[0] = publicProgram(t)
			pod.Spec.SecurityContext, pod.Spec.Containers[0].SecurityContext = &tc.pod, tc.ctr
			c := start(t, rt, pod)
			wait(t, c)
			checkStatus(t, "the process", logOf(t, c), tc.want)
			if info, err := os.Stat(c.info.LogPath); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 || info.Mode() != 0o640 {
				t.Errorf("log: %v, %v", info, err)
			}
			pod.Name, pod.UID = "priv-exec", "uid-priv-exec"
			pod.Spec.Containers[0].Command = []string{"sleep", "1000"}
			c = start(t, rt, pod)
			c.env = append(c.env, "PROCESS_TEST=describe")
			out, _, err := c.Exec(t.Context(), []string{publicProgram(t)})
			if err != nil {
				t.Fatal(err)
			}
			checkStatus(t, "a command", string(out), tc.want)
			user, limits := runsAs(c.info.PID)
			if user.UID != uint32(c.rec.User.uid()) || limits.NoNew != c.rec.Limits.NoNew ||
				!slices.Equal(limits.Ambient, c.rec.Limits.Ambient) || tc.want["Groups"] != "" && !slices.Equal(user.Groups, sorted(c.rec.User.Groups)) {
				t.Errorf("without a record it would run as %+v %+v, not %+v %+v", user, limits, c.rec.User, c.rec.Limits)
			}
		})
	}
	self, err := os.ReadFile("/proc/thread-self/status")
	if err != nil || !strings.Contains(string(self), "NoNewPrivs:\t0") || ownCapabilities() != own {
		t.Errorf("the supervisor lost privileges itself: %v", err)
	}
}

func sorted(groups []uint32) []uint32 {
	groups = slices.Clone(groups)
	slices.Sort(groups)
	return groups
}

func checkStatus(t *testing.T, what, text string, want map[string]string) {
	t.Helper()
	var d description
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("%s: %v: %s", what, err, text)
	}
	for key, value := range want {
		if d.Status[key] != value {
			t.Errorf("%s: %s is %q, want %q", what, key, d.Status[key], value)
		}
	}
}

// What the supervisor inherited itself does not pass the bounding set by.
func TestInheritableIsDropped(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	var err error
	onOwnThread(func() {
		err = func() error {
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var sets [2]unix.CapUserData
			if err := unix.Capget(&header, &sets[0]); err != nil {
				return err
			}
			sets[0].Inheritable = 1<<10 | 1<<21
			if err := unix.Capset(&header, &sets[0]); err != nil {
				return err
			}
			if err := dropCapabilities([]int{10}); err != nil {
				return err
			}
			if err := unix.Capget(&header, &sets[0]); err != nil {
				return err
			}
			if sets[0].Inheritable != 1<<10 || sets[0].Permitted&(1<<21) == 0 {
				return fmt.Errorf("inheritable %x, permitted %x", sets[0].Inheritable, sets[0].Permitted)
			}
			return nil
		}()
	})
	if err != nil {
		t.Error(err)
	}
}

// What is done to a thread for the sake of a container is never done to the first one, also when that is the only one left
// for goroutines: it would stay as it is for ever.
func TestFirstThreadIsSpared(t *testing.T) {
	var tids []int
	for range 200 {
		onOwnThread(func() { tids = append(tids, unix.Gettid()) })
	}
	if slices.Contains(tids, os.Getpid()) {
		t.Error("it was used")
	}
}

// A user with NET_BIND_SERVICE may listen below 1024, and one without may not.
func TestBindService(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	first, err := procfs.Sysctl("net/ipv4/ip_unprivileged_port_start")
	if err != nil || first != "1024" {
		t.Skipf("needs a kernel that guards ports below 1024: %s, %v", first, err)
	}
	rt := newRuntime(t)
	pod := selfPod(t, "bind", "bind")
	pod.Spec.Containers[0].Command[0] = publicProgram(t)
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr[int64](12345)}
	s, err := rt.OpenPod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	for i, tc := range []struct {
		add  []corev1.Capability
		want string
	}{{[]corev1.Capability{"NET_BIND_SERVICE"}, "<nil>\n"}, {nil, "permission denied\n"}} {
		pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: tc.add},
		}
		c, err := s.Start(t.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0], RestartCount: i})
		if err != nil {
			t.Fatal(err)
		}
		wait(t, c)
		if got := logOf(t, c); !strings.HasSuffix(got, tc.want) {
			t.Errorf("with %v: %s", tc.add, got)
		}
	}
}

// What cannot be given is refused, and not left out.
func TestPrivilegesRefused(t *testing.T) {
	t.Parallel()
	if got := ownCapabilities(); os.Geteuid() == 0 && got == 0 {
		t.Error("root has no capabilities?")
	}
	for name, tc := range map[string]struct {
		pod  corev1.PodSecurityContext
		ctr  corev1.SecurityContext
		want string
	}{
		"capability": {ctr: corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}}},
			want: "cannot open pod told: container main: cannot add capability NET_ADMIN: the supervisor does not have it itself\nrun the"},
		"privileged": {ctr: corev1.SecurityContext{Privileged: ptr(true)}, want: "cannot run privileged: the supervisor is not root\nrun the"},
		"user": {pod: corev1.PodSecurityContext{RunAsUser: ptr[int64](12345)},
			want: "cannot run as user 12345, group 0: the supervisor is not root, but user 65534\nrun the supervisor as root"},
		"dropping": {ctr: corev1.SecurityContext{Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}, want: "<nil>\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := testPod("told", "exec sleep 1000").Spec
			spec.SecurityContext, spec.Containers[0].SecurityContext = &tc.pod, &tc.ctr
			if out := asNobody(t, spec); !strings.Contains(out, tc.want) {
				t.Errorf("got %s, want %s", out, tc.want)
			}
		})
	}
	pod := testPod("p", "true")
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: ptr(true)}
	if _, err := newRuntime(t).OpenPod(t.Context(), pod); os.Geteuid() == 0 && (err == nil || !strings.Contains(err.Error(), "runAsNonRoot")) {
		t.Errorf("runAsNonRoot as root: %v", err)
	}
}

// A program that the container's user cannot get to is told from one that nobody can run.
func TestProgramClosedToUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	rt := newRuntime(t)
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(closed, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	pod := testPod("closed", "")
	pod.Spec.Containers[0].Command = []string{program}
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr[int64](12345)}
	s, err := rt.OpenPod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Start(t.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0]})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "cannot run "+program+" as user 12345: permission denied") ||
		!strings.Contains(hintOf(err), "open to that user") {
		t.Errorf("%v (%s)", err, hintOf(err))
	}
}
