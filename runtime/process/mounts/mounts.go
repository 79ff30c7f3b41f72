// Package mounts shows a container the host's file system with changes: volumes at other places, read-only ones,
// a root that cannot be written. It is done in a mount namespace of the container's own, so nothing of it is seen outside.
//
//	View.Enter on a thread: unshare -> clone the sources -> root -> attach at the targets -> flags -> hide
//	                           |                                                                   |
//	                           +-- what the host mounts later still arrives (MS_SLAVE)             +--> fork, exec
//
// All sources are opened before anything is attached: a volume never shows what another one put in its way.
package mounts

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/procfs"
)

// Mount is one volume in one container.
type Mount struct {
	Volume   string // its name, for errors
	Source   string // absolute path of a directory or file of the host
	SubPath  string // below Source, made if it is missing; "" for Source itself
	Target   string // absolute path at which the container sees it
	ReadOnly bool
	// Recursive makes also read-only what is mounted below Source (Linux 5.12).
	Recursive bool
	// Follow lets in what the host mounts below Source later.
	Follow bool
}

// View is what a container sees.
type View struct {
	Mounts       []Mount
	ReadOnlyRoot bool   // all but the mounts, /proc and /dev
	Hide         string // directory: what is mounted below it (volumes of others) is gone
	Scratch      string // an empty directory: needed where a target's first component is not there
}

// Enter puts the calling thread into a namespace with that view. The thread must be locked, and end after it has forked the
// container. The error names the volume.
func (v *View) Enter() error {
	if err := private(); err != nil {
		return err
	}
	trees := make([]int, len(v.Mounts))
	for i := range trees {
		trees[i] = -1
	}
	defer closeAll(trees)
	for i, m := range v.Mounts {
		tree, err := m.clone()
		if err != nil {
			return fmt.Errorf("cannot mount volume %q: %w", m.Volume, err)
		}
		trees[i] = tree
	}
	made, err := v.makeRoot()
	if err != nil {
		return err
	}
	if v.ReadOnlyRoot {
		if err := lockRoot(len(made) > 0); err != nil {
			return err
		}
	}
	order := make([]int, len(v.Mounts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { // a volume inside another one comes after it
		return cmp.Compare(strings.Count(v.Mounts[a].Target, "/"), strings.Count(v.Mounts[b].Target, "/"))
	})
	for _, i := range order {
		m := v.Mounts[i]
		if err := v.attach(trees, i, made); err != nil {
			return fmt.Errorf("cannot mount volume %q at %s: %w", m.Volume, m.Target, err)
		}
	}
	if len(made) > 0 {
		if err := readOnly(unix.AT_FDCWD, "/", 0); err != nil {
			return fmt.Errorf("cannot make the root read-only: %w", err)
		}
	}
	return v.hide()
}

// Possible tries on the calling thread what Enter does, and changes nothing for others. The thread must be
// locked and end soon.
func Possible() error {
	if os.Geteuid() != 0 {
		return errors.New("the supervisor is not root")
	}
	err := private()
	if err == nil {
		err = attachRoot()
	}
	if err != nil {
		return fmt.Errorf("no mounts can be made here: %w", err)
	}
	return nil
}

// attachRoot puts the root on itself.
func attachRoot() error {
	tree, err := clone(unix.AT_FDCWD, "/", 0)
	if err != nil {
		return err
	}
	defer closeAll([]int{tree})
	return attachAt(tree, "/")
}

// private gives the thread a mount namespace of its own, from which nothing gets out.
func private() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	return nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// clone opens the source and returns a copy of its mount that is attached nowhere.
func (m Mount) clone() (int, error) {
	source, err := m.open()
	if err != nil {
		return -1, err
	}
	defer closeAll([]int{source})
	return clone(source, "", unix.AT_RECURSIVE|unix.AT_EMPTY_PATH)
}

func clone(dir int, path string, flags uint) (int, error) {
	fd, err := unix.OpenTree(dir, path, flags|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("open_tree", err)
	}
	return fd, nil
}

func attachAt(tree int, target string) error {
	err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_SYMLINKS)
	return os.NewSyscallError("move_mount", err)
}

