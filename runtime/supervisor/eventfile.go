package supervisor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
)

// eventFile keeps events beyond the supervisor's own life: JSON lines, one runtime.Event each, oldest first. The
// first one of each supervisor has a Session. A file that is full becomes PATH.old, in the place of the one before it.
//
// It is no journal: nothing is synced, and a line that was torn is left out by whoever reads it. Writing is the work
// of a goroutine of its own, as with records: a pod never waits for a disk.
type eventFile struct {
	path  string
	limit int64 // bytes of one file
	log   *slog.Logger

	mu      sync.Mutex
	pending []runtime.Event
	dropped int
	wake    notifier

	// Of the writing goroutine only.
	file    *os.File
	size    int64
	session *runtime.Event // begins each file
	failed  bool           // and that was said
}

const (
	eventFileLimit = 4 << 20 // bytes: more than ten thousand events
	eventsLoaded   = 1 << 20 // bytes of it that a new supervisor remembers
	mostPending    = 10000   // events that wait for a disk
	eventDelay     = 50 * time.Millisecond
	oldSuffix      = ".old"
)

func newEventFile(path string, log *slog.Logger) *eventFile {
	return &eventFile{path: path, limit: eventFileLimit, log: log, wake: newNotifier()}
}

// put keeps an event for the next write.
func (f *eventFile) put(e runtime.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pending) == mostPending {
		f.pending = f.pending[1:]
		f.dropped++
	}
	f.pending = append(f.pending, e)
	f.wake.notify()
}

// run writes events until ctx ends. What comes later is for close.
func (f *eventFile) run(ctx context.Context) {
	f.wake.serve(ctx, eventDelay, f.flush)
}

// close writes what is left; nothing is written after it.
func (f *eventFile) close() {
	f.flush()
	if f.file != nil {
		_ = f.file.Close() // every write was checked
		f.file = nil
	}
}

func (f *eventFile) flush() {
	f.mu.Lock()
	events, dropped := f.pending, f.dropped
	f.pending, f.dropped = nil, 0
	f.mu.Unlock()
	if len(events) == 0 {
		return
	}
	if err := f.write(events); err != nil {
		if !f.failed {
			f.log.Warn("cannot keep events on disk: the timeline and the next supervisor will lack them", "file", f.path, "error", err)
		}
		f.failed = true
		return
	}
	f.failed = false
	if dropped > 0 {
		f.log.Warn("the disk was too slow for some events", "file", f.path, "dropped", dropped)
	}
}

func (f *eventFile) write(events []runtime.Event) error {
	for _, e := range events {
		if e.Session != nil {
			f.session = &e
		}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf) // one line each
	enc.SetEscapeHTML(false)
	for _, e := range events {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	if f.file != nil && f.size+int64(buf.Len()) > f.limit {
		if err := f.turn(); err != nil {
			return err
		}
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	n, err := f.file.Write(buf.Bytes())
	f.size += int64(n)
	if err != nil { // a full disk may have taken half a line: open puts a line's end behind it
		_ = f.file.Close()
		f.file = nil
	}
	return err
}

// open goes on with the file that is there, behind a line that was torn. It makes no directory: one that was removed
// while the supervisor runs is to stay away.
func (f *eventFile) open() error {
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	last := make([]byte, 1)
	if err == nil && info.Size() > 0 {
		if _, err = file.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			_, err = file.WriteString("\n")
		}
	}
	if err != nil {
		_ = file.Close() // the first error is the one to report
		return err
	}
	f.file, f.size = file, info.Size()
	return nil
}

// turn puts a full file aside and begins the next with the session, without which offsets mean nothing.
func (f *eventFile) turn() error {
	if err := os.Rename(f.path, f.path+oldSuffix); err != nil {
		return err
	}
	_ = f.file.Close() // every write was checked
	f.file = nil
	if err := f.open(); err != nil || f.session == nil {
		return err
	}
	line, err := json.Marshal(f.session)
	if err != nil {
		return err
	}
	n, err := f.file.Write(append(line, '\n'))
	f.size += int64(n)
	return err
}

// ReadEvents reads the events that supervisors have left at Options.EventsPath, oldest first, and how many lines of
// it are no events. Of one that happens in a row there is a line for each, or, after many, for each
// doubling; Count tells. No file is no events.
func ReadEvents(path string) (events []runtime.Event, bad int, err error) {
	for _, p := range []string{path + oldSuffix, path} {
		more, spoilt, err := readEvents(p, 2*eventFileLimit)
		if err != nil {
			return nil, 0, fmt.Errorf("cannot read the events: %w", err)
		}
		events, bad = append(events, more...), bad+spoilt
	}
	return events, bad, nil
}

// readEvents reads the last bytes of one file.
func readEvents(path string, most int64) (events []runtime.Event, bad int, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is no regular file", path)
	}
	r := bufio.NewReader(io.NewSectionReader(f, max(0, info.Size()-most), most))
	for first := info.Size() > most; ; first = false {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, bad, nil // a line without an end is not there yet, or was torn
		}
		if err != nil {
			return nil, 0, err
		}
		var e runtime.Event
		switch {
		case first: // a part of a line
		case json.Unmarshal(line, &e) != nil || e.Reason == "":
			bad++
		default:
			events = append(events, e)
		}
	}
}

// load puts what earlier supervisors have left into the history. An offset counts from this one's
// start, so theirs are negative, and follow the clock on the wall.
func (h *history) load(path string) {
	events, _, err := readEvents(path, eventsLoaded)
	if err != nil {
		h.log.Warn("cannot read the events of earlier supervisors", "file", path, "error", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		e.Offset = min(e.Time.Sub(h.begin), -1)
		e.Session = nil
		key := ""
		if e.Pod != "" {
			key = e.Pod + "_" + e.Namespace
		}
		h.remember(key, e)
	}
}

// newSession identifies this process for Event.Session.
func newSession(version string, began time.Time) *runtime.Session {
	s := &runtime.Session{PID: os.Getpid(), Version: version}
	boot, err := procfs.BootID()
	up, err2 := procfs.Uptime()
	if err == nil && err2 == nil {
		s.Boot, s.Uptime = boot, up-time.Since(began)
	}
	return s
}
