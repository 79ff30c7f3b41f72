package logs

import (
	"bytes"
	"io"
	"strconv"
	"time"
)

// maxLine is how much of a line is held back until its end comes. What is longer passes in pieces.
const maxLine = 64 << 10

// lineWriter passes on log text line by line: the CRI's prefix ("<time> stdout F ") is taken off, and
// with Since the lines before that moment are left out. A line without a time of its own belongs to the line
// before it; a log in which no line has one passes whole.
type lineWriter struct {
	w     io.Writer
	since time.Time
	now   time.Time // for time stamps without a year
	part  []byte    // the beginning of a line whose end has not come
	long  bool      // the present line is longer than maxLine, and its beginning was judged already

	pass bool   // lines are passed on; once true, it stays
	seen bool   // a line with a time was seen
	hold []byte // lines without a time before the first one with a time
	out  []byte
}

func newLineWriter(w io.Writer, opts Options) *lineWriter {
	return &lineWriter{w: w, since: opts.Since, now: time.Now(), pass: opts.Since.IsZero()}
}

// Write takes any piece of the log.
func (l *lineWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			l.part = append(l.part, rest...)
			if len(l.part) >= maxLine {
				l.line(l.part)
				l.part, l.long = l.part[:0], true
			}
			break
		}
		line := rest[:i+1]
		if len(l.part) > 0 {
			l.part = append(l.part, line...)
			line = l.part
		}
		l.line(line)
		l.part, l.long = l.part[:0], false
		rest = rest[i+1:]
	}
	return len(p), l.emit()
}

// flush passes on a last line that has no newline, and lines that were held because none had a time.
func (l *lineWriter) flush() error {
	if len(l.part) > 0 {
		l.line(l.part)
		l.part = nil
	}
	return l.settle()
}

// settle decides that a log that has no times so far passes whole: its reader waits.
func (l *lineWriter) settle() error {
	if !l.seen && len(l.hold) > 0 {
		l.pass = true
		l.out = append(l.out, l.hold...)
		l.hold = nil
	}
	return l.emit()
}

func (l *lineWriter) emit() error {
	if len(l.out) == 0 {
		return nil
	}
	_, err := l.w.Write(l.out)
	l.out = l.out[:0]
	return err
}

// line judges one line, or a piece of a long one.
func (l *lineWriter) line(line []byte) {
	var at time.Time
	if !l.long {
		var ok bool
		if at, line, ok = cutCRI(line); !ok && !l.pass {
			at = lineTime(line, l.now)
		}
	}
	switch {
	case l.pass:
		l.out = append(l.out, line...)
	case at.IsZero() && !l.seen && len(l.hold) < maxLine:
		l.hold = append(l.hold, line...)
	case at.IsZero() && !l.seen: // so much without a time: there will be none
		l.pass = true
		l.out = append(append(l.out, l.hold...), line...)
		l.hold = nil
	case !at.IsZero() && !at.Before(l.since):
		if !l.seen {
			l.out = append(l.out, l.hold...)
		}
		l.pass, l.seen, l.hold = true, true, nil
		l.out = append(l.out, line...)
	case !at.IsZero():
		l.seen, l.hold = true, nil
	}
}

// cutCRI takes "2016-10-06T00:17:09.669794202Z stdout F " off a line, and the newline too when the line goes on
// (P for F). See k8s.io/cri-client/pkg/logs: parseCRILog.
func cutCRI(line []byte) (time.Time, []byte, bool) {
	if len(line) < len("2006-01-02T15:04:05Z stdout F ") || line[4] != '-' || line[10] != 'T' {
		return time.Time{}, line, false
	}
	stamp, rest, _ := bytes.Cut(line, []byte(" "))
	stream, rest, _ := bytes.Cut(rest, []byte(" "))
	tag, text, ok := bytes.Cut(rest, []byte(" "))
	if !ok || string(stream) != "stdout" && string(stream) != "stderr" {
		return time.Time{}, line, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return time.Time{}, line, false
	}
	switch kind, _, _ := bytes.Cut(tag, []byte(":")); string(kind) {
	case "P":
		return at, bytes.TrimSuffix(text, []byte("\n")), true
	case "F":
		return at, text, true
	}
	return time.Time{}, line, false
}

// lineTime is the time that a line begins with, or carries as JSON: klog's header, etcd's (zap's) and klog's JSON,
// RFC 3339. Zero when there is none.
func lineTime(line []byte, now time.Time) time.Time {
	if len(line) == 0 {
		return time.Time{}
	}
	switch c := line[0]; {
	case c == 'I' || c == 'W' || c == 'E' || c == 'F':
		return klogTime(line, now)
	case c == '{':
		return jsonTime(line)
	case c >= '0' && c <= '9':
		word, _, _ := bytes.Cut(line, []byte(" "))
		return stampTime(string(bytes.TrimSpace(word)))
	}
	return time.Time{}
}

// klogTime reads "I1121 01:47:49.123456": local time, no year.
func klogTime(line []byte, now time.Time) time.Time {
	const header = "0102 15:04:05.000000"
	if len(line) < 1+len(header) {
		return time.Time{}
	}
	stamp := string(line[1 : 1+len(header)])
	for year := now.Year() + 1; year >= now.Year()-4; year-- { // a 29th of February needs its year
		at, err := time.ParseInLocation("2006"+header, strconv.Itoa(year)+stamp, now.Location())
		if err == nil && !at.After(now.Add(24*time.Hour)) {
			return at
		}
	}
	return time.Time{}
}

// jsonTime reads the "ts" of a JSON line: a string, or seconds or milliseconds since 1970.
func jsonTime(line []byte) time.Time {
	head := line[:min(len(line), 512)]
	_, rest, ok := bytes.Cut(head, []byte(`"ts":`))
	if !ok {
		return time.Time{}
	}
	if quoted, isString := bytes.CutPrefix(rest, []byte(`"`)); isString {
		stamp, _, _ := bytes.Cut(quoted, []byte(`"`))
		return stampTime(string(stamp))
	}
	end := bytes.IndexAny(rest, ",}")
	if end < 0 {
		return time.Time{}
	}
	number, err := strconv.ParseFloat(string(rest[:end]), 64)
	if err != nil || number <= 0 {
		return time.Time{}
	}
	if number < 1e11 { // seconds until the year 5138
		number *= 1000
	}
	return time.UnixMicro(int64(number * 1000))
}

func stampTime(stamp string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"} {
		if at, err := time.Parse(layout, stamp); err == nil {
			return at
		}
	}
	return time.Time{}
}
