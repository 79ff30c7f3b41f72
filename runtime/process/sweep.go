package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
)

// sweepTimeout is how long a sweep waits for the end of what it has killed. What takes longer hangs in
// the kernel, or in a freezer.
const sweepTimeout = 4 * time.Second

// sweep kills what is left of a container when its own process has ended, as the end of a PID namespace
// would: what is in its cgroup, or, on a machine without, what killLeftovers finds.
func (c *container) sweep(deadline time.Time) error {
	leader := 0
	if c.child {
		leader = c.rec.PID // not reaped yet: the number stands for the session
	}
	if len(c.rec.Cgroup) > 0 {
		err := killGroup(c.rec.Cgroup, leader, deadline)
		// What a command forked before it was in the group (see spawnOnThread) has a marker at least.
		if err != nil || c.child && c.execs.Load() == 0 || !c.rec.Cgroup.DiesWhole() {
			return err
		}
	}
	return c.rt.killLeftovers(c.rec.leftover(leader), deadline)
}

// leftover says which processes belong to a container (or to an Exec).
type leftover struct {
	marker string // in their environment, or as the beginning of it
	leader int    // the session that they are in, while that number is known to be theirs; else 0
	since  uint64 // they started at this time or later
	user   int    // they run for this one
	sealed bool   // nobody else can have made the marker; else they run as exactly this user
}

// leftover is what the container of a record may have left. leader is 0 unless its number is known to be theirs.
func (rec record) leftover(leader int) leftover {
	m := rec.marker()
	l := leftover{marker: m.String(), leader: leader, since: rec.Start, user: rec.User.uid(), sealed: m.seal != ""}
	if user, err := strconv.Atoi(m.seal[:max(strings.IndexByte(m.seal, '.'), 0)]); err == nil {
		l.user = user // whom it was started as; it may run as another one by now
	}
	return l
}

// killLeftovers kills all of them, until a look at all processes finds none. Those that left the session and cleared
// their environment cannot be told from strangers, and stay. The error names what does not die.
func (r *Runtime) killLeftovers(l leftover, deadline time.Time) error {
	for {
		pidfds, err := r.sweeps.find(l)
		if err != nil || len(pidfds) == 0 {
			return err
		}
		err = errors.Join(signalAll(pidfds), awaitAll(pidfds, deadline))
		if err != nil && time.Now().After(deadline) {
			return err
		}
	}
}

// signalAll sends SIGKILL. A process that has ended is no error.
func signalAll(pidfds map[int]int) error {
	var errs []error
	for pid, fd := range pidfds {
		if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("cannot kill process %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}

// awaitAll awaits the end of processes, and closes the pidfds.
func awaitAll(pidfds map[int]int, deadline time.Time) error {
	var errs []error
	for pid, fd := range pidfds {
		if !hasEnded(fd, int(max(time.Until(deadline), 0).Milliseconds())) {
			errs = append(errs, stuck(pid))
		}
		_ = unix.Close(fd)
	}
	return errors.Join(errs...)
}

// sweeper looks at all processes for everybody who asks at the same moment: when a thousand containers end together, a
// look for each of them would cost a thousand times a thousand processes.
type sweeper struct {
	mu      sync.Mutex
	waiting []*search // for the next look; one that has begun is too late for them
	looking bool
	looks   int // how many there were
}

// search is one question to a sweeper, and the answer.
type search struct {
	leftover
	found map[int]int
	err   error
	done  chan struct{}
}

// find returns a pidfd for each process that belongs to the container and still runs.
func (s *sweeper) find(l leftover) (map[int]int, error) {
	q := &search{leftover: l, found: make(map[int]int), done: make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, q)
	if !s.looking {
		s.looking = true
		go s.look()
	}
	s.mu.Unlock()
	<-q.done
	return q.found, q.err
}

// look answers until nobody asks.
func (s *sweeper) look() {
	for {
		s.mu.Lock()
		batch := s.waiting
		s.waiting, s.looking = nil, len(batch) > 0
		if len(batch) > 0 {
			s.looks++
		}
		s.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		pids, err := procfs.PIDs()
		newQuestions(batch).ask(pids)
		for _, q := range batch {
			q.err = err
			close(q.done)
		}
	}
}

// questions are searches by what a process is known by.
type questions struct {
	since    uint64 // of the earliest one
	sessions map[int][]*search
	markers  map[string][]*search
}

func newQuestions(batch []*search) questions {
	all := questions{since: batch[0].since, sessions: make(map[int][]*search), markers: make(map[string][]*search)}
	for _, q := range batch {
		all.since = min(all.since, q.since)
		all.markers[q.marker] = append(all.markers[q.marker], q)
		if q.leader != 0 {
			all.sessions[q.leader] = append(all.sessions[q.leader], q)
		}
	}
	return all
}

func (all questions) ask(pids []int) {
	for _, pid := range pids {
		stat, err := procfs.ReadStat(pid)
		if pid == os.Getpid() || err != nil || stat.Dead() || stat.Start < all.since {
			continue
		}
		for _, q := range all.sessions[stat.Session] {
			q.claim(pid)
		}
		for m := readMarker(pid); m != ""; m = m[:max(strings.LastIndexByte(m, '/'), 0)] {
			for _, q := range all.markers[m] {
				q.claim(pid)
			}
		}
	}
}

// claim takes the process if it is the search's. Only with the pidfd is it pinned: what was seen before may be
// another one, which had the PID a moment ago.
func (q *search) claim(pid int) {
	if _, known := q.found[pid]; known || pid == q.leader {
		return
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it went meanwhile
	}
	if !q.owns(pid) {
		_ = unix.Close(fd)
		return
	}
	q.found[pid] = fd
}

func (l leftover) owns(pid int) bool {
	stat, err := procfs.ReadStat(pid)
	if err != nil || stat.Dead() || stat.Start < l.since {
		return false
	}
	if l.leader != 0 && stat.Session == l.leader {
		return true
	}
	return covers(l.marker, readMarker(pid)) && (l.sealed && runsFor(pid, l.user) || runsExactlyFor(pid, l.user))
}
