// Package printable makes foreign text safe for a terminal. Logs, answers of probes, files and names of others may hold
// control characters, and a terminal obeys them: they move the cursor, set the title, rewrite what stands above.
//
//	text of others --String, Writer--> newlines, tabs and printable runes as they are; \x1b, \u009b, \xff for all else
//
// Only what is shown to people goes through here. A pipe gets a log byte by byte, and JSON has an encoding of its own.
package printable

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// String returns s with everything escaped that is no newline, no tab and no printable rune.
func String(s string) string {
	for i, r := range s {
		if !safe(r) || r == utf8.RuneError { // most texts need no copy
			return s[:i] + string(appendEscaped(nil, []byte(s[i:])))
		}
	}
	return s
}

// Writer escapes what it passes on, as String does. A rune may come in several writes.
type Writer struct {
	w    io.Writer
	part []byte // the beginning of a rune whose end has not come
	out  []byte
}

// NewWriter returns a Writer that passes on to w. Flush it when the text has ended.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	data := p
	if len(w.part) > 0 {
		data = append(w.part, p...)
	}
	whole := len(data) - tail(data)
	w.out = appendEscaped(w.out[:0], data[:whole])
	w.part = append([]byte(nil), data[whole:]...)
	if _, err := w.w.Write(w.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush passes on the beginning of a rune that was never completed.
func (w *Writer) Flush() error {
	out := appendEscaped(nil, w.part)
	w.part = nil
	_, err := w.w.Write(out)
	return err
}

// tail is how many bytes at the end of data may be the beginning of a rune.
func tail(data []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(data); n++ {
		if end := data[len(data)-n:]; utf8.RuneStart(end[0]) {
			if !utf8.FullRune(end) {
				return n
			}
			return 0
		}
	}
	return 0
}

func appendEscaped(out, data []byte) []byte {
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && n == 1, r < utf8.RuneSelf && !safe(r):
			out = fmt.Appendf(out, `\x%02x`, data[0])
		case safe(r):
			out = append(out, data[:n]...)
		case r > 0xffff:
			out = fmt.Appendf(out, `\U%08x`, r)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		data = data[n:]
	}
	return out
}

// safe tells whether a terminal only shows the rune. Format characters are not safe: some reverse the order of the text.
func safe(r rune) bool { return r == '\n' || r == '\t' || unicode.IsGraphic(r) }
