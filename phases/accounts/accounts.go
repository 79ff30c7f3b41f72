// Package accounts works out whom the components run as with kubeadm's feature
// gate RootlessControlPlane (cmd/kubeadm/app/util/users, KEP-2568): kubeadm-etcd,
// kubeadm-kas, kubeadm-kcm and kubeadm-ks, each with a group of its own, and a group
// that may read the service account key.
//
//	/etc/passwd, /etc/group, /etc/login.defs --Choose--> Set --Users--> the manifests
//	a root directory                         --Below-->  |
//	                                                     +--the lines that are to be added
//
// It is pure: facts reads the files, and plan steps write them.
package accounts

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/kubecrank/kubecrank/manifests"
)

// The names, kubeadm's (cmd/kubeadm/app/constants).
const (
	Etcd              = "kubeadm-etcd"
	APIServer         = "kubeadm-kas"
	ControllerManager = "kubeadm-kcm"
	Scheduler         = "kubeadm-ks"
	KeyReaders        = "kubeadm-sa-key-readers"
)

// Entry is a user or a group.
type Entry struct {
	Name string
	ID   int64
	GID  int64  // of a user
	Line string // of passwd(5) or group(5); "" below a root, where nobody is listed
}

// Set is all users and groups, in kubeadm's order. The zero value is that the feature gate is off.
type Set struct{ Users, Groups []Entry }

func userNames() []string { return []string{Etcd, APIServer, ControllerManager, Scheduler} }

// members of a group, as kubeadm writes them.
func members(group string) string {
	if group == KeyReaders {
		return APIServer + "," + ControllerManager
	}
	return group
}

// Manifests is the set as manifests need it; nil for the zero value.
func (s Set) Manifests() *manifests.Users {
	if len(s.Users) == 0 {
		return nil
	}
	user := func(name string) manifests.User {
		u := find(s.Users, name)
		return manifests.User{UID: u.ID, GID: u.GID}
	}
	return &manifests.Users{Etcd: user(Etcd), APIServer: user(APIServer), ControllerManager: user(ControllerManager),
		Scheduler: user(Scheduler), KeyReaders: find(s.Groups, KeyReaders).ID}
}

func find(entries []Entry, name string) Entry {
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return Entry{}
	}
	return entries[i]
}

// Lines are the lines of the entries.
func Lines(entries []Entry) []string {
	lines := make([]string, len(entries))
	for i, e := range entries {
		lines[i] = e.Line
	}
	return lines
}

// The ranges that nobody uses, by systemd's table (https://systemd.io/UIDS-GIDS): one where all
// IDs are mapped, and one within 16 bits, for a user namespace that has no more.
const (
	wideFirst, wideSize     = 1879048192, 268435456
	narrowFirst, narrowSize = 60578, 600
)

// Below is the set for a root directory: numbers that the directory's name
// gives, the same each time, and that no user of the host has. Nothing is written to the
// host's files. mapped is how many IDs this process's user namespace has.
func Below(root string, mapped uint64) Set {
	first, size := uint64(wideFirst), uint64(wideSize)
	if mapped < wideFirst+wideSize {
		first, size = narrowFirst, narrowSize
	}
	const each = 5
	h := fnv.New64a()
	_, _ = h.Write([]byte(root)) // it never fails
	next := int64(first + h.Sum64()%(size/each)*each)
	var s Set
	for _, name := range userNames() {
		s.Users = append(s.Users, Entry{Name: name, ID: next, GID: next})
		s.Groups = append(s.Groups, Entry{Name: name, ID: next})
		next++
	}
	s.Groups = append(s.Groups, Entry{Name: KeyReaders, ID: next})
	return s
}

