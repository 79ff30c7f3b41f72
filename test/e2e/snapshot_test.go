//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
)

// snapshot is what init may change and reset must restore: files, processes,
// cgroups and listening sockets, one line each.
func (n *node) snapshot() []string {
	n.t.Helper()
	lines := tree(n.t, n.base)
	for _, dir := range hostPaths() {
		if n.root != "" { // below a root nothing else is touched
			lines = append(lines, entries(dir)...)
		}
	}
	for _, p := range n.processes() {
		lines = append(lines, "process "+p.String())
	}
	for _, dir := range n.cgroups() {
		lines = append(lines, "cgroup "+dir)
	}
	return append(lines, n.listeners()...)
}

// hostPaths are the default paths: a run below a root leaves them alone.
func hostPaths() []string {
	return []string{"/etc/kubernetes", "/var/lib/etcd", "/var/lib/kubecrank", "/run/kubecrank", "/var/log/pods",
		"/var/log/containers", "/etc/systemd/system", "/etc/cni", "/var/lib/kubelet"}
}

// entries lists what is in a directory, without looking into it.
func entries(dir string) []string {
	found, err := os.ReadDir(dir)
	if err != nil {
		return []string{dir + " is not there"}
	}
	lines := make([]string, 0, len(found))
	for _, e := range found {
		lines = append(lines, filepath.Join(dir, e.Name()))
	}
	return lines
}

// tree lists path, mode, owner and checksum of everything below dir.
func tree(t interface {
	Helper()
	Fatal(...any)
}, dir string) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %s", path, info.Mode())
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			line += fmt.Sprintf(" %d:%d", st.Uid, st.Gid)
		}
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(data))
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + to
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// difference says what is in one snapshot only, "" when they are the same.
func difference(before, after []string) string {
	var b strings.Builder
	for _, line := range before {
		if !slices.Contains(after, line) {
			fmt.Fprintln(&b, "gone:", line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			fmt.Fprintln(&b, "new: ", line)
		}
	}
	return b.String()
}

// process is a process that has to do with the node.
type process struct {
	pid  int
	args []string // none while it is in the middle of execve
}

func (p process) String() string { return fmt.Sprintf("%d %s", p.pid, strings.Join(p.args, " ")) }

// processes are those that run a program from below the root, or name the root
// among their arguments, or have a file open there: whatever a component may
// have started is one of them. For the default paths the root is /var/lib/kubecrank.
func (n *node) processes() []process {
	n.t.Helper()
	root := n.root
	if root == "" {
		root = "/var/lib/kubecrank"
	}
	pids, err := procfs.PIDs()
	if err != nil {
		n.t.Fatal(err)
	}
	var found []process
	for _, pid := range pids {
		args, _ := procfs.Args(pid) // none: what it has open tells
		ours := slices.ContainsFunc(args, func(arg string) bool { return names(arg, root) }) || opens(pid, root)
		if ours && pid != os.Getpid() && procfs.Runs(pid) { // a zombie is its parent's business
			found = append(found, process{pid, args})
		}
	}
	return found
}

// names reports whether an argument is a path at or below root, or gives one to a
// flag. Another control plane's root may end in the same directories: only a
// path that starts with this root is ours, so that no stranger is killed.
func names(arg, root string) bool {
	if _, value, ok := strings.Cut(arg, "="); ok {
		arg = value
	}
	return arg == root || strings.HasPrefix(arg, root+"/")
}

// opens reports whether a process runs or has open anything below root. Of what is gone, or another user's, nothing is known.
func opens(pid int, root string) bool {
	files, _ := procfs.Files(pid)
	exe, _ := procfs.Exe(pid)
	cwd, _ := procfs.Cwd(pid)
	paths := append(slices.Collect(maps.Values(files)), exe, cwd)
	return slices.ContainsFunc(paths, func(path string) bool { return strings.HasPrefix(path, root+"/") })
}

// listeners are the node's TCP ports that somebody listens on, and unix sockets below its root.
func (n *node) listeners() []string {
	n.t.Helper()
	var lines []string
	for _, l := range procfs.Listeners() {
		for name, port := range n.ports() {
			if int(l.Address.Port()) == port {
				lines = append(lines, fmt.Sprintf("listens %s %d", name, port))
			}
		}
	}
	for _, path := range procfs.UnixSockets() {
		if n.root != "" && strings.HasPrefix(path, n.root) {
			lines = append(lines, "listens "+path)
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// cgroups are the node's own in each hierarchy: kubecrank/<hash of the root>.
func (n *node) cgroups() []string {
	n.t.Helper()
	sum := sha256.Sum256([]byte(filepath.Join("/", n.root)))
	name := hex.EncodeToString(sum[:8])
	mounts, err := procfs.Mounts()
	if err != nil {
		n.t.Fatal(err)
	}
	var dirs []string
	for _, m := range mounts {
		if m.Type != "cgroup" && m.Type != "cgroup2" {
			continue
		}
		_ = filepath.WalkDir(m.Point, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() || d.Name() != name {
				return nil // what is gone by now is none
			}
			dirs = append(dirs, path)
			return fs.SkipDir
		})
	}
	return dirs
}

// removeCgroups removes those of a supervisor that was killed together with its pods.
func (n *node) removeCgroups() {
	n.t.Helper()
	for _, top := range n.cgroups() {
		var dirs []string
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			n.eventually(10*time.Second, "a cgroup can be removed", func() error {
				if err := syscall.Rmdir(dir); !errors.Is(err, syscall.ENOENT) {
					return err
				}
				return nil
			})
		}
		_ = syscall.Rmdir(filepath.Dir(top)) // of all roots: it may be in use
	}
}
