package process

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
)

// sweepTimeout is how long a killed process may take to go. One that takes longer hangs in the kernel.
const sweepTimeout = 5 * time.Second

// sweep kills what is left of a container when its own process has ended, as the end of a PID namespace
// would. See killLeftovers.
func (c *container) sweep(leader int) error {
	return c.rt.killLeftovers(leftover{marker: c.rec.marker().String(), leader: leader, since: c.rec.Start})
}

// leftover says which processes belong to a container (or to an Exec).
type leftover struct {
	marker string // in their environment, or as the beginning of it
	leader int    // the session that they are in, while that number is known to be theirs; else 0
	since  uint64 // they started at this time or later
}

// killLeftovers kills all of them, until a look at all processes finds none. Those that left the session and cleared
// their environment cannot be told from strangers, and stay. The error names what does not die.
func (r *Runtime) killLeftovers(l leftover) error {
	deadline := time.Now().Add(sweepTimeout)
	for {
		pidfds, err := r.sweeps.find(l)
		if err != nil || len(pidfds) == 0 {
			return err
		}
		if err := killAll(pidfds, deadline); err != nil && time.Now().After(deadline) {
			return err
		}
	}
}

// killAll kills processes, awaits their end, and closes the pidfds.
func killAll(pidfds map[int]int, deadline time.Time) error {
	var errs []error
	for pid, fd := range pidfds {
		err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		if err == nil && !hasEnded(fd, int(max(time.Until(deadline), 0).Milliseconds())) {
			err = stuck(pid)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("cannot kill what the container left: %w", err))
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
	return l.leader != 0 && stat.Session == l.leader || covers(l.marker, readMarker(pid))
}
