package logs

import (
	"bytes"
	"context"
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
	most := int64(2*limit + maxLine) // of the file: CRI's prefixes are not counted by the limit
	// An exit waits for its last lines: who keeps a lock of the log delays it, but not for long.
	ctx, cancel := context.WithTimeout(context.Background(), rotatePatience)
	defer cancel()
	c, err := openCursor(ctx, dir, restart, tail{lines: lines, perLine: most, all: most})
	if err != nil {
		return "", fmt.Errorf("cannot read log: %w", err)
	}
	defer c.close()
	last := lastBytes{limit: limit, cut: c.cut}
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
	if len(l.data) > 2*l.limit { // else a byte would be moved with every write
		l.trim()
	}
	return len(p), nil
}

// trim returns the bytes that are kept, cut at any place.
func (l *lastBytes) trim() []byte {
	if over := len(l.data) - l.limit; over > 0 {
		l.cut = true
		l.data = l.data[:copy(l.data, l.data[over:])]
	}
	return l.data
}

func (l *lastBytes) get() []byte {
	if l.trim(); !l.cut {
		return l.data
	}
	if _, rest, ok := bytes.Cut(l.data, []byte("\n")); ok && len(rest) > 0 {
		return rest
	}
	return l.data
}

// tail says how much of the end of a log is wanted.
type tail struct {
	lines   int   // negative for all of the log
	perLine int64 // a longer line is cut: its end has no more than so many bytes
	all     int64 // bytes of all lines; 0 for as many as there are
}

// longestTail is how far back the beginning of one line is looked for: a log may be a single line of gigabytes.
const longestTail = 1 << 20

// part is a piece of the log's text, with offsets that the scan for the tail counts in.
type part struct {
	io.ReaderAt
	start, end int64
	first      bool               // nothing before start can be looked at
	seek       func(offset int64) // makes reading begin there
}

// seekTail moves the cursor so many lines before the end; a last line without its newline counts. The lock is held.
func (c *cursor) seekTail(t tail) error {
	parts, err := c.parts()
	if err != nil || len(parts) == 0 {
		return err
	}
	last := len(parts) - 1
	if t.lines == 0 {
		c.beginAt(parts, last, parts[last].end)
		return nil
	}
	s := scan{tail: t, buf: make([]byte, 64<<10)}
	skip := int64(1) // the very last byte: if it is a newline, it closes the last line
	for i := last; i >= 0; i-- {
		p := parts[i]
		if p.end <= p.start {
			continue
		}
		at, done, err := s.back(p, p.end-skip)
		if err != nil {
			return err
		}
		if done {
			c.cut = s.cut
			c.beginAt(parts, i, at)
			return nil
		}
		skip = 0
	}
	return nil
}

// scan goes back over newlines.
type scan struct {
	tail
	buf       []byte
	line, sum int64 // bytes passed of the present line, and of all of them
	cut       bool  // it ended within a line
}

// back goes from end towards the start of a part. It returns where the tail begins, if that is in this part.
func (s *scan) back(p part, end int64) (at int64, done bool, err error) {
	for end > p.start {
		from := max(p.start, end-int64(len(s.buf)))
		block := s.buf[:end-from]
		if _, err := p.ReadAt(block, from); err != nil && !errors.Is(err, io.EOF) {
			return 0, false, fmt.Errorf("cannot read log: %w", err)
		}
		rest := int64(len(block))
		for i := bytes.LastIndexByte(block, '\n'); i >= 0; i = bytes.LastIndexByte(block[:i], '\n') {
			if at, over := s.over(from+rest, rest-int64(i)-1); over {
				return at, true, nil
			}
			rest, s.line = int64(i), 0
			if s.lines--; s.lines == 0 {
				return from + int64(i) + 1, true, nil
			}
		}
		if at, over := s.over(from+rest, rest); over {
			return at, true, nil
		}
		end = from
	}
	s.cut = s.cut || p.first
	return p.start, p.first, nil
}

// over counts n bytes before end, and tells where to begin if they are too many.
func (s *scan) over(end, n int64) (at int64, over bool) {
	s.line += n
	s.sum += n
	excess := s.line - s.perLine
	if s.all > 0 {
		excess = max(excess, s.sum-s.all)
	}
	if excess <= 0 {
		return 0, false
	}
	s.cut = true
	return end - n + excess, true
}

// parts are the queued files and the live one, from where the cursor is.
func (c *cursor) parts() ([]part, error) {
	var parts []part
	for _, s := range c.queue {
		p, err := s.part()
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", s.name, err)
		}
		parts = append(parts, p)
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
