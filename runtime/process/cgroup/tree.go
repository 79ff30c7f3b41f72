package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/durable"
)

// The controllers that limit something here.
const (
	cpu    = "cpu"
	memory = "memory"
)

// Tree is where groups are made: kubecrank/<name> in each hierarchy. It is safe for concurrent use.
type Tree struct {
	name        string
	hierarchies func() []hierarchy      // found when first needed
	mkdir       func(path string) error // durable.Mkdir, but for tests without a kernel that does more
	mu          sync.Mutex              // one makes or removes at a time: a parent must not go while a child is made
}

// hierarchy is a tree of cgroups.
type hierarchy struct {
	controllers []string // of those above
	bases       []string // directories below which a group can be, best first
	v2          bool
	rank        int // by how well it keeps a container's processes together: the lowest is taken
}

// The ranks of hierarchies. Cgroup v2 kills a group at once, and a process starts in it without a detour; the freezer
// holds a group while it is killed. The others only list who is in it.
const (
	rankV2 = iota
	rankFreezer
	rankPIDs
	rankLimits // cpu and memory
)

// NewTree looks for nothing yet. The name is a part of paths: a hash of the installation's root. The zero Tree is that of
// a machine without cgroups.
func NewTree(name string) *Tree {
	return &Tree{name: name, hierarchies: sync.OnceValue(find), mkdir: func(path string) error { return durable.Mkdir(path, 0o755) }}
}

// Pod is a pod that groups are made for.
type Pod struct {
	UID string
	Limits
}

func (p Pod) dir() string { return "pod" + p.UID }

// Check tells whether groups for the pod can be made, by making the pod's own.
func (t *Tree) Check(pod Pod, l Limits) error {
	_, err := t.make(pod, "", l)
	return err
}

// New makes the group of a container, which must not exist. A container without limits has one too, in the hierarchy that
// keeps its processes together best; the error says why there is none.
func (t *Tree) New(pod Pod, container string, l Limits) (Group, error) {
	return t.make(pod, container, l)
}

// make makes the group in each hierarchy that has something to set. What limits must be there; a weight may be missing.
func (t *Tree) make(pod Pod, container string, l Limits) (Group, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	group, err := t.makeAll(pod, container, l)
	if err != nil {
		err = errors.Join(err, group.Remove())
		t.each(func(top string, _ bool) { prune(filepath.Join(top, pod.dir(), container)) })
		return nil, err
	}
	return group, nil
}

// makeAll returns what it has made beside an error.
func (t *Tree) makeAll(pod Pod, container string, l Limits) (Group, error) {
	var group Group
	if !l.None() || !pod.None() {
		var err error
		if group, err = t.limit(pod, container, l); err != nil {
			return group, err
		}
	}
	if container == "" {
		return group, nil
	}
	kept, err := t.keep(group, pod, container)
	if err != nil && len(group) > 0 {
		return group, nil // it has its limits, and those groups list who is in them
	}
	return append(group, kept...), err
}

// limit makes the group in each hierarchy that has something to set.
func (t *Tree) limit(pod Pod, container string, l Limits) (Group, error) {
	needed := map[string]bool{memory: l.Memory > 0 || pod.Memory > 0, cpu: l.MilliCPU > 0 || pod.MilliCPU > 0}
	machine := Limits{Shares: shares(int64(goruntime.NumCPU()) * 1000)} // as the kubelet's kubepods
	levels := []level{{"kubecrank", machine}, {t.name, machine}, {pod.dir(), pod.Limits}}
	if container != "" {
		levels = append(levels, level{container, l})
	}
	var group Group
	for _, h := range t.all() {
		must := slices.ContainsFunc(h.controllers, func(c string) bool { return needed[c] })
		if !must && !slices.Contains(h.controllers, cpu) {
			continue // no weight to set there either
		}
		dir, err := t.makeIn(h, levels)
		if err != nil && must {
			return group, fmt.Errorf("cannot limit %s: %w", strings.Join(h.controllers, " and "), err)
		}
		if err != nil {
			continue
		}
		group = append(group, Dir{Path: dir, V2: h.v2})
		for _, c := range h.controllers {
			delete(needed, c)
		}
	}
	for _, c := range []string{cpu, memory} {
		if needed[c] {
			return group, fmt.Errorf("cannot limit %s: this machine has no cgroups for it", c)
		}
	}
	return group, nil
}

// keep makes the group in the first hierarchy where it can be, by rank; it returns none if the group is in that one already.
func (t *Tree) keep(group Group, pod Pod, container string) (Group, error) {
	levels := []level{{name: "kubecrank"}, {name: t.name}, {name: pod.dir()}, {name: container}}
	ranked := slices.Clone(t.all())
	slices.SortStableFunc(ranked, func(a, b hierarchy) int { return a.rank - b.rank })
	first := errors.New("this machine has none")
	for i, h := range ranked {
		if slices.ContainsFunc(group, func(d Dir) bool { return h.holds(d.Path) }) {
			return nil, nil
		}
		h.controllers = nil
		dir, err := t.makeIn(h, levels)
		if err == nil {
			return Group{{Path: dir, V2: h.v2}}, nil
		}
		if i == 0 {
			first = err
		}
	}
	return nil, fmt.Errorf("cannot make a cgroup: %w", first)
}

