package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watch tells when a path may have changed. It watches the directory, or the nearest one that
// exists above a path that does not exist, and moves on when a directory is replaced (statement 30).
type watch struct {
	w      *fsnotify.Watcher
	target string // the watched directory
	id     [2]uint64
	only   string // when not "", events about other names say nothing
	err    error  // a broken watcher
}

// ensure makes the watch fit what is at path now. It looks again after each new watch: what was made
// just before it gives no event.
func (w *watch) ensure(path string) error {
	for {
		target, only, id, err := nearest(path)
		if err != nil {
			return fmt.Errorf("cannot watch %s: %w", path, err)
		}
		// The watch list is asked too: a new directory may have got the inode number of the old one.
		if w.w != nil && w.err == nil && w.target == target && w.id == id && w.only == only && len(w.w.WatchList()) == 1 {
			return nil
		}
		w.close()
		fresh, err := fsnotify.NewWatcher()
		if err != nil {
			return fmt.Errorf("cannot watch %s: %w", path, err)
		}
		if err := fresh.Add(target); err != nil {
			_ = fresh.Close() // the descriptor is gone either way
			if errors.Is(err, fs.ErrNotExist) {
				continue // it went just now
			}
			return fmt.Errorf("cannot watch %s: %w", path, err)
		}
		*w = watch{w: fresh, target: target, id: id, only: only}
	}
}

// nearest is the directory to watch for path: path itself, or the closest one above it that exists, and
// then the only entry that matters in there.
func nearest(path string) (target, only string, id [2]uint64, err error) {
	target = path
	info, err := os.Stat(target)
	for err != nil || !info.IsDir() {
		parent := filepath.Dir(target)
		if parent == target {
			return "", "", id, err
		}
		target, only = parent, target
		info, err = os.Stat(target)
	}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		id = [2]uint64{sys.Dev, sys.Ino}
	}
	return target, only, id, nil
}

// wait returns true when something may have changed or the time is over, false when ctx has ended.
func (w *watch) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	var events chan fsnotify.Event
	var errs chan error
	if w.w != nil {
		events, errs = w.w.Events, w.w.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case err := <-errs:
			// An overflow only means that events are missing: look. Anything else makes ensure start over.
			if err != fsnotify.ErrEventOverflow { //nolint:errorlint // fsnotify sends it bare
				w.err = fmt.Errorf("cannot watch %s: %w", w.target, err)
			}
			return true
		case e := <-events:
			if w.concerns(e) {
				w.drain()
				return true
			}
		}
	}
}

func (w *watch) concerns(e fsnotify.Event) bool {
	if e.Name == w.target && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)) {
		w.err = fmt.Errorf("cannot watch %s: it was removed or replaced", w.target)
	}
	return w.only == "" || e.Name == w.only || e.Name == w.target
}

// drain takes what is there already, so that a burst costs one scan.
func (w *watch) drain() {
	for {
		select {
		case e := <-w.w.Events:
			w.concerns(e)
		default:
			return
		}
	}
}

func (w *watch) close() {
	if w.w != nil {
		_ = w.w.Close() // nothing to be done about an error: the descriptor is gone either way
	}
	*w = watch{}
}
