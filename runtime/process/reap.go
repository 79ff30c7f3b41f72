package process

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
)

// Reap waits for the orphans that this process inherits as the first one of a PID namespace, until ctx ends: otherwise they
// stay zombies. It leaves alone what a Runtime started, and what somebody else in this process did, who waits for it.
func (r *Runtime) Reap(ctx context.Context) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	const pause = 10 * time.Second
	later := time.NewTicker(pause) // for those of our own session
	defer later.Stop()
	own, err := unix.Getsid(0)
	if err != nil {
		own = -1
	}
	seen := make(map[int]uint64)
	for {
		second := false
		select {
		case <-ctx.Done():
			return
		case <-ended:
		case <-later.C:
			second = true
		}
		left := r.reapOrphans(func(pid int, stat procfs.Stat) bool {
			// A child of our session may be somebody else's in this process. Who waits for it has done so in the pause.
			return stat.Session != own || second && seen[pid] == stat.Start
		})
		if second {
			seen = left
		}
	}
}

// reapOrphans reaps those zombies among our children that were started by nobody in this Runtime, and are chosen. It
// returns the start times of the others.
func (r *Runtime) reapOrphans(chosen func(pid int, stat procfs.Stat) bool) map[int]uint64 {
	r.children.starting.Lock() // none is being born, so each is known
	defer r.children.starting.Unlock()
	left := make(map[int]uint64)
	pids, err := procfs.PIDs()
	if err != nil {
		return left
	}
	for _, pid := range pids {
		stat, err := procfs.ReadStat(pid)
		if err != nil || stat.State != 'Z' || stat.Parent != os.Getpid() || r.children.has(pid) {
			continue
		}
		if !chosen(pid, stat) {
			left[pid] = stat.Start
			continue
		}
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
	return left
}

// checkProc refuses a /proc of another PID namespace: each number in it would be somebody else's.
func checkProc() error {
	self, err := procfs.Self()
	if err != nil || self != fmt.Sprint(os.Getpid()) {
		return hinted{
			error: fmt.Errorf("/proc is not that of this PID namespace: it says %q of process %d", self, os.Getpid()),
			hint:  "mount it anew: mount -t proc proc /proc, or unshare --mount-proc",
		}
	}
	return nil
}
