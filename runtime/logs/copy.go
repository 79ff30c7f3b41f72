package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options says which part of a container's log is wanted.
type Options struct {
	Previous bool      // the restart before the newest one
	Follow   bool      // go on until ctx ends, through rotations and into the logs of later restarts
	Tail     int       // the last lines only; negative for all
	Since    time.Time // only lines from then on, if they carry a time (klog, etcd's JSON, RFC 3339, CRI)
}

// pollPeriod is how often a follower looks even when it was not notified (the kubelet does so too,
// cri-client/pkg/logs: logForceCheckPeriod).
const pollPeriod = time.Second

// Copy writes a container's log to w: rotated files and the live file, in order. dir is the container's log
// directory. It returns nil when ctx ends while it follows. With nothing there it returns an error
// that wraps fs.ErrNotExist, unless it follows and the directory exists.
func Copy(ctx context.Context, w io.Writer, dir string, opts Options) error {
	err := copyLog(ctx, w, dir, opts)
	if opts.Follow && ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read log %s: %w", dir, err)
	}
	return nil
}

func copyLog(ctx context.Context, w io.Writer, dir string, opts Options) error {
	ctx, cancel := context.WithCancel(ctx) // ends the watch
	defer cancel()
	var wake <-chan struct{}
	if opts.Follow {
		watcher, err := watch(ctx, dir) // before the first read, so that nothing is missed
		if err != nil {
			return err
		}
		wake = watcher
	}
	files, err := list(dir)
	if err != nil {
		return err
	}
	numbers := restarts(files)
	newest := len(numbers) - 1
	if opts.Previous {
		newest--
	}
	if newest < 0 && opts.Previous {
		return fmt.Errorf("there is no previous container: %w", fs.ErrNotExist)
	}
	for newest < 0 {
		if !opts.Follow {
			return fmt.Errorf("the container has not started yet: %w", fs.ErrNotExist)
		}
		if !pause(ctx, wake) {
			return nil
		}
		if files, err = list(dir); err != nil {
			return err
		}
		numbers = restarts(files)
		newest = len(numbers) - 1
	}
	return copyRestarts(ctx, w, dir, opts, follower{restart: numbers[newest], wake: wake})
}

type follower struct {
	restart int
	wake    <-chan struct{} // nil: do not follow
}

// copyRestarts copies the log of one restart and, when following, of those after it.
func copyRestarts(ctx context.Context, w io.Writer, dir string, opts Options, f follower) error {
	c, err := openCursor(ctx, dir, f.restart, tail{lines: opts.Tail, perLine: longestTail})
	if err != nil {
		return err
	}
	defer func() { c.close() }()
	lines := newLineWriter(w, opts)
	buf := make([]byte, 64<<10)
	ended := false // a later restart exists, so this log is complete once it was read again
	for {
		err := c.copyTo(ctx, lines, buf)
		if err == nil && f.wake == nil {
			return lines.flush()
		}
		if err != nil {
			return err
		}
		next, found, err := nextRestart(dir, c.restart)
		switch {
		case err != nil:
			return err
		case found && !ended:
			ended = true
			continue
		case found:
			following, err := openCursor(ctx, dir, next, tail{lines: -1})
			if err != nil {
				return err
			}
			c.close()
			c, ended = following, false
			if err := lines.flush(); err != nil {
				return err
			}
			continue
		}
		if err := lines.settle(); err != nil {
			return err
		}
		if !pause(ctx, f.wake) {
			return lines.flush()
		}
	}
}

// copyTo copies what there is now.
func (c *cursor) copyTo(ctx context.Context, w io.Writer, buf []byte) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := c.Read(buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
	}
}

// nextRestart finds the first log after that of a restart.
func nextRestart(dir string, after int) (next int, found bool, err error) {
	files, err := list(dir)
	if err != nil {
		return 0, false, err
	}
	for _, n := range restarts(files) {
		if n > after {
			return n, true, nil
		}
	}
	return 0, false, nil
}

// watch tells of changes in dir until ctx ends. Several changes may be told of as one. When the kernel has no
// watch left, there are only the polls.
func watch(ctx context.Context, dir string) (<-chan struct{}, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	wake := make(chan struct{}, 1)
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return wake, nil
	}
	if err := watcher.Add(dir); err != nil {
		return wake, watcher.Close()
	}
	go func() {
		defer func() { _ = watcher.Close() }()
		for {
			select {
			case <-ctx.Done():
				return
			case _, open := <-watcher.Errors: // an overflow: the poll finds what was missed
				if !open {
					return
				}
			case <-watcher.Events:
				select {
				case wake <- struct{}{}:
				default:
				}
			}
		}
	}()
	return wake, nil
}

// pause waits for the next change, or the next poll; false when ctx has ended.
func pause(ctx context.Context, wake <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-wake:
		return true
	case <-time.After(pollPeriod):
		return true
	}
}
