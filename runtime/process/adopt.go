package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/logs"
)

// seen is a process whose environment bears our marker and root.
type seen struct {
	pid  int
	stat procfs.Stat
}

// List finds the containers of this root. There are two ways to one: its record, and the marker in a
// process's environment. The record says more; the marker is there from the very start, also when the
// supervisor died before it could write the record, or when the record was damaged.
func (r *Runtime) List(ctx context.Context) ([]runtime.Found, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	records, recordErr := r.readRecords() // an error beside what could be read
	marked, err := r.scan()
	if err != nil {
		return nil, errors.Join(recordErr, err)
	}
	traces := make(map[string]*trace)
	at := func(uid, name string) *trace {
		key := uid + "/" + name
		if traces[key] == nil {
			traces[key] = &trace{marked: make(map[marker][]seen)}
		}
		return traces[key]
	}
	for _, rec := range records {
		at(rec.UID, rec.Container).record = &rec
	}
	for m, processes := range marked {
		at(m.uid, m.container).marked[m] = processes
	}
	errs := []error{recordErr}
	var found []runtime.Found
	deadline := time.Now().Add(sweepTimeout) // for all of them together
	for _, t := range traces {
		c, err := r.resolve(ctx, t, deadline)
		errs = append(errs, err)
		key := podKey{c.rec.Namespace, c.rec.Pod, c.rec.UID}
		found = append(found, runtime.Found{Container: c, Exited: c.ended(), Pod: &sandbox{rt: r, key: key}})
	}
	slices.SortFunc(found, func(a, b runtime.Found) int {
		x, y := a.Info(), b.Info()
		return strings.Compare(x.PodFullName+"/"+x.Name, y.PodFullName+"/"+y.Name)
	})
	r.mu.Lock()
	tidied := r.tidied
	r.tidied = true
	r.mu.Unlock()
	if !tidied {
		errs = append(errs, r.tidyGroups(deadline), r.tidyVolumes())
	}
	return found, errors.Join(errs...)
}

// trace is all that points to one container of a pod.
type trace struct {
	record *record
	marked map[marker][]seen // also of instances before the present one, if something survived them
}

// resolve finds the container's process, kills what is left of other instances, and, when there is no
// process, tells of the last instance as one that has ended.
func (r *Runtime) resolve(ctx context.Context, t *trace, deadline time.Time) (*container, error) {
	var errs []error
	var c *container
	if t.record != nil {
		var err error
		c, err = r.adopt(ctx, *t.record)
		errs = append(errs, err)
	}
	instances := slices.SortedFunc(maps.Keys(t.marked), func(a, b marker) int { return b.restart - a.restart })
	for _, m := range instances {
		if c != nil {
			break
		}
		leaders := r.leaders(t, m)
		if len(leaders) == 0 {
			continue
		}
		var err error
		c, err = r.adoptMarked(ctx, m, leaders[0])
		errs = append(errs, err)
	}
	ended := c == nil
	if ended {
		c = r.ended(r.lastInstance(t, instances))
	}
	for _, m := range instances {
		if c.rec.marker() != m {
			errs = append(errs, r.killLeftovers(r.unrecorded(m).leftover(0), deadline))
		}
	}
	if ended {
		r.resume(c, len(t.marked[c.rec.marker()]) > 0, deadline)
	}
	return c, errors.Join(errs...)
}

// lastInstance is the record of a container of which nothing runs.
func (r *Runtime) lastInstance(t *trace, instances []marker) record {
	if len(instances) > 0 && (t.record == nil || instances[0].restart > t.record.Restart) {
		return r.unrecorded(instances[0])
	}
	return *t.record
}

// resume clears away what a container left that has ended before we came. What does not die at once is tried again, and
// the container is known until nothing is left.
func (r *Runtime) resume(c *container, marked bool, deadline time.Time) {
	if c.rec.BootID != r.bootID || !marked && len(c.rec.Cgroup) == 0 && c.rec.marker().seal != "" {
		close(c.done)
		return
	}
	err := c.sweep(deadline)
	if err == nil {
		close(c.done)
		return
	}
	c.fail(err)
	r.mu.Lock()
	r.containers[c.rec.marker().String()] = c
	r.mu.Unlock()
	go c.cleanUp()
}

// leaders are the processes that can be the container's own one, best first: it leads a session and is older than all
// that it started, some of which may lead sessions too. When there is a record of this very instance,
// its process has ended, and all that is there are such descendants.
//
// The marker alone does not make one: who may read a container's environment can copy it. So the process also runs for the
// container's user, was started when the container was, and is in its cgroup if it has one.
func (r *Runtime) leaders(t *trace, m marker) []seen {
	if t.record != nil && t.record.marker() == m && t.record.BootID == r.bootID {
		return nil
	}
	user, since, _ := r.key.open(m)
	group := r.unrecorded(m).Cgroup
	members := group.PIDs()
	leaders := slices.DeleteFunc(slices.Clone(t.marked[m]), func(p seen) bool {
		return p.stat.Session != p.pid || p.stat.Start < since || p.stat.Start > since+startWindow || !runsFor(p.pid, user) ||
			len(group) > 0 && !slices.Contains(members, p.pid)
	})
	slices.SortFunc(leaders, func(a, b seen) int {
		return cmp.Or(cmp.Compare(a.stat.Start, b.stat.Start), cmp.Compare(a.pid, b.pid))
	})
	return leaders
}

