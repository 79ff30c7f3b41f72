package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
)

// find looks where the controllers are on this machine. It finds nothing where /proc cannot be read.
func find() []hierarchy {
	mounts, _ := procfs.Mounts()
	own, _ := procfs.Cgroups(os.Getpid())
	all := parse(mounts, own, func(mount string) string {
		data, _ := os.ReadFile(filepath.Join(mount, "cgroup.controllers"))
		return string(data)
	})
	for _, h := range all {
		preferDelegated(h.bases)
	}
	return all
}

// preferDelegated moves what systemd has delegated to us to the front: it asks others not to make cgroups elsewhere
// (https://systemd.io/CGROUP_DELEGATION). It marks those of cgroup v2.
func preferDelegated(bases []string) {
	delegated := make(map[string]bool)
	for _, base := range bases {
		for _, name := range []string{"trusted.delegate", "user.delegate"} { // the second is for services of users
			value := make([]byte, 1)
			if n, err := unix.Getxattr(base, name, value); err == nil && n == 1 && value[0] == '1' {
				delegated[base] = true
			}
		}
	}
	slices.SortStableFunc(bases, func(a, b string) int {
		switch {
		case delegated[a] == delegated[b]:
			return 0
		case delegated[a]:
			return -1
		default:
			return 1
		}
	})
}

// parse finds the hierarchies that are of use. available is the list of a v2 mount's controllers: the kernel leaves out those
// that a v1 hierarchy has.
func parse(mounts []procfs.Mount, own []procfs.Cgroup, available func(mount string) string) []hierarchy {
	var all []hierarchy
	seen := make(map[string]bool) // the same may be mounted twice
	for _, m := range mounts {
		h := hierarchy{rank: rankLimits}
		list := m.Options
		useful := false
		switch m.Type {
		case "cgroup":
			for i, name := range []string{"freezer", "pids"} {
				if slices.Contains(list, name) && !seen[name] {
					h.rank, useful = min(h.rank, rankFreezer+i), true
					seen[name] = true
				}
			}
		case "cgroup2":
			list = strings.Fields(available(m.Point))
			h.v2, h.rank, useful = true, rankV2, !seen[m.Type]
			seen[m.Type] = true
		default:
			continue
		}
		for _, c := range []string{cpu, memory} {
			if slices.Contains(list, c) && !seen[c] {
				seen[c] = true
				h.controllers = append(h.controllers, c)
			}
		}
		if useful || len(h.controllers) > 0 {
			h.bases = bases(m.Point, m.Root, ownPath(own, m))
			all = append(all, h)
		}
	}
	return all
}

// bases are the mount, and the cgroups from there down to our own.
func bases(mount, root, path string) []string {
	all := []string{mount}
	if root != "/" {
		below, ok := strings.CutPrefix(path, root)
		if !ok {
			return all
		}
		path = below
	}
	dir := mount
	for _, name := range strings.Split(path, "/") {
		if name == ".." {
			return all // outside of our cgroup namespace
		}
		if name != "" {
			dir = filepath.Join(dir, name)
			all = append(all, dir)
		}
	}
	return all
}

// ownPath is the cgroup that we are in.
func ownPath(own []procfs.Cgroup, m procfs.Mount) string {
	for _, c := range own {
		v2 := len(c.Controllers) == 0
		if v2 && m.Type == "cgroup2" || !v2 && m.Type == "cgroup" && slices.Contains(m.Options, c.Controllers[0]) {
			return c.Path
		}
	}
	return "/"
}
