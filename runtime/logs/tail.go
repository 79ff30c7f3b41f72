package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// LastLines returns the end of a live log file (with its rotated heads, if need be): at most so many lines and so
// many bytes, without the CRI's prefixes. A line that the byte limit cuts is left out unless it is the only one.
func LastLines(path string, lines, limit int) (string, error) {
	dir, restart, err := splitLive(path)
	if err != nil {
		return "", err
	}
	c, err := openCursor(dir, restart, lines)
	if err != nil {
		return "", fmt.Errorf("cannot read log: %w", err)
	}
	defer c.close()
	last := lastBytes{limit: limit}
	lw := newLineWriter(&last, Options{})
	if _, err := io.Copy(lw, c); err != nil {
		return "", fmt.Errorf("cannot read log: %w", err)
	}
	if err := lw.flush(); err != nil {
		return "", err
	}
	return strings.ToValidUTF8(string(last.get()), "\uFFFD"), nil
}

// lastBytes is a writer that remembers the end of what was written.
type lastBytes struct {
	limit int
	data  []byte
	cut   bool
}

func (l *lastBytes) Write(p []byte) (int, error) {
	l.data = append(l.data, p...)
	if over := len(l.data) - l.limit; over > 0 {
		l.cut = true
		l.data = l.data[:copy(l.data, l.data[over:])]
	}
	return len(p), nil
}

func (l *lastBytes) get() []byte {
	if !l.cut {
		return l.data
	}
	if _, rest, ok := bytes.Cut(l.data, []byte("\n")); ok && len(rest) > 0 {
		return rest
	}
	return l.data
}

// part is a piece of the log's text, with offsets that the scan for the tail counts in.
type part struct {
	io.ReaderAt
	start, end int64
	seek       func(offset int64) // makes reading begin there
}

// seekTail moves the cursor so many lines before the end; a last line without its newline counts. The lock is held.
func (c *cursor) seekTail(lines int) error {
	parts, err := c.parts()
	if err != nil {
		return err
	}
	last := len(parts) - 1
	if lines == 0 {
		c.beginAt(parts, last, parts[last].end)
		return nil
	}
	skip := int64(1) // the very last byte: if it is a newline, it closes the last line
	for i := last; i >= 0; i-- {
		p := parts[i]
		if p.end <= p.start {
			continue
		}
		at, left, err := p.back(p.end-skip, lines)
		if err != nil {
			return err
		}
		if left == 0 {
			c.beginAt(parts, i, at)
			return nil
		}
		lines, skip = left, 0
	}
	return nil
}

// back goes from end towards the start of the part over so many newlines, and returns the offset behind the last of
// them and how many it did not find.
func (p part) back(end int64, newlines int) (at int64, left int, err error) {
	buf := make([]byte, 64<<10)
	for end > p.start {
		from := max(p.start, end-int64(len(buf)))
		block := buf[:end-from]
		if _, err := p.ReadAt(block, from); err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, fmt.Errorf("cannot read log: %w", err)
		}
		for i := bytes.LastIndexByte(block, '\n'); i >= 0; i = bytes.LastIndexByte(block[:i], '\n') {
			if newlines--; newlines == 0 {
				return from + int64(i) + 1, 0, nil
			}
		}
		end = from
	}
	return 0, newlines, nil
}

// parts are the queued files and the live one, from where the cursor is.
func (c *cursor) parts() ([]part, error) {
	var parts []part
	for _, s := range c.queue {
		r, size, err := s.reader()
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", s.name, err)
		}
		parts = append(parts, part{ReaderAt: r, start: s.offset, end: size, seek: func(o int64) { s.offset = o }})
	}
	if c.live != nil {
		start, size, err := extent(c.live)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{ReaderAt: c.live, start: start, end: size, seek: func(o int64) { c.offset = o - start }})
	}
	return parts, nil
}

// beginAt drops what comes before an offset in one of the parts.
func (c *cursor) beginAt(parts []part, i int, offset int64) {
	parts[i].seek(offset)
	drop := min(i, len(c.queue))
	for _, s := range c.queue[:drop] {
		s.close()
	}
	c.queue = c.queue[drop:]
}
