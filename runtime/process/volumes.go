package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/expand"
	"github.com/kubecrank/kubecrank/runtime/process/mounts"
)

// mountable is nil when containers can have mounts of their own, or tells why they cannot.
func mountable() error {
	var err error
	onOwnThread(func() { err = mounts.Possible() })
	return err
}

// view works out what a container sees; nil when that is the host as it is, which costs nothing. A host path that is
// read-only at its own place is enforced where that is possible: without the rights every kubeadm manifest would be refused.
func (r *Runtime) view(pod *runtime.Pod, c *corev1.Container, vars *variables) (*mounts.View, error) {
	v := &mounts.View{ReadOnlyRoot: readOnlyRoot(c)}
	needed := v.ReadOnlyRoot
	for _, vm := range c.VolumeMounts {
		m, err := r.mountOf(pod, vm, vars)
		if err != nil {
			return nil, fmt.Errorf("cannot mount volume %q: %w", vm.Name, err)
		}
		v.Mounts = append(v.Mounts, m)
		asItIs := m.Source == m.Target && m.SubPath == ""
		needed = needed || !asItIs || m.ReadOnly && r.mountable() == nil
	}
	if !needed {
		return nil, nil
	}
	for _, vm := range c.VolumeMounts {
		if vm.MountPropagation != nil && *vm.MountPropagation == corev1.MountPropagationBidirectional {
			return nil, fmt.Errorf("cannot mount volume %q: mountPropagation: Bidirectional would mount things on the host", vm.Name)
		}
	}
	hide, err := filepath.EvalSymlinks(r.opts.StateDir)
	if err != nil {
		return nil, err
	}
	v.Hide = hide
	v.Scratch = filepath.Join(hide, string(pod.UID), "root")
	return v, durable.MkdirAll(v.Scratch, 0o700)
}

func readOnlyRoot(c *corev1.Container) bool {
	sc := c.SecurityContext
	return sc != nil && sc.ReadOnlyRootFilesystem != nil && *sc.ReadOnlyRootFilesystem
}

func (r *Runtime) mountOf(pod *runtime.Pod, vm corev1.VolumeMount, vars *variables) (mounts.Mount, error) {
	m := mounts.Mount{
		Volume: vm.Name, Target: filepath.Clean(vm.MountPath), ReadOnly: vm.ReadOnly, SubPath: vm.SubPath,
		Recursive: vm.RecursiveReadOnly != nil && *vm.RecursiveReadOnly == corev1.RecursiveReadOnlyEnabled,
		Follow:    vm.MountPropagation != nil && *vm.MountPropagation == corev1.MountPropagationHostToContainer,
	}
	if vm.SubPathExpr != "" {
		var err error
		if m.SubPath, err = expand.Expand(vm.SubPathExpr, vars.declared); err != nil {
			return m, expand.Named("subPathExpr", err)
		}
		if strings.Contains(m.SubPath, "$(") {
			return m, fmt.Errorf("subPathExpr %q refers to a variable that is not set", vm.SubPathExpr)
		}
	}
	if filepath.IsAbs(m.SubPath) || slices.Contains(strings.Split(m.SubPath, "/"), "..") {
		return m, fmt.Errorf("subPath %q must stay in the volume", m.SubPath)
	}
	if m.SubPath != "" {
		m.SubPath = filepath.Clean(m.SubPath)
	}
	switch v := findVolume(pod, vm.Name); {
	case v == nil:
		return m, errors.New("there is no such volume")
	case v.EmptyDir != nil:
		m.Source = r.emptyDir(string(pod.UID), v.Name)
	case v.HostPath != nil:
		m.Source = filepath.Clean(v.HostPath.Path)
	}
	return m, nil
}

func (r *Runtime) volumesDir(uid string) string {
	return filepath.Join(r.opts.StateDir, uid, "volumes")
}

func (r *Runtime) emptyDir(uid, volume string) string {
	return filepath.Join(r.volumesDir(uid), volume)
}

