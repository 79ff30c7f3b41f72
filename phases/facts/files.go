package facts

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// maxEntries is how many files of a directory are looked at: far more than a
// control plane has, and few enough to stay fast in a directory of somebody else's.
const maxEntries = 500

// lookAt looks at all that a plan may touch, by directory: whatever the
// certificates and manifests are called, they are in there.
func lookAt(cfg config.Config, history journal.History) map[string]resource.Seen {
	paths := cfg.Paths()
	l := looker{follow: cfg.Root == "", files: make(map[string]resource.Seen)}
	for _, dir := range []string{
		paths.Kubernetes, paths.Manifests, paths.PKI, filepath.Join(paths.PKI, "etcd"),
	} {
		l.dir(dir, true)
	}
	l.path(paths.SupervisorConfig)
	if e := cfg.Etcd.External; e != nil {
		for _, file := range []string{e.CAFile, e.CertFile, e.KeyFile} {
			if filepath.IsAbs(file) {
				l.files[file] = stat(file)
			}
		}
	}
	for _, dir := range []string{paths.EtcdData, paths.State, paths.Components, paths.Run, paths.PodLogs} {
		l.dir(dir, false)
	}
	l.dir(filepath.Join(paths.EtcdData, "member"), false)
	if cfg.Rootless() {
		l.rootless(cfg)
	}
	for r := range history.Claims {
		if r.IsPath() {
			l.path(r.Key)
		}
	}
	for path := range history.Before {
		l.path(path)
	}
	return l.files
}

type looker struct {
	follow bool
	files  map[string]resource.Seen
}

// rootless looks at what other users than root must be able to reach, and at the files that they are listed in.
func (l *looker) rootless(cfg config.Config) {
	if cfg.ComponentsDir != "" {
		l.path(cfg.ComponentsDir)
	}
	if cfg.Root == "" {
		l.path(passwdFile)
		l.path(groupFile)
	}
}

func (l *looker) dir(dir string, content bool) {
	seen := l.path(dir)
	for i, name := range seen.Names {
		if i == maxEntries {
			break
		}
		path := filepath.Join(dir, name)
		if _, done := l.files[path]; done {
			continue
		}
		if content {
			l.files[path] = resource.Look(path, l.follow)
		} else {
			l.files[path] = stat(path)
		}
	}
}

// path looks at a path, and at its parents without what is in them.
func (l *looker) path(path string) resource.Seen {
	if seen, ok := l.files[path]; ok && (seen.Kind != resource.Directory || seen.Names != nil) {
		return seen
	}
	l.files[path] = resource.Look(path, l.follow)
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		if _, ok := l.files[dir]; ok {
			break
		}
		l.files[dir] = stat(dir)
	}
	return l.files[path]
}

// stat is plan.Look without the content, following links: what parents are for.
func stat(path string) resource.Seen {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		return resource.Seen{Kind: resource.Absent}
	case err != nil:
		return resource.Seen{Kind: resource.Unreadable, Error: reason(err)}
	}
	seen := resource.Seen{Kind: resource.Special, Mode: info.Mode().Perm()}
	seen.UID, seen.GID = resource.OwnerOf(info)
	switch {
	case info.IsDir():
		seen.Kind = resource.Directory
	case info.Mode().IsRegular():
		seen.Kind = resource.Regular
	}
	return seen
}

func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// places looks at the file systems of the directories that are written to.
func places(root string, paths config.Paths) map[string]Place {
	all := make(map[string]Place)
	for _, dir := range []string{
		paths.Kubernetes, paths.Manifests, paths.PKI, paths.EtcdData, paths.State, paths.Components, paths.Run, paths.PodLogs,
	} {
		all[dir] = placeBelow(root, dir)
	}
	return all
}

func placeBelow(root, dir string) Place {
	if link := linkBelow(root, dir); link != "" {
		return Place{Existing: link, Problem: link + " is a symbolic link, and could lead out of " + root}
	}
	return placeOf(dir)
}

// linkBelow returns the first component of dir below root that is a symbolic
// link. What is below a root may belong to somebody else than who runs init.
func linkBelow(root, dir string) string {
	if root == "" {
		return ""
	}
	rel, err := filepath.Rel(root, dir)
	if err != nil || !filepath.IsLocal(rel) {
		return ""
	}
	path := root
	for _, name := range strings.Split(rel, "/") {
		path = filepath.Join(path, name)
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return path
		}
	}
	return ""
}

func placeOf(dir string) Place {
	p := Place{Existing: dir}
	for p.Existing != "/" {
		info, err := os.Stat(p.Existing)
		if err == nil && !info.IsDir() {
			p.Problem = p.Existing + " is not a directory"
			return p
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			p.Problem = p.Existing + ": " + reason(err)
			return p
		}
		p.Existing = filepath.Dir(p.Existing)
	}
	// The kernel answers for the effective user, capabilities and read-only mounts included.
	if err := unix.Faccessat(unix.AT_FDCWD, p.Existing, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		p.Problem = p.Existing + ": " + err.Error()
	}
	p.Writable = p.Problem == ""
	var st unix.Statfs_t
	if err := unix.Statfs(p.Existing, &st); err == nil {
		p.FreeBytes = st.Bavail * uint64(st.Bsize)
		p.NoExec = st.Flags&unix.ST_NOEXEC != 0
	}
	return p
}
