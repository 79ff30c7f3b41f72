package process

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime/process/cgroup"
)

// checkLimits makes the pod's cgroup if one of its containers needs one, and fails where that cannot be: nothing runs
// without the limits that it was given. Requests alone need none: a weight means something among those that
// have one, and the rest of the machine has none.
func (r *Runtime) checkLimits(pod *corev1.Pod) error {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		l := cgroup.Of(pod, &c)
		if l.None() {
			continue
		}
		if err := r.cgroups.Check(cgroup.Pod{UID: string(pod.UID), Limits: cgroup.OfPod(pod)}, l); err != nil {
			return limitsError(c.Name, err)
		}
	}
	return nil
}

// group makes the cgroup of a container. One without limits does without where none can be made.
func (r *Runtime) group(pod *corev1.Pod, c *corev1.Container, restart int) (cgroup.Group, error) {
	l := cgroup.Of(pod, c)
	g, err := r.cgroups.New(cgroup.Pod{UID: string(pod.UID), Limits: cgroup.OfPod(pod)}, groupName(c.Name, restart), l)
	if l.None() {
		return g, nil
	}
	return g, err
}

// groupName is unique for each start of a container, so that what the kernel counted is about this one.
func groupName(container string, restart int) string { return container + "-" + strconv.Itoa(restart) }

// checkGroup holds for a cgroup that a record names: we kill what is in it.
func (r *Runtime) checkGroup(rec record) error {
	want := filepath.Join("/kubecrank", r.root, "pod"+rec.UID, groupName(rec.Container, rec.Restart))
	for _, d := range rec.Cgroup {
		at := len(d.Path) - len(want)
		if at < 0 || d.Path[at:] != want || filepath.Clean(d.Path) != d.Path || !filepath.IsAbs(d.Path) {
			return errors.New("it names another cgroup")
		}
	}
	return nil
}

// killGroup kills what is in the cgroup of a container whose own process, the leader, has ended. The error names what
// does not end before the deadline.
func killGroup(g cgroup.Group, leader int, deadline time.Time) error {
	for {
		whole := g.Kill()
		if len(inGroup(g, leader)) == 0 {
			return nil
		}
		if !whole {
			g.Freeze()
		}
		pidfds := pinGroup(g, leader)
		errs := signalAll(pidfds)
		if !whole {
			g.Thaw()
		}
		err := errors.Join(errs, awaitAll(pidfds, deadline))
		if err != nil && time.Now().After(deadline) {
			return err
		}
	}
}

// inGroup are the processes in a cgroup that still run.
func inGroup(g cgroup.Group, leader int) []int {
	return slices.DeleteFunc(g.PIDs(), func(pid int) bool {
		// Ourselves: a thread of ours that starts something there.
		return pid == leader || pid == os.Getpid() || !procfs.Runs(pid)
	})
}

// pinGroup opens a pidfd for each process in a cgroup, and keeps those of which the process was there when its pidfd
// was open already.
func pinGroup(g cgroup.Group, leader int) map[int]int {
	pidfds := make(map[int]int)
	for _, pid := range inGroup(g, leader) {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			pidfds[pid] = fd
		}
	}
	now := inGroup(g, leader)
	for pid, fd := range pidfds {
		if !slices.Contains(now, pid) {
			_ = unix.Close(fd)
			delete(pidfds, pid)
		}
	}
	return pidfds
}

// tidyGroups removes the cgroups that no container runs in: their supervisor died before it could.
func (r *Runtime) tidyGroups(deadline time.Time) error {
	claimed := make(map[string]bool)
	pods := make(map[string]bool)
	for _, c := range r.running() {
		claimed[c.rec.UID+"/"+groupName(c.rec.Container, c.rec.Restart)] = true
		pods[c.rec.UID] = true
	}
	var errs []error
	for uid, groups := range r.cgroups.Groups() {
		for name, g := range groups {
			if !claimed[uid+"/"+name] {
				errs = append(errs, killGroup(g, 0, deadline), g.Remove())
			}
		}
		if !pods[uid] {
			errs = append(errs, r.cgroups.RemovePod(uid))
		}
	}
	return errors.Join(errs...)
}