// Choose takes the entries that are there, and for those that are not the lowest
// free IDs of the system's range, as kubeadm does. The arguments are the content of the files.
func Choose(passwd, group, loginDefs string) (Set, error) {
	lim := parseLimits(loginDefs)
	users, groups := parse(passwd), parse(group)
	var s Set
	gids := free(groups, lim.minGID, lim.maxGID)
	for _, name := range append(userNames(), KeyReaders) {
		g := find(groups, name)
		if g.Name == "" {
			id, ok := gids()
			if !ok {
				return Set{}, &Error{"/etc/group", name, fmt.Sprintf("no ID from %d to %d is free", lim.minGID, lim.maxGID)}
			}
			g = Entry{Name: name, ID: id, Line: fmt.Sprintf("%s:x:%d:%s", name, id, members(name))}
		} else if problem := lim.groupProblem(g); problem != "" {
			return Set{}, &Error{"/etc/group", name, problem}
		}
		s.Groups = append(s.Groups, g)
	}
	uids := free(users, lim.minUID, lim.maxUID)
	for _, name := range userNames() {
		u, own := find(users, name), find(s.Groups, name)
		if u.Name == "" {
			id, ok := uids()
			if !ok {
				return Set{}, &Error{"/etc/passwd", name, fmt.Sprintf("no ID from %d to %d is free", lim.minUID, lim.maxUID)}
			}
			u = Entry{Name: name, ID: id, GID: own.ID, Line: fmt.Sprintf("%s:x:%d:%d:::%s", name, id, own.ID, noShell)}
		} else if problem := lim.userProblem(u, own); problem != "" {
			return Set{}, &Error{"/etc/passwd", name, problem}
		}
		s.Users = append(s.Users, u)
	}
	return s, nil
}

const noShell = "/bin/false"

// Error is an entry that cannot be made or used.
type Error struct{ File, Name, Problem string }

func (e *Error) Error() string {
	return fmt.Sprintf("cannot use the entry %s of %s: %s", e.Name, e.File, e.Problem)
}

// Hint says what to do.
func (e *Error) Hint() string {
	return "remove or correct the entry; one that is missing is made by init"
}

// Name is the first field of a line of passwd(5) or group(5).
func Name(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return name
}

// ID is the third field of a line.
func ID(line string) (int64, bool) {
	fields := strings.Split(line, ":")
	if len(fields) < 3 {
		return 0, false
	}
	id, err := strconv.ParseInt(fields[2], 10, 64)
	return id, err == nil
}

// parse reads the lines that the C library would read.
func parse(file string) []Entry {
	var entries []Entry
	for line := range strings.Lines(file) {
		line = strings.TrimRight(line, "\n")
		id, ok := ID(line)
		if !ok {
			continue
		}
		e := Entry{Name: Name(line), ID: id, Line: line}
		if fields := strings.Split(line, ":"); len(fields) == 7 {
			e.GID, _ = strconv.ParseInt(fields[3], 10, 64) // 0 is no group of ours
		}
		entries = append(entries, e)
	}
	return entries
}

// free returns the IDs of a range that no entry has, lowest first.
func free(entries []Entry, first, last int64) func() (int64, bool) {
	next := first
	return func() (int64, bool) {
		for ; next <= last; next++ {
			if !slices.ContainsFunc(entries, func(e Entry) bool { return e.ID == next }) {
				next++
				return next - 1, true
			}
		}
		return 0, false
	}
}

// limits are the IDs of system users and groups.
type limits struct{ minUID, maxUID, minGID, maxGID int64 }

// parseLimits reads login.defs(5). kubeadm has the same defaults.
func parseLimits(loginDefs string) limits {
	l := limits{minUID: 100, maxUID: 999, minGID: 100, maxGID: 999}
	byName := map[string]*int64{"SYS_UID_MIN": &l.minUID, "SYS_UID_MAX": &l.maxUID, "SYS_GID_MIN": &l.minGID, "SYS_GID_MAX": &l.maxGID}
	for line := range strings.Lines(loginDefs) {
		fields := strings.Fields(line)
		if len(fields) < 2 || byName[fields[0]] == nil {
			continue
		}
		if n, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
			*byName[fields[0]] = n
		}
	}
	return l
}

// groupProblem and userProblem are kubeadm's validateEntries.
func (l limits) groupProblem(g Entry) string {
	if g.ID < l.minGID || g.ID > l.maxGID {
		return fmt.Sprintf("its ID %d is none of the system's, %d to %d", g.ID, l.minGID, l.maxGID)
	}
	fields := strings.Split(g.Line, ":")
	if have := fields[len(fields)-1]; have != members(g.Name) {
		return fmt.Sprintf("its members are %s, not %s", cmp.Or(have, "nobody"), members(g.Name))
	}
	return ""
}

func (l limits) userProblem(u, own Entry) string {
	switch {
	case u.ID < l.minUID || u.ID > l.maxUID:
		return fmt.Sprintf("its ID %d is none of the system's, %d to %d", u.ID, l.minUID, l.maxUID)
	case !strings.HasSuffix(u.Line, ":"+noShell):
		return "its shell is not " + noShell
	case u.GID != own.ID:
		return fmt.Sprintf("its group is %d, and not the group %s, which is %d", u.GID, u.Name, own.ID)
	}
	return ""
}
