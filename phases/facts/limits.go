package facts

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
)

// Limits are what the kernel allows this user's processes.
type Limits struct {
	// OpenFiles is the hard limit: Go programs raise the soft one to it when they start.
	OpenFiles uint64
	// InotifyInstances and InotifyWatches are the limits of a user, shared with all of that user's programs; 0: unknown.
	InotifyInstances, InotifyWatches uint64
	// InotifyError is why this user cannot watch one more file now, or "".
	InotifyError string
}

func limits() Limits {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		files.Max = 0
	}
	return Limits{
		OpenFiles:        files.Max,
		InotifyInstances: sysctl("fs/inotify/max_user_instances"),
		InotifyWatches:   sysctl("fs/inotify/max_user_watches"),
		InotifyError:     tryInotify(),
	}
}

// tryInotify watches a directory for a moment. How much of the limits is used up nobody tells otherwise.
func tryInotify() string {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	if _, err := unix.InotifyAddWatch(fd, "/proc", unix.IN_CREATE); err != nil {
		return err.Error()
	}
	return ""
}

// sysctl reads a number of /proc/sys, 0 if it cannot be read.
func sysctl(name string) uint64 {
	text, _ := procfs.Sysctl(name)
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

// firstLine is the first line of a file, "" if it cannot be read.
func firstLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

func kernelRelease() string {
	release, _ := procfs.Sysctl("kernel/osrelease") // "": not known
	return release
}

// swapOn is kubeadm's SwapCheck.
func swapOn() bool {
	on, err := procfs.Swapping()
	return err == nil && on
}

// clockUnsynchronized says whether the kernel has not been told for hours what time it is (adjtimex(2)). Asking changes nothing.
func clockUnsynchronized() bool {
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	return err == nil && t.Status&unix.STA_UNSYNC != 0
}

// firewalldRuns asks no init system, as kubeadm does: a service of systemd's that is active has
// a control group, and without systemd the daemon leaves a PID file.
func firewalldRuns() bool {
	for _, group := range []string{
		"/sys/fs/cgroup/system.slice/firewalld.service", "/sys/fs/cgroup/systemd/system.slice/firewalld.service",
		"/sys/fs/cgroup/unified/system.slice/firewalld.service",
	} {
		if firstLine(filepath.Join(group, "cgroup.procs")) != "" {
			return true
		}
	}
	pid, err := strconv.Atoi(firstLine("/run/firewalld.pid"))
	if err != nil {
		return false
	}
	name, err := procfs.Comm(pid)
	return err == nil && strings.HasPrefix(name, "firewalld")
}
