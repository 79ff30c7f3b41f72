package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/expand"
	"github.com/kubecrank/kubecrank/runtime/process/cgroup"
	"github.com/kubecrank/kubecrank/runtime/process/mounts"
)

// defaultPath is what container engines set; the supervisor's own PATH is none of a container's business.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// launch is a container's start worked out: nothing in it depends on the pod any more.
type launch struct {
	find   func() (program string, err error) // where the container sees it
	argv   []string
	env    []string
	dir    string
	user   *user
	limits privileges
	group  cgroup.Group
	view   *mounts.View
}

// prepare works out how a container is started.
func (r *Runtime) prepare(pod *runtime.Pod, c *corev1.Container) (launch, error) {
	vars, err := environment(pod.Pod, c, r.opts.HostIP)
	if err != nil {
		return launch{}, err
	}
	l := launch{env: vars.list(), dir: c.WorkingDir, limits: privilegesOf(c.SecurityContext)}
	command, err := expand.All("command", c.Command, vars.declared)
	if err != nil {
		return launch{}, err
	}
	args, err := expand.All("args", c.Args, vars.declared)
	if err != nil {
		return launch{}, err
	}
	l.argv = append(command, args...)
	if len(c.Command) == 0 {
		return launch{}, hinted{
			error: errors.New("it has no command, and what the image would run is not known here"),
			hint:  "set command in the manifest; the process runtime runs programs of this machine, not images",
		}
	}
	if l.dir == "" {
		l.dir = "/"
	}
	l.find = func() (string, error) {
		if info, err := os.Stat(l.dir); err != nil {
			return "", fmt.Errorf("cannot use workingDir: %w", err)
		} else if !info.IsDir() {
			return "", fmt.Errorf("cannot use workingDir: %s is not a directory", l.dir)
		}
		return r.findProgram(l.argv[0], l.dir, vars.values["PATH"])
	}
	if l.view, err = r.view(pod, c, vars); err != nil {
		return launch{}, err
	}
	if l.user, err = userOf(pod.Spec.SecurityContext, c.SecurityContext); err != nil {
		return launch{}, err
	}
	if l.user.uid() == 0 {
		l.limits.Ambient = nil // root has what the bounding set leaves
	}
	return l, nil
}

// findProgram resolves the first word of a command. A bare name is one of our components first, then what PATH has.
func (r *Runtime) findProgram(name, dir, path string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		if err := checkProgram(name); err != nil {
			return "", fmt.Errorf("cannot run %s: %w", name, err)
		}
		return name, nil
	}
	dirs := filepath.SplitList(path)
	if r.opts.ComponentsDir != "" {
		dirs = append([]string{r.opts.ComponentsDir}, dirs...)
	}
	var unusable error
	for _, d := range dirs {
		if !filepath.IsAbs(d) {
			continue // never what lies in a working directory
		}
		file := filepath.Join(d, name)
		err := checkProgram(file)
		if err == nil {
			return file, nil
		}
		if unusable == nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			unusable = fmt.Errorf("cannot run %s: %w", file, err)
		}
	}
	if unusable != nil {
		return "", unusable
	}
	return "", hinted{
		error: fmt.Errorf("cannot run %s: there is no such program in %s", name, strings.Join(dirs, ":")),
		hint:  "is it on the PATH of the supervisor? If not, give its absolute path: containers are programs of this machine, not images",
	}
}

func checkProgram(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return errors.Unwrap(err) // the caller names the path
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a file")
	}
	if info.Mode()&0o111 == 0 {
		return errors.New("it is not executable")
	}
	return nil
}

// explainExec says more than "permission denied" when a program that is there cannot be started.
func explainExec(program string, u *user, err error) error {
	switch {
	case errors.Is(err, unix.EACCES):
		var st unix.Statfs_t
		if unix.Statfs(program, &st) == nil && st.Flags&unix.ST_NOEXEC != 0 {
			return hinted{
				error: fmt.Errorf("cannot run %s: its file system is mounted noexec", program),
				hint:  "remount it with exec, or use another directory",
			}
		}
		if u.uid() != os.Geteuid() {
			return hinted{
				error: fmt.Errorf("cannot run %s as user %d: %w", program, u.uid(), err),
				hint:  "the program, and every directory above it and above workingDir, must be open to that user",
			}
		}
	case errors.Is(err, unix.ENOEXEC):
		return hinted{
			error: fmt.Errorf("cannot run %s: it is no program for this machine (exec format error)", program),
			hint:  "it may be truncated or made for another architecture",
		}
	case errors.Is(err, unix.ENOENT): // the file itself was seen just now
		return fmt.Errorf("cannot run %s: the interpreter or loader that it names is not there", program)
	}
	return fmt.Errorf("cannot run %s: %w", program, err)
}

// userOf is whom the container runs as; nil for the supervisor's own user.
func userOf(pod *corev1.PodSecurityContext, c *corev1.SecurityContext) (*user, error) {
	if pod == nil {
		pod = &corev1.PodSecurityContext{}
	}
	if c == nil {
		c = &corev1.SecurityContext{}
	}
	uid, gid := firstSet(c.RunAsUser, pod.RunAsUser), firstSet(c.RunAsGroup, pod.RunAsGroup)
	own := os.Geteuid()
	effective := own
	if uid != nil {
		effective = int(*uid)
	}
	if nonRoot := firstSet(c.RunAsNonRoot, pod.RunAsNonRoot); nonRoot != nil && *nonRoot && effective == 0 {
		return nil, errors.New("container has runAsNonRoot and would run as root") // the kubelet's words, nearly
	}
	if uid == nil && gid == nil && pod.FSGroup == nil && len(pod.SupplementalGroups) == 0 {
		return nil, nil
	}
	u := &user{UID: uint32(effective), GID: primaryGroup(effective)}
	if gid != nil {
		u.GID = uint32(*gid)
	}
	for _, g := range pod.SupplementalGroups {
		u.Groups = append(u.Groups, uint32(g))
	}
	if pod.FSGroup != nil {
		u.Groups = append(u.Groups, uint32(*pod.FSGroup))
	}
	if own == 0 {
		return u, nil
	}
	if effective == own && (gid == nil || int(*gid) == os.Getegid()) && len(u.Groups) == 0 {
		return nil, nil
	}
	return nil, hinted{
		error: fmt.Errorf("cannot run as user %d, group %d: the supervisor is not root, but user %d", u.UID, u.GID, own),
		hint:  "run the supervisor as root, or leave runAsUser and the groups out of the manifest",
	}
}

func firstSet[T any](values ...*T) *T {
	for _, v := range values {
		if v != nil {
			return v
		}
	}
	return nil
}

// primaryGroup is the user's group on this machine, 0 if it is not known, as container engines do it.
func primaryGroup(uid int) uint32 {
	u, err := osuser.LookupId(strconv.Itoa(uid))
	if err != nil {
		return 0
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(gid)
}

// uid is that of the container's process.
func (u *user) uid() int {
	if u == nil {
		return os.Geteuid()
	}
	return int(u.UID)
}

func (u *user) credential() *syscall.Credential {
	if u == nil {
		return nil
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
}

// hinted is an error with a remedy, which the command line prints on a second line.
type hinted struct {
	error
	hint string
}

func (h hinted) Hint() string  { return h.hint }
func (h hinted) Unwrap() error { return h.error }
