package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/runtime"
)

// prepareHostPaths makes and checks the paths of the volumes that containers mount, as the kubelet does
// (pkg/volume/hostpath/host_path.go: checkTypeInternal) with its texts. A path without a type that is not there
// becomes a directory, as container engines do it.
func prepareHostPaths(pod *runtime.Pod) error {
	var errs []error
	for _, v := range pod.Spec.Volumes {
		if v.HostPath == nil || !isMounted(pod, v.Name) {
			continue
		}
		if err := prepareHostPath(v.HostPath); err != nil {
			errs = append(errs, fmt.Errorf("cannot set up volume %q: %w", v.Name, err))
		}
	}
	return errors.Join(errs...)
}

func isMounted(pod *runtime.Pod, volume string) bool {
	mounts := func(c corev1.Container) bool {
		return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume })
	}
	return slices.ContainsFunc(pod.Spec.Containers, mounts) || slices.ContainsFunc(pod.Spec.InitContainers, mounts)
}

func prepareHostPath(h *corev1.HostPathVolumeSource) error {
	kind := corev1.HostPathUnset
	if h.Type != nil {
		kind = *h.Type
	}
	info, err := os.Stat(h.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	if missing {
		switch kind {
		case corev1.HostPathUnset, corev1.HostPathDirectoryOrCreate:
			return durable.MkdirAll(h.Path, 0o755)
		case corev1.HostPathFileOrCreate:
			return makeFile(h.Path)
		}
	}
	is := func(mode fs.FileMode) bool { return !missing && info.Mode().Type() == mode }
	what, ok := "", true
	switch kind {
	case corev1.HostPathUnset:
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		what, ok = "a directory", is(fs.ModeDir)
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		what, ok = "a file", is(0)
	case corev1.HostPathSocket:
		what, ok = "a socket file", is(fs.ModeSocket)
	case corev1.HostPathCharDev:
		what, ok = "a character device", is(fs.ModeDevice|fs.ModeCharDevice)
	case corev1.HostPathBlockDev:
		what, ok = "a block device", is(fs.ModeDevice)
	default:
		return fmt.Errorf("%s is an invalid volume type", kind)
	}
	if !ok {
		return fmt.Errorf("hostPath type check failed: %s is not %s", h.Path, what)
	}
	return nil
}

func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil // somebody else made it this moment
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Chmod(0o644) // whatever the umask
}
