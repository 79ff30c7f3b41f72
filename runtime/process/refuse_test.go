package process

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/runtime"
)

// unprivileged is a supervisor that cannot mount.
func unprivileged() error { return errors.New("not root") }

func TestAcceptsKubeadmManifests(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pod := &runtime.Pod{Pod: &corev1.Pod{}}
		if err := yaml.UnmarshalStrict(data, pod.Pod); err != nil {
			t.Fatal(err)
		}
		if err := Refuse(pod, unprivileged); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// Each row changes one thing of a pod that is accepted; want is what the refusal says, "" for still accepted.
func TestRefuse(t *testing.T) {
	t.Parallel()
	type (
		podSpec = corev1.PodSpec
		ctr     = corev1.Container
	)
	mount := func(spec *corev1.PodSpec, v corev1.VolumeSource, m corev1.VolumeMount) {
		m.Name = "v"
		spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: v}}
		spec.Containers[0].VolumeMounts = []corev1.VolumeMount{m}
	}
	hostPath := corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/data/"}}
	for name, tc := range map[string]struct {
		change func(spec *podSpec, c *ctr)
		want   string
	}{
		"nothing":              {func(*podSpec, *ctr) {}, ""},
		"a network of its own": {func(s *podSpec, _ *ctr) { s.HostNetwork = false }, "spec.hostNetwork: must be true"},
		"users of its own":     {func(s *podSpec, _ *ctr) { s.HostUsers = ptr(false) }, "spec.hostUsers"},
		"runtime class":        {func(s *podSpec, _ *ctr) { s.RuntimeClassName = ptr("gvisor") }, "spec.runtimeClassName"},
		"windows":              {func(s *podSpec, _ *ctr) { s.OS = &corev1.PodOS{Name: "windows"} }, "spec.os"},
		"hosts":                {func(s *podSpec, _ *ctr) { s.HostAliases = make([]corev1.HostAlias, 1) }, "spec.hostAliases"},
		"dns":                  {func(s *podSpec, _ *ctr) { s.DNSPolicy = corev1.DNSNone }, "spec.dnsConfig"},
		"cluster dns":          {func(s *podSpec, _ *ctr) { s.DNSPolicy = corev1.DNSClusterFirstWithHostNet }, ""},
		"sysctls":              {func(s *podSpec, _ *ctr) { s.SecurityContext.Sysctls = make([]corev1.Sysctl, 1) }, "sysctls"},
		"own seccomp profile": {func(s *podSpec, _ *ctr) {
			s.SecurityContext.SeccompProfile.Type = "Localhost"
		}, "spec.securityContext.seccompProfile"},
		"own apparmor profile": {func(_ *podSpec, c *ctr) {
			c.SecurityContext = &corev1.SecurityContext{AppArmorProfile: &corev1.AppArmorProfile{Type: "Localhost"}}
		}, "spec.containers[0].securityContext.appArmorProfile"},
		"selinux": {func(_ *podSpec, c *ctr) {
			c.SecurityContext = &corev1.SecurityContext{SELinuxOptions: &corev1.SELinuxOptions{Type: "x"}}
		}, "seLinuxOptions"},
		"read-only root": {func(_ *podSpec, c *ctr) {
			c.SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: ptr(true)}
		}, "readOnlyRootFilesystem"},
		"not privileged": {func(_ *podSpec, c *ctr) {
			c.SecurityContext = &corev1.SecurityContext{Privileged: ptr(false)}
		}, ""},
		"unknown capability": {func(_ *podSpec, c *ctr) {
			c.SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"FLY"}}}
		}, `"FLY" is not known`},
		"no command": {func(_ *podSpec, c *ctr) { c.Command, c.Args = nil, []string{"x"} }, `spec.containers[0].command: must be set: what image "none" would run is not known`},
		"limits": {func(_ *podSpec, c *ctr) {
			c.Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("1Gi")}
		}, ""},
		"limits of something else": {func(_ *podSpec, c *ctr) {
			c.Resources.Limits = corev1.ResourceList{"ephemeral-storage": resource.MustParse("1Gi")}
		}, "spec.containers[0].resources.limits.ephemeral-storage: only cpu and memory"},
		"pod limits of something else": {func(s *podSpec, _ *ctr) {
			s.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{"hugepages-2Mi": resource.MustParse("2Mi")}}
		}, "spec.resources.limits.hugepages-2Mi"},
		"requests": {func(_ *podSpec, c *ctr) {
			c.Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("1")}
		}, ""},
		"stop signal": {func(_ *podSpec, c *ctr) {
			c.Lifecycle = &corev1.Lifecycle{StopSignal: ptr(corev1.SIGUSR1)}
		}, "lifecycle.stopSignal"},
		"tty":                      {func(_ *podSpec, c *ctr) { c.TTY = true }, "tty"},
		"relative directory":       {func(_ *podSpec, c *ctr) { c.WorkingDir = "x" }, "workingDir"},
		"environment from the API": {func(_ *podSpec, c *ctr) { c.EnvFrom = make([]corev1.EnvFromSource, 1) }, "envFrom"},
		"environment from resources": {func(_ *podSpec, c *ctr) {
			c.Env = []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{}}}}
		}, "env[0].valueFrom"},
		"in an init container": {func(s *podSpec, _ *ctr) {
			s.InitContainers = []corev1.Container{{Name: "i"}}
		}, "spec.initContainers[0].command"},
		"container name": {func(_ *podSpec, c *ctr) { c.Name = "../x" }, "spec.containers[0].name"},
		"mount at its own place": {func(s *podSpec, _ *ctr) {
			mount(s, hostPath, corev1.VolumeMount{MountPath: "/data", ReadOnly: true})
		}, ""},
		"mount elsewhere": {func(s *podSpec, _ *ctr) {
			mount(s, hostPath, corev1.VolumeMount{MountPath: "/elsewhere"})
		}, "/data/ can only be had at its own path, not at /elsewhere: not root"},
		"subpath": {func(s *podSpec, _ *ctr) {
			mount(s, hostPath, corev1.VolumeMount{MountPath: "/data", SubPath: "x"})
		}, "subPath"},
		"recursively read-only": {func(s *podSpec, _ *ctr) {
			mount(s, hostPath, corev1.VolumeMount{MountPath: "/data", RecursiveReadOnly: ptr(corev1.RecursiveReadOnlyEnabled)})
		}, "recursiveReadOnly"},
		"emptyDir": {func(s *podSpec, _ *ctr) {
			mount(s, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}, corev1.VolumeMount{MountPath: "/x"})
		}, `an emptyDir ("v") cannot be had: not root`},
		"emptyDir that nobody mounts": {func(s *podSpec, _ *ctr) { s.Volumes = []corev1.Volume{{Name: "v"}} }, ""},
		"mount of no volume": {func(s *podSpec, _ *ctr) {
			mount(s, hostPath, corev1.VolumeMount{})
			s.Volumes = nil
		}, `there is no volume "v"`},
	} {
		t.Run(name, func(t *testing.T) {
			pod := testPod("p", "true")
			pod.Spec.SecurityContext = &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: "RuntimeDefault"}}
			tc.change(&pod.Spec, &pod.Spec.Containers[0])
			err := Refuse(pod, unprivileged)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	pod := testPod("p", "true")
	pod.Spec.Containers[0].Command = nil
	if hint := hintOf(Refuse(pod, unprivileged)); !strings.Contains(hint, "'command:' names a program") {
		t.Errorf("an image alone: %s", hint)
	}
	pod = testPod("p", "true")
	pod.UID = "../../etc"
	pod.Spec.HostNetwork, pod.Spec.HostUsers = false, ptr(false)
	err := Refuse(pod, unprivileged)
	if err == nil || strings.Count(err.Error(), "\n") != 2 || hintOf(err) == "" {
		t.Errorf("not all at once, or without a hint: %v", err)
	}
}