// attach puts a cloned mount at its target.
func (v *View) attach(trees []int, i int, made map[string]bool) error {
	tree, m := trees[i], v.Mounts[i]
	isDir, err := isDirectory(tree)
	if err != nil {
		return err
	}
	place, err := v.place(trees, m, isDir, made[first(m.Target)])
	if err != nil {
		return err
	}
	defer closeAll([]int{place})
	if placeIsDir, err := isDirectory(place); err != nil {
		return err
	} else if placeIsDir != isDir {
		return errors.New("one of volume and mountPath is a directory, and the other is not")
	}
	flags := unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	if err := unix.MoveMount(tree, "", place, "", flags); err != nil {
		return os.NewSyscallError("move_mount", err)
	}
	at := fmt.Sprintf("/proc/self/fd/%d", tree)
	if !m.Follow {
		if err := unix.Mount("", at, "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return os.NewSyscallError("mount", err)
		}
	}
	switch {
	case m.Recursive:
		return readOnly(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	case m.ReadOnly:
		return readOnly(tree, "", unix.AT_EMPTY_PATH)
	}
	return nil
}

// place opens the target. In another volume it is made if it is missing, and opened without leaving that volume: whoever
// can write to it must not choose where on the host something is made. In a root of our own it is made too.
func (v *View) place(trees []int, m Mount, isDir, ownRoot bool) (int, error) {
	if outer := v.outer(m); outer >= 0 {
		below := strings.TrimPrefix(strings.TrimPrefix(m.Target, v.Mounts[outer].Target), "/")
		fd, err := beneath(trees[outer], below, unix.O_PATH)
		if errors.Is(err, unix.ENOENT) {
			if err = makePlace(trees[outer], below, isDir); err == nil {
				fd, err = beneath(trees[outer], below, unix.O_PATH)
			}
		}
		return fd, explain(err, "mountPath", m.Target, v.Mounts[outer].Target)
	}
	fd, err := unix.Open(m.Target, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		if !ownRoot {
			return -1, missing{m.Target, isDir}
		}
		if err := makeTarget(m.Target, isDir); err != nil {
			return -1, err
		}
		fd, err = unix.Open(m.Target, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	return fd, explain(err, "mountPath", m.Target, "")
}

// outer is the innermost other volume in which the target is, -1 for none. It has been attached before.
func (v *View) outer(m Mount) int {
	found := -1
	for i, o := range v.Mounts {
		if o.Target != m.Target && below(m.Target, o.Target) && (found < 0 || len(o.Target) > len(v.Mounts[found].Target)) {
			found = i
		}
	}
	return found
}

// missing is a target that is not there. Nothing is made on the host for it.
type missing struct {
	target string
	isDir  bool
}

func (e missing) Error() string { return "this machine has nothing there to mount on" }

func (e missing) Hint() string {
	if e.isDir {
		return "make an empty directory " + e.target + ", or choose a mountPath that exists or whose first component does not"
	}
	return "make an empty file " + e.target + ", or choose a mountPath that exists or whose first component does not"
}

func isDirectory(fd int) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, os.NewSyscallError("fstat", err)
	}
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

// makeTarget makes a place to mount on, in a volume or in a root of our own.
func makeTarget(path string, isDir bool) error {
	if isDir {
		return durable.MkdirAll(path, 0o755)
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Chmod(0o644) // whatever the umask
}

// readOnly makes one mount read-only and leaves its other flags as they are.
func readOnly(dir int, path string, flags uint) error {
	err := unix.MountSetattr(dir, path, flags, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if !errors.Is(err, unix.ENOSYS) {
		return os.NewSyscallError("mount_setattr", err)
	}
	if flags&unix.AT_RECURSIVE != 0 {
		return errors.New("recursiveReadOnly needs Linux 5.12")
	}
	if path == "" {
		path = fmt.Sprintf("/proc/self/fd/%d", dir)
	}
	return remountReadOnly(path)
}

// remountReadOnly is how it is done before Linux 5.12: all flags are set anew.
func remountReadOnly(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return os.NewSyscallError("statfs", err)
	}
	flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY)
	for has, flag := range map[int64]uintptr{
		unix.ST_NOSUID: unix.MS_NOSUID, unix.ST_NODEV: unix.MS_NODEV, unix.ST_NOEXEC: unix.MS_NOEXEC,
		unix.ST_NOATIME: unix.MS_NOATIME, unix.ST_NODIRATIME: unix.MS_NODIRATIME, unix.ST_RELATIME: unix.MS_RELATIME,
	} {
		if st.Flags&has != 0 {
			flags |= flag
		}
	}
	return os.NewSyscallError("mount", unix.Mount("", path, "", flags, ""))
}

// hide takes away what is mounted below a directory, the last one first.
func (v *View) hide() error {
	if v.Hide == "" {
		return nil
	}
	points, err := points()
	if err != nil {
		return err
	}
	slices.Reverse(points)
	for _, p := range points {
		if p == v.Hide || !below(p, v.Hide) {
			continue
		}
		if err := unix.Unmount(p, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("cannot hide %s: %w", p, err) // EINVAL: it went with one above it
		}
	}
	return nil
}

// points are where something is mounted, in the order in which it was.
func points() ([]string, error) {
	mounts, err := procfs.Mounts()
	var all []string
	for _, m := range mounts {
		all = append(all, m.Point)
	}
	return all, err
}