// scan returns the processes that bear a marker that we sealed, by marker; commands of Exec do not count.
func (r *Runtime) scan() (map[marker][]seen, error) {
	pids, err := procfs.PIDs()
	if err != nil {
		return nil, err
	}
	marked := make(map[marker][]seen)
	for _, pid := range pids {
		m, ok := parseMarker(readMarker(pid))
		if !ok || m.root != r.root || pid == os.Getpid() {
			continue
		}
		if _, _, ok := r.key.open(m); !ok {
			continue // everybody can compute the rest; what an earlier version started is known by its record
		}
		if stat, err := procfs.ReadStat(pid); err == nil && !stat.Dead() {
			marked[m] = append(marked[m], seen{pid, stat})
		}
	}
	return marked, nil
}

// adopt takes over the process of a record; nil if it is gone.
func (r *Runtime) adopt(ctx context.Context, rec record) (*container, error) {
	if c := r.known(rec); c != nil {
		return c, nil
	}
	if rec.Exit != nil || rec.BootID != r.bootID {
		return nil, nil
	}
	pidfd, err := pin(rec.PID, rec.Start)
	if errors.Is(err, errGone) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look at process %d of container %s: %w", rec.PID, rec.Container, err)
	}
	if !isContainer(rec) {
		_ = pidfd.Close()
		return nil, fmt.Errorf("cannot adopt process %d: the record of container %s names it, but it is not that container",
			rec.PID, rec.Container)
	}
	return r.takeOver(ctx, rec, pidfd, true)
}

// known returns the container if this Runtime started or adopted it already.
func (r *Runtime) known(rec record) *container {
	c := r.find(rec.UID, rec.Container)
	if c == nil || c.rec.PID != rec.PID || c.rec.Start != rec.Start {
		return nil
	}
	return c
}

// isContainer makes doubly sure, beside PID, start time and boot: the process bears the container's marker, or, if
// it replaced its environment, writes to the container's log. Root in a container without SYS_PTRACE
// may not look at the process of another user, and must do with the first three, which are unique.
func isContainer(rec record) bool {
	value, err := procfs.Getenv(rec.PID, markerVar)
	if errors.Is(err, procfs.ErrDenied) || err == nil && value == rec.marker().String() {
		return true
	}
	log, err := os.Stat(rec.LogPath)
	if err != nil {
		return false
	}
	for _, fd := range []string{"fd/1", "fd/2"} {
		if out, err := os.Stat(procPath(rec.PID, fd)); err == nil && os.SameFile(log, out) {
			return true
		}
	}
	return false
}

// adoptMarked takes over a process by its marker alone; nil if it is gone.
func (r *Runtime) adoptMarked(ctx context.Context, m marker, p seen) (*container, error) {
	rec := r.unrecorded(m)
	rec.PID, rec.Start, rec.StartedAt = p.pid, p.stat.Start, startedAt(p.stat.Start)
	if c := r.known(rec); c != nil {
		return c, nil
	}
	pidfd, err := pin(rec.PID, rec.Start)
	if errors.Is(err, errGone) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look at process %d of container %s: %w", rec.PID, rec.Container, err)
	}
	if dir, err := procfs.Cwd(rec.PID); err == nil {
		rec.Dir = dir
	}
	rec.User, rec.Limits = runsAs(rec.PID)
	rec.Mounts = hasMounts(rec.PID)
	return r.takeOver(ctx, rec, pidfd, false)
}

// unrecorded is what a marker says about a container.
func (r *Runtime) unrecorded(m marker) record {
	pod := logs.PodDir(r.opts.LogDir, m.namespace, m.pod, m.uid)
	uid, since, _ := r.key.open(m)
	rec := record{
		Marker: m.String(), Start: since,
		Cgroup:  r.cgroups.Groups()[m.uid][groupName(m.container, m.restart)],
		Version: recordVersion, Root: r.root, BootID: r.bootID, Namespace: m.namespace, Pod: m.pod, UID: m.uid,
		Container: m.container, Restart: m.restart, SpecHash: m.specHash, Dir: "/",
		LogPath: filepath.Join(pod, m.container, fmt.Sprintf("%d.log", m.restart)),
	}
	if uid != os.Geteuid() {
		rec.User = &user{UID: uint32(uid)}
	}
	return rec
}

// takeOver makes a container of an identified process. The error is about its log, and comes beside it.
func (r *Runtime) takeOver(ctx context.Context, rec record, pidfd *os.File, recorded bool) (*container, error) {
	c := r.newContainer(rec)
	c.pidfd, c.recorded = pidfd, recorded
	if environ, err := procfs.Environ(rec.PID); err == nil {
		c.env = withoutMarker(environ)
	}
	c.register()
	err := logs.Recover(ctx, rec.LogPath) // a rotation that the dead supervisor did not finish
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil // somebody removed the log
	}
	return c, err
}

func withoutMarker(environ []string) []string {
	return slices.DeleteFunc(environ, func(e string) bool { return strings.HasPrefix(e, markerVar+"=") })
}

// ended describes a container that has ended, with what is known of its end.
func (r *Runtime) ended(rec record) *container {
	c := r.newContainer(rec)
	if rec.Exit != nil {
		c.exit = *rec.Exit
	} else {
		c.exit = runtime.Exit{Code: -1, Message: lastWords(rec.LogPath), OOMKilled: rec.Cgroup.OOMKills() > 0}
		if info, err := os.Stat(rec.LogPath); err == nil {
			c.exit.FinishedAt = info.ModTime() // its last sign of life
		}
	}
	c.final, c.recorded = &c.exit, true
	close(c.exited)
	return c
}
