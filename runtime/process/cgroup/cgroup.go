// Package cgroup keeps the processes of a container together, whatever they do, limits what they use, and tells whom
// the kernel killed for it. It works with cgroup v1, v2, and machines that have some controllers here and some there.
//
//	manifest --Of, OfPod--> Limits --Tree.New--> Group: directories, one for each hierarchy that limits, and one to keep
//	                                               |
//	          Enter, Open, Join (the process starts in it), PIDs, Kill, Freeze, Thaw, OOMKills, Remove
//
// The directories are below a cgroup above our own that systemd has delegated, or below the place where the hierarchy is
// mounted, or below the highest cgroup above our own in which we may make some (a user's):
//
//	kubecrank/<hash of the root>/pod<uid>/<container>-<restart count>
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Group is the cgroup of one container: a directory in each hierarchy that limits it. The empty one is none.
type Group []Dir

// Dir is a cgroup in one hierarchy.
type Dir struct {
	Path string `json:"path"`
	V2   bool   `json:"v2,omitempty"`
}

// Enter puts the calling thread into the group, as far as it is of cgroup v1: what the thread forks is in it from the
// beginning. The thread must be locked and end soon. The error names the file.
func (g Group) Enter() error {
	for _, d := range g {
		if d.V2 {
			continue
		}
		if err := write(filepath.Join(d.Path, "tasks"), "0"); err != nil {
			return err
		}
	}
	return nil
}

// Join puts a process that already runs into the group, as far as it is of cgroup v2.
func (g Group) Join(pid int) error {
	for _, d := range g {
		if !d.V2 {
			continue
		}
		if err := write(filepath.Join(d.Path, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return err
		}
	}
	return nil
}

// Open opens the directory of cgroup v2, for clone3(2) to start a process in it; nil if there is none.
func (g Group) Open() (*os.File, error) {
	for _, d := range g {
		if d.V2 {
			return os.Open(d.Path)
		}
	}
	return nil, nil
}

// PIDs are the processes in the group and in those that it made inside. A thread that is in it (see Enter) shows
// as its process.
func (g Group) PIDs() []int {
	var pids []int
	for _, d := range g {
		for _, dir := range subtree(d.Path) {
			data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			if err != nil {
				continue // it is gone
			}
			for _, line := range strings.Fields(string(data)) {
				if pid, err := strconv.Atoi(line); err == nil && pid > 0 {
					pids = append(pids, pid)
				}
			}
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

// Kill kills all that is in the group at once, where the kernel can do that (cgroup v2, Linux 5.14), and tells whether
// it could.
func (g Group) Kill() bool {
	killed := false
	for _, d := range g {
		if d.V2 && write(filepath.Join(d.Path, "cgroup.kill"), "1") == nil {
			killed = true
		}
	}
	return killed
}

// Freeze stops all that is in the group, where there is a freezer: nothing forks while it is being killed. Threads of
// ours that start something there stop too, so Thaw must follow at once.
func (g Group) Freeze() {
	for _, d := range g {
		d.freezer(d.Path, true)
	}
}

// Thaw undoes Freeze, and what processes in the group have frozen themselves: in cgroup v1 they could not be killed.
func (g Group) Thaw() {
	for _, d := range g {
		for _, dir := range subtree(d.Path) {
			d.freezer(dir, false)
		}
	}
}

// freezer does nothing in hierarchies that have none. What is left is seen in PIDs.
func (d Dir) freezer(dir string, frozen bool) {
	switch {
	case d.V2 && frozen:
		_ = write(filepath.Join(dir, "cgroup.freeze"), "1")
	case d.V2:
		_ = write(filepath.Join(dir, "cgroup.freeze"), "0")
	case frozen:
		_ = write(filepath.Join(dir, "freezer.state"), "FROZEN")
	default:
		_ = write(filepath.Join(dir, "freezer.state"), "THAWED")
	}
}

// DiesWhole tells whether all that is in the group is killed when its memory runs out (cgroup v2). A process that still
// shares its memory with us must not be in it then.
func (g Group) DiesWhole() bool {
	return slices.ContainsFunc(g, func(d Dir) bool {
		data, err := os.ReadFile(filepath.Join(d.Path, "memory.oom.group"))
		return d.V2 && err == nil && strings.TrimSpace(string(data)) == "1"
	})
}

// OOMKills is how many of its processes the kernel killed because memory ran out; 0 also where it does not count.
func (g Group) OOMKills() int {
	kills := 0
	for _, d := range g {
		name := "memory.oom_control"
		if d.V2 {
			name = "memory.events"
		}
		data, err := os.ReadFile(filepath.Join(d.Path, name))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
				n, _ := strconv.Atoi(strings.TrimSpace(count))
				kills = max(kills, n)
			}
		}
	}
	return kills
}

// removeTimeout is how long the kernel may hold on to a group that nothing is in any more.
const removeTimeout = 200 * time.Millisecond

// Remove removes the group, in which nothing may run. A group that is gone is no error.
func (g Group) Remove() error {
	var errs []error
	for _, d := range g {
		if err := removeTree(d.Path); err != nil {
			errs = append(errs, fmt.Errorf("cannot remove cgroup: %w", err))
		}
	}
	return errors.Join(errs...)
}

// removeTree removes a cgroup and those below it. The files in them go along.
func removeTree(path string) error {
	if err := unix.Rmdir(path); err == nil || errors.Is(err, unix.ENOENT) {
		return nil // as it is nearly always
	}
	dirs := subtree(path)
	slices.Reverse(dirs)
	for _, dir := range dirs {
		err := unix.Rmdir(dir)
		// The thread that forked the container may be ending this moment.
		for end := time.Now().Add(removeTimeout); errors.Is(err, unix.EBUSY) && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
			err = unix.Rmdir(dir)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
		}
	}
	return nil
}

// subtree is a directory and all below it, parents first.
func subtree(path string) []string {
	dirs := []string{path}
	entries, err := os.ReadDir(path)
	if err != nil {
		return dirs // it is gone, or cannot be looked at: rmdir tells
	}
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, subtree(filepath.Join(path, e.Name()))...)
		}
	}
	return dirs
}

// write writes to a file of the kernel's, which must exist: one write, no truncation.
func write(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