// Paths are made or refused as the kubelet does (TestOSFileTypeChecker and others in pkg/volume/hostpath/host_path_test.go).
func TestHostPaths(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind  corev1.HostPathType
		path  string // below a directory with: dir, file, link (to dir), socket; /dev/null as it is
		want  string
		makes fs.FileMode // of what is there afterwards
	}{
		{"", "new/deep", "", fs.ModeDir | 0o755},
		{"", "file", "", 0o644},
		{"DirectoryOrCreate", "new/deep", "", fs.ModeDir | 0o755},
		{"DirectoryOrCreate", "dir", "", fs.ModeDir | 0o700},
		{"DirectoryOrCreate", "link", "", fs.ModeDir | 0o700},
		{"DirectoryOrCreate", "file", "file is not a directory", 0},
		{"Directory", "dir", "", fs.ModeDir | 0o700},
		{"Directory", "new", "new is not a directory", 0},
		{"FileOrCreate", "new", "", 0o644},
		{"FileOrCreate", "file", "", 0o644},
		{"FileOrCreate", "dir", "dir is not a file", 0},
		{"FileOrCreate", "new/file", "no such file or directory", 0},
		{"File", "file", "", 0o644},
		{"File", "new", "new is not a file", 0},
		{"Socket", "socket", "", fs.ModeSocket | 0o755},
		{"Socket", "file", "is not a socket file", 0},
		{"CharDevice", "/dev/null", "", fs.ModeDevice | fs.ModeCharDevice | 0o666},
		{"CharDevice", "file", "is not a character device", 0},
		{"BlockDevice", "/dev/null", "is not a block device", 0},
		{"Nonsense", "file", "Nonsense is an invalid volume type", 0},
	} {
		t.Run(string(tc.kind)+" "+filepath.Base(tc.path), func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "hp") // a socket's path must be short
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			at := func(name string) string { return filepath.Join(dir, name) }
			socket, err := net.Listen("unix", at("socket"))
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			err = errors.Join(os.Mkdir(at("dir"), 0o700), os.WriteFile(at("file"), nil, 0o644), os.Symlink("dir", at("link")))
			if err != nil {
				t.Fatal(err)
			}
			path := tc.path
			if !filepath.IsAbs(path) {
				path = at(path)
			}
			pod := testPod("p", "true")
			volume := corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: ptr(tc.kind)}}
			pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: volume}}
			if err := prepareHostPaths(pod); err != nil {
				t.Errorf("a volume that nobody mounts: %v", err)
			}
			pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: path}}
			err = prepareHostPaths(pod)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), `cannot set up volume "v"`) {
					t.Errorf("got %v, want %q", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode() != tc.makes {
				t.Errorf("%v, %v; want %v", info.Mode(), err, tc.makes)
			}
		})
	}
}
