package process

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
)

// Refuse returns all that the pod asks for and a host process cannot have, nil if there is nothing. What every
// kubeadm manifest carries is accepted even where it has no effect (the RuntimeDefault seccomp profile, and
// readOnly mounts where nothing can be mounted); an isolation that somebody asked for beyond that is refused
// rather than left out silently. Whether we have the rights for the rest (another user, say), only OpenPod sees.
//
// mountable tells whether the container can have mounts of its own; it is asked when that matters.
func Refuse(pod *runtime.Pod, mountable func() error) error {
	r := refusals{mountable: mountable}
	r.pod(pod)
	for i := range pod.Spec.InitContainers {
		r.container(fmt.Sprintf("spec.initContainers[%d]", i), pod, &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		r.container(fmt.Sprintf("spec.containers[%d]", i), pod, &pod.Spec.Containers[i])
	}
	if len(r.reasons) == 0 {
		return nil
	}
	hint := "change these fields of the manifest"
	if r.noCommand {
		hint += ": 'command:' names a program of this machine, which is run instead of the image"
	}
	if r.rights {
		hint = "run the supervisor as root, or " + hint
	}
	return hinted{error: fmt.Errorf("the process runtime cannot run pod %s: %w", pod.Name, errors.Join(r.reasons...)), hint: hint}
}

// refusals collects reasons with their field path.
type refusals struct {
	reasons   []error
	mountable func() error
	rights    bool // some of it could be had with more rights
	noCommand bool // a container has only an image
}

func (r *refusals) when(refused bool, format string, args ...any) {
	if refused {
		r.reasons = append(r.reasons, fmt.Errorf(format, args...))
	}
}

func (r *refusals) pod(pod *runtime.Pod) {
	spec := &pod.Spec
	for _, f := range [][2]string{{"uid", string(pod.UID)}, {"name", pod.Name}, {"namespace", pod.Namespace}} {
		err := checkName(f[1])
		r.when(err != nil, "metadata.%s: %w", f[0], err)
	}
	for i, v := range spec.Volumes {
		err := checkName(v.Name)
		r.when(err != nil, "spec.volumes[%d].name: %w", i, err)
	}
	r.when(!spec.HostNetwork, "spec.hostNetwork: must be true, a process has the network of its host")
	r.when(spec.HostUsers != nil && !*spec.HostUsers, "spec.hostUsers: must not be false, a process has the users of its host")
	r.when(spec.RuntimeClassName != nil && *spec.RuntimeClassName != "", "spec.runtimeClassName: there are no runtime classes")
	r.when(spec.OS != nil && spec.OS.Name != corev1.Linux, "spec.os: this is Linux")
	r.when(len(spec.HostAliases) > 0, "spec.hostAliases: a process has the /etc/hosts of its host")
	r.when(spec.DNSConfig != nil || spec.DNSPolicy == corev1.DNSNone, "spec.dnsConfig: a process has the /etc/resolv.conf of its host")
	if spec.Resources != nil {
		r.limits("spec.resources.limits", spec.Resources.Limits)
	}
	sc := spec.SecurityContext
	if sc == nil {
		return
	}
	r.profiles("spec.securityContext", sc.SeccompProfile, sc.AppArmorProfile)
	r.seLinux("spec.securityContext", sc.SELinuxOptions)
	r.when(sc.WindowsOptions != nil, "spec.securityContext.windowsOptions: this is Linux")
	r.when(len(sc.Sysctls) > 0, "spec.securityContext.sysctls: they would be set for the whole host")
}

func (r *refusals) profiles(field string, seccomp *corev1.SeccompProfile, appArmor *corev1.AppArmorProfile) {
	r.when(seccomp != nil && seccomp.Type == corev1.SeccompProfileTypeLocalhost, "%s.seccompProfile: no profile can be loaded", field)
	r.when(appArmor != nil && appArmor.Type == corev1.AppArmorProfileTypeLocalhost, "%s.appArmorProfile: no profile can be loaded", field)
}

func (r *refusals) seLinux(field string, selinux *corev1.SELinuxOptions) {
	r.when(selinux != nil && *selinux != corev1.SELinuxOptions{}, "%s.seLinuxOptions: no label can be set", field)
}

func (r *refusals) container(field string, pod *runtime.Pod, c *corev1.Container) {
	err := checkName(c.Name)
	r.when(err != nil, "%s.name: %w", field, err)
	r.noCommand = r.noCommand || len(c.Command) == 0
	r.when(len(c.Command) == 0, "%s.command: must be set: what image %q would run is not known here, "+
		"a container is a program of this machine", field, c.Image)
	r.when(c.WorkingDir != "" && !path.IsAbs(c.WorkingDir), "%s.workingDir: must be absolute", field)
	r.when(c.Stdin || c.TTY, "%s: nobody can attach to stdin or a tty", field)
	r.limits(field+".resources.limits", c.Resources.Limits)
	signal := c.Lifecycle != nil && c.Lifecycle.StopSignal != nil && *c.Lifecycle.StopSignal != corev1.SIGTERM
	r.when(signal, "%s.lifecycle.stopSignal: only SIGTERM is sent", field)
	r.when(len(c.EnvFrom) > 0, "%s.envFrom: there is no API server to ask", field)
	for i, e := range c.Env {
		r.when(e.ValueFrom != nil && e.ValueFrom.FieldRef == nil, "%s.env[%d].valueFrom: only fieldRef is possible", field, i)
	}
	r.when(len(c.VolumeDevices) > 0, "%s.volumeDevices: there are none", field)
	for i := range c.VolumeMounts {
		r.mount(fmt.Sprintf("%s.volumeMounts[%d]", field, i), pod, &c.VolumeMounts[i])
	}
	if c.SecurityContext != nil {
		r.securityContext(field+".securityContext", c.SecurityContext)
	}
}

// limits: what a cgroup can limit. Whether we may make one, only OpenPod sees.
func (r *refusals) limits(field string, limits corev1.ResourceList) {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		r.when(name != corev1.ResourceCPU && name != corev1.ResourceMemory, "%s.%s: only cpu and memory can be limited", field, name)
	}
}

