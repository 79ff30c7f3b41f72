package guardian

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
)

// cgroups are those of the roots of what was killed, kubecrank/<hash of the root> in each hierarchy: nobody else
// removes them any more.
type cgroups map[string]bool

// add adds those that a process is in.
func (c cgroups) add(pid int) {
	own, _ := procfs.Cgroups(pid) // none: it is gone
	mounts, _ := procfs.Mounts()
	for _, group := range own {
		base, below, ours := strings.Cut(group.Path, "/kubecrank/")
		name, _, _ := strings.Cut(below, "/")
		for _, m := range mounts {
			v2 := m.Type == "cgroup2" && len(group.Controllers) == 0
			v1 := m.Type == "cgroup" && len(group.Controllers) > 0 && slices.Contains(m.Options, group.Controllers[0])
			if ours && (v1 || v2) {
				c[filepath.Join(m.Point, strings.TrimPrefix(base, m.Root), "kubecrank", name)] = true
			}
		}
	}
}

// remove removes them, in which nothing runs any more. The kernel may hold on to one for a moment.
func (c cgroups) remove() error {
	var errs []error
	for top := range c {
		var dirs []string
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			err := unix.Rmdir(dir)
			for end := time.Now().Add(patient); errors.Is(err, unix.EBUSY) && time.Now().Before(end); err = unix.Rmdir(dir) {
				time.Sleep(time.Millisecond)
			}
			if err != nil && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, &fs.PathError{Op: "rmdir", Path: dir, Err: err})
			}
		}
		_ = unix.Rmdir(filepath.Dir(top)) // of all roots: another one may be in it
	}
	return errors.Join(errs...)
}
