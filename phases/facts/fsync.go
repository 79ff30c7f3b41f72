package facts

import (
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// How fsyncs are measured: as etcd writes its write-ahead log, in records that are appended to
// a file that has its size already, each with its fdatasync (etcd's documentation measures so, with
// fio --rw=write --fdatasync=1 --bs=2300).
const (
	fsyncRecord = 2300
	fsyncFile   = 1 << 20
	mostFsyncs  = 200
	// SlowFsync is what etcd asks of a disk: 99 of 100 writes take less.
	SlowFsync = 10 * time.Millisecond
	// If one is slow it is measured for so many times as long: one alone may be chance.
	moreIfSlow = 5
)

// fsyncTimer measures in the background, because a write to a sick disk may take minutes and cannot be called off.
type fsyncTimer struct {
	mu    sync.Mutex
	took  []time.Duration
	began time.Time // of the write that is under way; zero: none
	stop  bool
	done  chan struct{}
}

// timeFsyncs begins to measure in the file system of an existing directory. The file has no name, so that no kill leaves it.
func timeFsyncs(dir string) *fsyncTimer {
	t := &fsyncTimer{done: make(chan struct{})}
	go t.run(dir)
	return t
}

func (t *fsyncTimer) run(dir string) {
	defer close(t.done)
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return // a file system that has no files without names, or one that we may not write to
	}
	f := os.NewFile(uintptr(fd), dir)
	defer func() { _ = f.Close() }() // what was written is gone in any case
	if unix.Fallocate(fd, 0, 0, fsyncFile) != nil || unix.Fdatasync(fd) != nil {
		return
	}
	record := slices.Repeat([]byte("kubecrank "), fsyncRecord/10)
	for n := 0; t.next(); n++ {
		if _, err := f.WriteAt(record, int64(n*fsyncRecord%(fsyncFile-fsyncRecord))); err != nil {
			return
		}
		if err := unix.Fdatasync(fd); err != nil {
			return
		}
		t.end()
	}
}

func (t *fsyncTimer) next() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop || len(t.took) == mostFsyncs {
		return false
	}
	t.began = time.Now()
	return true
}

func (t *fsyncTimer) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took = append(t.took, time.Since(t.began))
	t.began = time.Time{}
}

// seen is how long writes took until now, with the one that is under way if it is slow already.
func (t *fsyncTimer) seen() []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	took := slices.Clone(t.took)
	if !t.began.IsZero() && time.Since(t.began) > SlowFsync {
		took = append(took, time.Since(t.began))
	}
	return took
}

// wait ends the measuring after a time; later, if writes are slow.
func (t *fsyncTimer) wait(patience time.Duration) []time.Duration {
	t.await(patience)
	if slices.ContainsFunc(t.seen(), func(d time.Duration) bool { return d > SlowFsync }) {
		t.await((moreIfSlow - 1) * patience)
	}
	took := t.seen()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stop = true
	return took
}

func (t *fsyncTimer) await(patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C:
	}
}
