package process

import (
	"errors"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childSet are the processes that a Runtime has started and not reaped yet. It is safe for concurrent use.
type childSet struct {
	// starting is held for reading while a child is born or reaped, and for writing by who must know them all.
	starting sync.RWMutex
	mu       sync.Mutex
	own      map[int]bool
}

// spawn starts a process; see the function of that name.
func (cs *childSet) spawn(s spawnSpec) (pid, pidfd int, err error) {
	cs.starting.RLock()
	defer cs.starting.RUnlock()
	pid, pidfd, err = spawn(s)
	if err == nil {
		cs.mu.Lock()
		defer cs.mu.Unlock()
		if cs.own == nil {
			cs.own = make(map[int]bool)
		}
		cs.own[pid] = true
	}
	return pid, pidfd, err
}

// reap waits for a child that has ended.
func (cs *childSet) reap(pid int) (status unix.WaitStatus, err error) {
	cs.starting.RLock()
	defer cs.starting.RUnlock()
	cs.mu.Lock()
	delete(cs.own, pid) // before the number is free for another one
	cs.mu.Unlock()
	for {
		if _, err = unix.Wait4(pid, &status, 0, nil); !errors.Is(err, unix.EINTR) {
			return status, err
		}
	}
}

// childStatus is the wait status of a child that has ended. It stays a zombie.
func childStatus(pid int) (unix.WaitStatus, bool) {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, false
		}
		return waitStatus(&info), true
	}
}

// waitStatus makes of what waitid(2) tells what wait4(2) would.
func waitStatus(info *unix.Siginfo) unix.WaitStatus {
	// The part of siginfo_t for SIGCHLD, which unix.Siginfo does not name: behind three numbers, aligned as a pointer.
	type child struct {
		_      [3]int32
		_      [0]uintptr
		_      int32 // PID
		_      uint32
		status int32
	}
	const exited, dumped = 1, 3 // CLD_EXITED, CLD_DUMPED
	status := uint32((*child)(unsafe.Pointer(info)).status)
	switch info.Code {
	case exited:
		return unix.WaitStatus(status << 8)
	case dumped:
		return unix.WaitStatus(status | 0x80)
	default:
		return unix.WaitStatus(status)
	}
}

func (cs *childSet) has(pid int) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.own[pid]
}