// mount: what is at its own place is there anyway; the rest must be mounted.
func (r *refusals) mount(field string, pod *runtime.Pod, m *corev1.VolumeMount) {
	v := findVolume(pod, m.Name)
	if v == nil {
		r.when(true, "%s: there is no volume %q", field, m.Name)
		return
	}
	r.when(!path.IsAbs(m.MountPath) || path.Clean(m.MountPath) == "/", "%s.mountPath: must be an absolute path below /", field)
	switch {
	case v.EmptyDir != nil:
		medium := v.EmptyDir.Medium
		r.when(medium != corev1.StorageMediumDefault && medium != corev1.StorageMediumMemory,
			"%s: an emptyDir of medium %q cannot be had", field, medium)
		r.needsMount(field, "an emptyDir (%q) cannot be had", m.Name)
	case v.HostPath == nil:
		r.when(true, "%s: volume %q is neither a hostPath nor an emptyDir", field, m.Name)
	case m.SubPath != "" || m.SubPathExpr != "":
		r.needsMount(field, "subPath is not possible")
	case path.Clean(v.HostPath.Path) != path.Clean(m.MountPath):
		r.needsMount(field, "%s can only be had at its own path, not at %s", v.HostPath.Path, m.MountPath)
	case m.RecursiveReadOnly != nil && *m.RecursiveReadOnly == corev1.RecursiveReadOnlyEnabled:
		r.needsMount(field+".recursiveReadOnly", "cannot be enforced")
	}
}

// needsMount refuses where nothing can be mounted.
func (r *refusals) needsMount(field, format string, args ...any) {
	if err := r.mountable(); err != nil {
		r.rights = true
		r.when(true, "%s: %s: %w", field, fmt.Sprintf(format, args...), err)
	}
}

func findVolume(pod *runtime.Pod, name string) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return &pod.Spec.Volumes[i]
		}
	}
	return nil
}

func (r *refusals) securityContext(field string, sc *corev1.SecurityContext) {
	r.profiles(field, sc.SeccompProfile, sc.AppArmorProfile)
	r.seLinux(field, sc.SELinuxOptions)
	r.when(sc.WindowsOptions != nil, "%s.windowsOptions: this is Linux", field)
	if sc.ReadOnlyRootFilesystem != nil && *sc.ReadOnlyRootFilesystem {
		r.needsMount(field+".readOnlyRootFilesystem", "cannot be enforced")
	}
	if sc.Capabilities == nil {
		return
	}
	for _, list := range [][]corev1.Capability{sc.Capabilities.Add, sc.Capabilities.Drop} {
		for _, name := range list {
			_, known := capability(name)
			r.when(!known && name != "ALL" && name != "all", "%s.capabilities: %q is not known", field, name)
		}
	}
}
