package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// find looks where the controllers are on this machine. It finds nothing where /proc cannot be read.
func find() []hierarchy {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	own, _ := os.ReadFile("/proc/self/cgroup")
	return parse(string(mounts), string(own), func(mount string) string {
		data, _ := os.ReadFile(filepath.Join(mount, "cgroup.controllers"))
		return string(data)
	})
}

// parse reads proc_pid_mountinfo(5) and cgroups(7)' /proc/PID/cgroup. available is the list of a v2 mount's controllers:
// the kernel leaves out those that a v1 hierarchy has.
func parse(mounts, own string, available func(mount string) string) []hierarchy {
	var all []hierarchy
	seen := make(map[string]bool)
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		dash := slices.Index(f, "-")
		if dash < 6 || len(f) < dash+4 {
			continue
		}
		kind, root, mount := f[dash+1], unescape(f[3]), unescape(f[4])
		var list []string
		switch kind {
		case "cgroup":
			list = strings.Split(f[dash+3], ",")
		case "cgroup2":
			list = strings.Fields(available(mount))
		}
		h := hierarchy{v2: kind == "cgroup2"}
		for _, c := range []string{cpu, memory} {
			if slices.Contains(list, c) && !seen[c] { // the same may be mounted twice
				seen[c] = true
				h.controllers = append(h.controllers, c)
			}
		}
		if len(h.controllers) == 0 {
			continue
		}
		h.bases = bases(mount, root, ownPath(own, h))
		all = append(all, h)
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
func ownPath(own string, h hierarchy) string {
	for line := range strings.Lines(own) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		if h.v2 && f[0] == "0" || !h.v2 && slices.Contains(strings.Split(f[1], ","), h.controllers[0]) {
			return f[2]
		}
	}
	return "/"
}

// unescape undoes what the kernel does to blanks in mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
