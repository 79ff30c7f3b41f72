package conformance

import (
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kubecrank/kubecrank/runtime"
)

// ends waits until the pod's first container has ended, and skips the test where the runtime lacks the rights for the pod.
func (f *fixture) ends(name string) runtime.ContainerStatus {
	f.Helper()
	p := f.becomes(name, "at its end", func(p runtime.PodStatus) bool {
		return p.State == "Succeeded" || p.State == "Failed" || strings.Contains(p.LastError, "cannot open the pod")
	})
	if strings.Contains(p.LastError, "not root") || strings.Contains(p.LastError, "resources.limits: cannot limit") {
		f.Skipf("needs more rights: %s", p.LastError)
	}
	for _, c := range p.Containers {
		if !c.Init {
			return c
		}
	}
	f.Fatalf("%+v", p)
	return runtime.ContainerStatus{}
}

// A container that takes more memory than it may is killed, and the status says why.
func contractLimits(f *fixture) {
	f.supervise()
	f.put(f.pod("eats", "say begin; exec tail /dev/zero", withPolicy(corev1.RestartPolicyNever), func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"memory": resource.MustParse("32Mi"), "cpu": resource.MustParse("500m")}
	}))
	c := f.ends("eats")
	if c.State != "Terminated" || c.Reason != "OOMKilled" || c.ExitCode == nil || *c.ExitCode != 137 {
		f.Errorf("%+v", c)
	}
	told := false
	f.must(f.client.Events(f.Context(), false, func(e runtime.Event) {
		told = told || e.Container == "main" && e.Type == "Warning" && strings.Contains(e.Message, "out of memory")
	}))
	if !told {
		f.Error("no event tells of it")
	}
}

// Containers of a pod share an emptyDir, see a host path where they want it, and cannot write to what is read-only.
func contractVolumes(f *fixture) {
	host := filepath.Join(f.root, "host")
	f.must(os.MkdirAll(filepath.Join(host, "sub"), 0o755))
	f.must(os.WriteFile(filepath.Join(host, "sub", "file"), []byte("from the host\n"), 0o644))
	f.supervise()
	volumes := func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes,
			corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			corev1.Volume{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: host}}})
		mounts := []corev1.VolumeMount{{Name: "scratch", MountPath: "/mnt"}, {Name: "host", MountPath: "/opt", SubPath: "sub", ReadOnly: true}}
		for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
			for i := range list {
				list[i].VolumeMounts = append(list[i].VolumeMounts, mounts...)
			}
		}
	}
	f.put(f.pod("sees", `say $(cat /opt/file) and $(cat /mnt/first); echo x >/opt/file || exit 3`, withPolicy(corev1.RestartPolicyNever),
		withInits(f.container("first", "echo from the first >/mnt/first")), volumes))
	if c := f.ends("sees"); c.ExitCode == nil || *c.ExitCode != 3 && *c.ExitCode != 2 { // a shell of its own choice
		f.Errorf("%+v", c)
	}
	f.said("from the host and from the first", 1)
	if data, err := os.ReadFile(filepath.Join(host, "sub", "file")); err != nil || string(data) != "from the host\n" {
		f.Errorf("on the host: %q, %v", data, err)
	}
}

// A container runs as the user and with the groups that its pod names.
func contractUser(f *fixture) {
	f.must(os.Chmod(f.root, 0o755))
	f.must(os.Chmod(f.shared, 0o777))
	f.supervise()
	f.put(f.pod("user", "say is $(id -u) $(id -g)", withPolicy(corev1.RestartPolicyNever), func(p *corev1.Pod) {
		user, group := int64(12345), int64(12346)
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user, RunAsGroup: &group}
	}))
	if c := f.ends("user"); c.ExitCode == nil || *c.ExitCode != 0 {
		f.Errorf("%+v", c)
	}
	f.said("is 12345 12346", 1)
}