// prepareEmptyDirs makes those that containers mount and that are not there yet. They are kept until the pod is closed:
// over restarts of a container, and of the supervisor.
func (r *Runtime) prepareEmptyDirs(pod *runtime.Pod) error {
	var errs []error
	for _, v := range pod.Spec.Volumes {
		if v.EmptyDir == nil || !isMounted(pod, v.Name) {
			continue
		}
		if err := r.prepareEmptyDir(pod, &v); err != nil {
			errs = append(errs, fmt.Errorf("cannot set up volume %q: %w", v.Name, err))
		}
	}
	return errors.Join(errs...)
}

// prepareEmptyDir does what pkg/volume/emptydir does: open to all, in memory if asked for, and of the pod's fsGroup.
func (r *Runtime) prepareEmptyDir(pod *runtime.Pod, v *corev1.Volume) error {
	dir := r.emptyDir(string(pod.UID), v.Name)
	if err := durable.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	err := durable.Mkdir(dir, 0o700)
	made := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if v.EmptyDir.Medium == corev1.StorageMediumMemory {
		mounted, err := isTmpfs(dir)
		if err != nil {
			return err
		}
		if !mounted {
			options := "mode=0777"
			if limit := v.EmptyDir.SizeLimit; limit != nil && limit.Value() > 0 {
				options += ",size=" + strconv.FormatInt(limit.Value(), 10)
			}
			if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
				return os.NewSyscallError("mount", err)
			}
			made = true
		}
	}
	if !made {
		return nil
	}
	mode := fs.FileMode(0o777)
	if sc := pod.Spec.SecurityContext; sc != nil && sc.FSGroup != nil {
		if err := os.Chown(dir, -1, int(*sc.FSGroup)); err != nil {
			return err
		}
		mode |= fs.ModeSetgid
	}
	return os.Chmod(dir, mode)
}

// isTmpfs tells whether something is mounted on a directory of ours; the state itself may be on a tmpfs.
func isTmpfs(dir string) (bool, error) {
	var at, above unix.Stat_t
	err := unix.Lstat(dir, &at)
	if err == nil {
		err = unix.Lstat(filepath.Dir(dir), &above)
	}
	return at.Dev != above.Dev, err
}

// unmountVolumes takes away what prepareEmptyDir mounted.
func (r *Runtime) unmountVolumes(uid string) error {
	entries, err := os.ReadDir(r.volumesDir(uid))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot remove volumes: %w", err)
	}
	var errs []error
	for _, e := range entries {
		dir := r.emptyDir(uid, e.Name())
		mounted, err := isTmpfs(dir)
		if err == nil && mounted {
			err = unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot remove volume %q: %w", e.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// tidyVolumes removes what is left of pods of which there is no record: their supervisor died before it started anything.
func (r *Runtime) tidyVolumes() error {
	entries, err := os.ReadDir(r.opts.StateDir)
	if err != nil {
		return nil // the records have told
	}
	var errs []error
	for _, e := range entries {
		uid := e.Name()
		records, err := filepath.Glob(filepath.Join(r.opts.StateDir, uid, "*.json"))
		_, hasVolumes := os.Lstat(r.volumesDir(uid))
		if err == nil && len(records) == 0 && hasVolumes == nil && r.find(uid, "") == nil {
			errs = append(errs, r.forget(uid))
		}
	}
	return errors.Join(errs...)
}

// namespace opens the mount namespace of the container, if that is one of its own; nil if it is not.
func (c *container) namespace() (*os.File, error) {
	if !c.rec.Mounts {
		return nil, nil
	}
	ns, err := os.Open(procPath(c.rec.PID, "ns/mnt"))
	if err != nil {
		return nil, err
	}
	// Only now is it known whose that is: the PID cannot have been another's while the process ran.
	if stat, err := procfs.ReadStat(c.rec.PID); err != nil || stat.Start != c.rec.Start || stat.Dead() {
		ns.Close()
		return nil, errors.New("it does not run")
	}
	return ns, nil
}

// hasMounts tells whether a process has a mount namespace of its own.
func hasMounts(pid int) bool {
	theirs, err := os.Readlink(procPath(pid, "ns/mnt"))
	ours, ownErr := os.Readlink(procPath(os.Getpid(), "ns/mnt"))
	return err == nil && ownErr == nil && theirs != ours
}