// holds tells whether a group is in the hierarchy.
func (h hierarchy) holds(path string) bool {
	return slices.ContainsFunc(h.bases, func(base string) bool { return strings.HasPrefix(path, filepath.Join(base, "kubecrank")+"/") })
}

// all are the machine's hierarchies.
func (t *Tree) all() []hierarchy {
	if t.hierarchies == nil {
		return nil
	}
	return t.hierarchies()
}

// level is one directory on the way to a group.
type level struct {
	name string
	Limits
}

// makeIn makes the group below the first base where that is possible, and tells why it is not possible in the first one.
func (t *Tree) makeIn(h hierarchy, levels []level) (string, error) {
	var first error
	for _, base := range h.bases {
		dir, err := t.build(h, base, levels)
		for tries := 0; tries < 10 && errors.Is(err, fs.ErrNotExist); tries++ {
			dir, err = t.build(h, base, levels) // another root's supervisor removed the common one, which was empty
		}
		if err == nil {
			return dir, nil
		}
		if first == nil {
			first = err
		}
	}
	return "", first
}

func (t *Tree) build(h hierarchy, base string, levels []level) (string, error) {
	dir := base
	for _, l := range levels {
		if h.v2 {
			if err := enable(dir, h.controllers); err != nil {
				return "", err
			}
		}
		dir = filepath.Join(dir, l.name)
		err := t.mkdir(dir)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		if err := enforceBelow(dir); err != nil {
			return "", err
		}
		for _, c := range h.controllers {
			for _, s := range l.settings(c, h.v2) {
				err := write(filepath.Join(dir, s.file), s.value)
				if err != nil && (!s.optional || !errors.Is(err, fs.ErrNotExist)) {
					return "", fmt.Errorf("cannot set %s to %s: %w", s.file, s.value, err)
				}
			}
		}
	}
	return dir, nil
}

// enforceBelow makes a limit hold for the groups below too, which in cgroup v1 was a choice before Linux 5.11.
func enforceBelow(dir string) error {
	path := filepath.Join(dir, "memory.use_hierarchy")
	data, err := os.ReadFile(path)
	if err != nil || strings.TrimSpace(string(data)) == "1" {
		return nil // there is no such file in the other hierarchies
	}
	return write(path, "1")
}

// enable makes controllers of cgroup v2 available below a directory.
func enable(dir string, controllers []string) error {
	path := filepath.Join(dir, "cgroup.subtree_control")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var missing []string
	for _, c := range controllers {
		if !slices.Contains(strings.Fields(string(data)), c) {
			missing = append(missing, "+"+c)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	err = write(path, strings.Join(missing, " "))
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%w: processes are in that cgroup itself", err)
	}
	return err
}

// RemovePod removes the pod's group with all in it, where nothing may run any more, and those above it once they are empty.
func (t *Tree) RemovePod(uid string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	t.each(func(top string, _ bool) {
		if _, err := os.Lstat(top); err != nil {
			return
		}
		if err := removeTree(filepath.Join(top, Pod{UID: uid}.dir())); err != nil {
			errs = append(errs, fmt.Errorf("cannot remove cgroup: %w", err))
		}
		prune(top)
	})
	return errors.Join(errs...)
}

// prune removes a group of ours and those above it, as far as nothing is in them: other containers, pods, roots.
func prune(path string) {
	for {
		if err := unix.Rmdir(path); err != nil && !errors.Is(err, unix.ENOENT) || filepath.Base(path) == "kubecrank" {
			return
		}
		path = filepath.Dir(path)
	}
}

// Groups returns the groups that are there, by the pod's UID and the container.
func (t *Tree) Groups() map[string]map[string]Group {
	pods := make(map[string]map[string]Group)
	t.each(func(top string, v2 bool) {
		for _, path := range subtree(top)[1:] {
			names := strings.Split(strings.TrimPrefix(path, top+"/"), "/")
			uid, ok := strings.CutPrefix(names[0], "pod")
			if !ok || len(names) > 2 {
				continue
			}
			if pods[uid] == nil {
				pods[uid] = make(map[string]Group)
			}
			if len(names) == 2 {
				pods[uid][names[1]] = append(pods[uid][names[1]], Dir{Path: path, V2: v2})
			}
		}
	})
	return pods
}

// each calls f with every directory that may be the tree's.
func (t *Tree) each(f func(top string, v2 bool)) {
	for _, h := range t.all() {
		for _, base := range h.bases {
			f(filepath.Join(base, "kubecrank", t.name), h.v2)
		}
	}
}
