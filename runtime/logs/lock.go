package logs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockName is the file in a log directory that keeps readers and Rotate apart. It is a file of its own because the
// writer of a log has the log itself open: a lock on that inode could be held by the writer, for ever.
const lockName = ".lock"

const (
	// readPatience and rotatePatience bound the wait for the lock. A rotation copies some ten megabytes, a reader
	// holds its lock for one read.
	readPatience   = 5 * time.Second
	rotatePatience = 500 * time.Millisecond
	retryPeriod    = 2 * time.Millisecond
)

// BusyError says that a log stayed locked, or leased by its writer, for longer than its readers wait.
type BusyError struct{ Path string }

func (e *BusyError) Error() string { return "another process keeps " + e.Path + " locked" }

// Hint is the remedy.
func (e *BusyError) Hint() string { return "'fuser -v " + e.Path + "' names the process" }

// lockDir takes the lock of a log directory, shared (LOCK_SH) or not (LOCK_EX), and returns the file whose Close gives
// it back. Who may not write to the directory reads without a lock and gets nil.
func lockDir(ctx context.Context, dir string, how int, patience time.Duration) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	switch {
	case err == nil:
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return nil, nil // a full disk must not keep Rotate from freeing it
	case how == unix.LOCK_SH && (errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrNotExist)):
		return nil, nil
	default:
		return nil, fmt.Errorf("cannot lock the log: %w", err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, fmt.Errorf("cannot lock the log: %s is no regular file", path))
	}
	err = retry(ctx, patience, path, func() error { return unix.Flock(int(f.Fd()), how|unix.LOCK_NB) })
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// unlock gives a lock of lockDir back.
func unlock(lock *os.File) {
	if lock != nil {
		_ = lock.Close() // which cannot fail: nothing was written
	}
}

// openLog opens a log file for reading, or with how = O_RDWR for Rotate. Its writer may hold a lease on it, which the
// kernel breaks some time after the first attempt.
func openLog(ctx context.Context, path string, how int, patience time.Duration) (*os.File, error) {
	var f *os.File
	err := retry(ctx, patience, path, func() (err error) {
		f, err = os.OpenFile(path, how|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file (%s)", path, info.Mode().Type())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// retry repeats a call that would block until it works, ctx ends, or the patience is over: *BusyError.
func retry(ctx context.Context, patience time.Duration, path string, do func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := do()
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		if time.Now().After(deadline) {
			return &BusyError{Path: path}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryPeriod):
		}
	}
}
