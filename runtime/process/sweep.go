package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// sweepTimeout is how long a killed process may take to go. One that takes longer hangs in the kernel.
const sweepTimeout = 5 * time.Second

// sweep kills what is left of a container when its own process has ended, as the end of a PID namespace
// would. See killLeftovers.
func (c *container) sweep(leader int) error {
	return killLeftovers(leftover{marker: c.rec.marker().String(), leader: leader, since: c.rec.Start})
}

// leftover says which processes belong to a container (or to an Exec).
type leftover struct {
	marker string // in their environment, or as the beginning of it
	leader int    // the session that they are in, while that number is known to be theirs; else 0
	since  uint64 // they started at this time or later
}

// killLeftovers kills all of them, until a look at all processes finds none. Those that left the session and cleared
// their environment cannot be told from strangers, and stay. The error names what does not die.
func killLeftovers(l leftover) error {
	deadline := time.Now().Add(sweepTimeout)
	for {
		pidfds, err := l.find()
		if err != nil || len(pidfds) == 0 {
			return err
		}
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
		if len(errs) > 0 && time.Now().After(deadline) {
			return errors.Join(errs...)
		}
	}
}

// find returns a pidfd for each process that belongs to the container and still runs.
func (l leftover) find() (map[int]int, error) {
	pids, err := allPIDs()
	if err != nil {
		return nil, err
	}
	found := make(map[int]int)
	for _, pid := range pids {
		if pid == l.leader || pid == os.Getpid() || !l.owns(pid) {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it went meanwhile
		}
		if !l.owns(pid) { // only now is it pinned
			_ = unix.Close(fd)
			continue
		}
		found[pid] = fd
	}
	return found, nil
}

func (l leftover) owns(pid int) bool {
	stat, err := readStat(pid)
	if err != nil || stat.dead() || stat.start < l.since {
		return false
	}
	return l.leader != 0 && stat.session == l.leader || covers(l.marker, readMarker(pid))
}

func allPIDs() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("cannot look for processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("cannot look for processes: %w", err)
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
