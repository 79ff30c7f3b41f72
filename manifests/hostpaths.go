package manifests

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// HostPaths are the volumes of type hostPath that a container of the manifest mounts.
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
