package manifests

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/manifests/config"
)

const dirOrCreate = string(corev1.HostPathDirectoryOrCreate)

// certificateMounts are the cluster's certificates and the host's CAs. With a
// root the host's CAs are left out, because nothing outside the root is read.
func certificateMounts(cfg config.Config, host Host) []config.HostPathMount {
	mounts := []config.HostPathMount{samePath("k8s-certs", cfg.CertificatesDir, true, dirOrCreate)}
	if cfg.Root != "" {
		return mounts
	}
	mounts = append(mounts, samePath("ca-certs", "/etc/ssl/certs", true, dirOrCreate))
	for _, dir := range host.CADirs {
		if slices.Contains(OptionalCADirs(), dir) {
			mounts = append(mounts, samePath(strings.ReplaceAll(dir[1:], "/", "-"), dir, true, dirOrCreate))
		}
	}
	return mounts
}

func kubeconfigMount(cfg config.Config, name string) config.HostPathMount {
	return samePath("kubeconfig", cfg.Paths().Kubeconfig(name), true, string(corev1.HostPathFileOrCreate))
}

func samePath(name, p string, readOnly bool, pathType string) config.HostPathMount {
	return config.HostPathMount{Name: name, HostPath: p, MountPath: p, ReadOnly: readOnly, PathType: pathType}
}

// withExtra sorts by name. An extra volume replaces a default one of its name.
func withExtra(mounts, extra []config.HostPathMount) []config.HostPathMount {
	merged := map[string]config.HostPathMount{}
	for _, m := range slices.Concat(mounts, extra) {
		merged[m.Name] = m
	}
	return byName(slices.Collect(maps.Values(merged)))
}

func byName(mounts []config.HostPathMount) []config.HostPathMount {
	return slices.SortedFunc(slices.Values(mounts), func(a, b config.HostPathMount) int { return cmp.Compare(a.Name, b.Name) })
}

func volumeMounts(list []config.HostPathMount) []corev1.VolumeMount {
	var out []corev1.VolumeMount
	for _, m := range list {
		out = append(out, corev1.VolumeMount{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly})
	}
	return out
}

func volumes(list []config.HostPathMount) []corev1.Volume {
	var out []corev1.Volume
	for _, m := range list {
		source := &corev1.HostPathVolumeSource{Path: m.HostPath, Type: new(corev1.HostPathType(m.PathType))}
		out = append(out, corev1.Volume{Name: m.Name, VolumeSource: corev1.VolumeSource{HostPath: source}})
	}
	return out
}

// HostPaths are the hostPath volumes that a container of the manifest mounts.
func HostPaths(f File) []corev1.Volume {
	var all []corev1.Volume
	containers := slices.Concat(f.Pod.Spec.InitContainers, f.Pod.Spec.Containers)
	for _, v := range f.Pod.Spec.Volumes {
		mounted := slices.ContainsFunc(containers, func(c corev1.Container) bool {
			return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name })
		})
		if v.HostPath != nil && mounted {
			all = append(all, v)
		}
	}
	return all
}
