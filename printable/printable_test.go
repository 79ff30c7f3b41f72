package printable

import (
	"bytes"
	"testing"
)

// cases hold what a container can write to take over the terminal of whoever looks at it.
var cases = []struct{ name, in, want string }{
	{"plain", "ready: 1/1\n\tpid 7\n", "ready: 1/1\n\tpid 7\n"},
	{"other scripts", "größe 日本語 ✓ 🙂 \u3000", "größe 日本語 ✓ 🙂 \u3000"},
	{"colors", "\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
	{"window title", "\x1b]0;owned\x07", `\x1b]0;owned\x07`},
	{"C1 as UTF-8", "\u009b2J", `\u009b2J`},
	{"C1 as a byte", "\x9b2J", `\x9b2J`},
	{"line rewritten", "failed\rready ", `failed\x0dready `},
	{"backspace, NUL, DEL", "a\bb\x00c\x7f", `a\x08b\x00c\x7f`},
	{"right to left", "a\u202eb\u2066c", `a\u202eb\u2066c`},
	{"line separator", "a\u2028b", `a\u2028b`},
	{"tag of plane 14", "\U000e0041", `\U000e0041`},
	{"no UTF-8", "a\xff\xc3(\xe2\x82", `a\xff\xc3(\xe2\x82`},
	{"a real replacement character", "\ufffd", "\ufffd"},
	{"empty", "", ""},
}

func TestString(t *testing.T) {
	for _, tt := range cases {
		if got := String(tt.in); got != tt.want {
			t.Errorf("%s: String(%q) = %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
}

// The pieces in which a text comes make no difference: a rune may be cut anywhere.
func TestWriterInPieces(t *testing.T) {
	for _, tt := range cases {
		for size := 1; size <= len(tt.in); size++ {
			var out bytes.Buffer
			w := NewWriter(&out)
			for rest := []byte(tt.in); len(rest) > 0; {
				n := min(size, len(rest))
				if m, err := w.Write(rest[:n]); m != n || err != nil {
					t.Fatalf("Write = %d, %v", m, err)
				}
				rest = rest[n:]
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("%s in pieces of %d: %q, want %q", tt.name, size, out.String(), tt.want)
			}
		}
	}
}
