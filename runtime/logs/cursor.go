package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// cursor reads the log of one restart from its oldest rotated file to the end of the live one, and stays
// right while the live file is rotated under it, by us (the head is dropped) or by a kubelet (the
// file is renamed).
type cursor struct {
	ctx     context.Context // of every wait for a lock
	dir     string
	restart int
	queue   []*segment // rotated files to be read before the live one, oldest first
	live    *os.File   // nil when there is none
	offset  int64      // in the live file, counted from its first byte that was not dropped
	cut     bool       // it began in the middle of a line
	seen    string     // stamp of the newest rotated file when offset was last made right
}

// openCursor opens the log of one restart, at its beginning or where its tail begins.
func openCursor(ctx context.Context, dir string, restart int, tail tail) (*cursor, error) {
	c := &cursor{ctx: ctx, dir: dir, restart: restart}
	release, err := c.lock()
	if err != nil {
		return nil, err
	}
	defer release()
	err = c.start(tail)
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *cursor) start(tail tail) error {
	files, err := rotated(c.dir, c.restart)
	if err != nil {
		return err
	}
	for _, f := range files {
		c.seen = f.stamp
		if err := c.push(f, 0); err != nil {
			return err
		}
	}
	if c.live == nil && len(c.queue) == 0 {
		return fmt.Errorf("no log of restart %d: %w", c.restart, fs.ErrNotExist)
	}
	if tail.lines < 0 {
		return nil
	}
	return c.seekTail(tail)
}

func (c *cursor) close() {
	for _, s := range c.queue {
		s.close()
	}
	c.queue = nil
	if c.live != nil {
		_ = c.live.Close()
		c.live = nil
	}
}

// Read returns the next bytes, and io.EOF when there are none for now.
func (c *cursor) Read(buf []byte) (int, error) {
	for {
		for len(c.queue) > 0 {
			n, err := c.queue[0].read(buf)
			if n > 0 {
				return n, nil
			}
			if !errors.Is(err, io.EOF) {
				return 0, fmt.Errorf("cannot read %s: %w", c.queue[0].name, err)
			}
			c.queue[0].close()
			c.queue = c.queue[1:]
		}
		n, err := c.readLive(buf)
		if n > 0 || err != nil || len(c.queue) == 0 {
			return n, err
		}
	}
}

// readLive reads from the live file. When a rotation has overtaken the reader it fills the queue instead.
func (c *cursor) readLive(buf []byte) (int, error) {
	release, err := c.lock()
	if err != nil {
		return 0, err
	}
	defer release()
	if err := c.catchUp(); err != nil || len(c.queue) > 0 {
		return 0, err
	}
	if c.live == nil {
		return 0, io.EOF
	}
	start, size, err := extent(c.live)
	if err != nil {
		return 0, err
	}
	if c.offset > size-start { // somebody truncated it
		c.offset = 0
	}
	n, err := c.live.ReadAt(buf[:min(int64(len(buf)), size-start-c.offset)], start+c.offset)
	c.offset += int64(n)
	if n == 0 {
		return 0, io.EOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, fmt.Errorf("cannot read log: %w", err)
	}
	return n, nil
}

// lock keeps rotations away until unlock is called. The live file is opened if it is not yet.
func (c *cursor) lock() (release func(), err error) {
	lock, err := lockDir(c.ctx, c.dir, unix.LOCK_SH, readPatience)
	if err != nil {
		return nil, err
	}
	if c.live == nil {
		f, err := openLog(c.ctx, livePath(c.dir, c.restart), os.O_RDONLY, readPatience)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			unlock(lock)
			return nil, err
		}
		c.live = f
	}
	return func() { unlock(lock) }, nil
}

// catchUp makes offset right after rotations: bytes that went to rotated files are no longer in the live
// file, and what of them was not read is queued. The lock is held.
func (c *cursor) catchUp() error {
	files, err := rotated(c.dir, c.restart)
	if err != nil {
		return err
	}
	behind := false // the reader's place is in a rotated file
	for _, f := range files {
		if f.stamp <= c.seen {
			continue
		}
		if f.gone > 0 {
			c.seen = f.stamp
			if c.offset >= f.gone {
				c.offset -= f.gone
			} else {
				behind = true // what the reader has missed is lost
			}
			continue
		}
		info, err := os.Lstat(filepath.Join(c.dir, f.name))
		if err != nil {
			return err
		}
		if c.isLive(info) && !exists(livePath(c.dir, c.restart)) {
			return nil // renamed, but the writer has not made its new file yet: it goes on with this one
		}
		c.seen = f.stamp
		from := c.offset
		if behind {
			from = 0
		} else if !c.isLive(info) && from >= info.Size() {
			c.offset -= info.Size()
			continue
		}
		behind = true
		if err := c.push(f, from); err != nil {
			return err
		}
	}
	if behind {
		c.offset = 0
	}
	return c.reopen()
}

func (c *cursor) isLive(info fs.FileInfo) bool {
	if c.live == nil {
		return false
	}
	mine, err := c.live.Stat()
	return err == nil && os.SameFile(mine, info)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// reopen follows the live file's name after a rotation by rename.
func (c *cursor) reopen() error {
	info, err := os.Lstat(livePath(c.dir, c.restart))
	if errors.Is(err, fs.ErrNotExist) || err == nil && c.isLive(info) || c.live == nil {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := openLog(c.ctx, livePath(c.dir, c.restart), os.O_RDONLY, readPatience)
	if err != nil {
		return err
	}
	_ = c.live.Close()
	c.live, c.offset = f, 0
	return nil
}

// push opens a rotated file, so that it can be read even when it is removed meanwhile, and queues it.
func (c *cursor) push(f logFile, from int64) error {
	if f.gone > 0 {
		return nil
	}
	file, err := openLog(c.ctx, filepath.Join(c.dir, f.name), os.O_RDONLY, readPatience)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // too old to be kept
	}
	if err != nil {
		return err
	}
	c.queue = append(c.queue, &segment{name: f.name, file: file, gzipped: f.gzipped(), offset: from})
	return nil
}

// extent is where the data of a live file starts and ends.
func extent(f *os.File) (start, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	start, err = dataStart(f)
	return start, info.Size(), err
}
