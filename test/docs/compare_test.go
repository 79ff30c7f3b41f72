package docs

import (
	"strings"
	"testing"
)

// Each pair of output and page is compared, "" being a match.
func TestCompare(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, want, got, diff string }{
		{"same", "a\nb", "a\nb", ""},
		{"nothing", "", "", ""},
		{"lines too many", "a", "a\nb", "  a\n+ b\n"},
		{"a line is missing", "a\nb\nc", "a\nc", "  a\n- b\n  c\n"},
		{"another line", "a\nb\nc", "a\nx\nc", "  a\n- b\n+ x\n  c\n"},
		{"unexpected output", "", "oops", "+ oops\n"},
		{"empty lines at the end", "a", "a\n\n", ""},
		{"an empty line between", "a\n\nb", "a\nb", "  a\n- \n  b\n"},

		{"durations", "ready after 4.2 s, 12s, 3m2s, 2h, 0.03 s", "ready after 26.6 s, 1m3s, 9s, 3d, 1 s", ""},
		{"no duration", "ready after 4.2 s", "ready after a while", "- ready after 4.2 s\n+ ready after a while\n"},
		{"a process ID", "etcd (PID 20486)", "etcd (PID 7)", ""},
		{"a column that is wider", "etcd   1/1   20486   24s", "etcd  1/1  104321  3m2s", ""},
		{"a small number counts", "RESTARTS 1", "RESTARTS 2", "- RESTARTS 1\n+ RESTARTS 2\n"},
		{"a version counts", "v1.36.3", "v1.36.4", "- v1.36.3\n+ v1.36.4\n"},
		{"metacharacters", "[+]ping ok (a|b)", "[+]ping ok (a|b)", ""},
		{"metacharacters are none", "a.c", "abc", "- a.c\n+ abc\n"},

		{"anything in a line", "left: /home/... (...)", "left: /home/you/x (why)", ""},
		{"anything, but only in its line", "left: ...", "right: x", "- left: ...\n+ right: x\n"},
		{"any lines", "a\n...\nz", "a\nb\nc\nz", ""},
		{"any lines, none", "a\n...\nz", "a\nz", ""},
		{"any lines at the end", "a\n...", "a\nb", ""},
		{"any lines, indented", "a\n  ...\nz", "a\n  b\nz", ""},
		{"any lines do not hide what is missing", "a\n...\nm\n...\nz", "a\nb\nz", "  a\n  ...\n- m\n  ...\n  z\n"},

		{"progress in any order", " ✓ a: x (0.2 s)\n ✓ b: y\nend", " • b: y ...\n ✓ b: y (3.1 s)\n ✓ a: x\nend", ""},
		{"progress is missing", " ✓ a: x\n ✓ b: y\nend", " ✓ b: y\nend", "-  ✓ a: x\n   ✓ b: y\n"},
		{"progress that is not shown", "end", " ✓ b: y\nend", "+  ✓ b: y\n"},
		{"any lines are any progress", "...\nend", " ✓ b: y\nend", ""},
		{"some progress, and any other", " ✓ a: x\n...\nend", " ✓ b: y\n ✓ a: x\nend", ""},
		{"a failure is no progress that may come", "end", " ✗ b: y\nend", "+  ✗ b: y\n  end\n"},
	} {
		if diff := compare(lines(tt.want), lines(tt.got)); diff != tt.diff {
			t.Errorf("%s: the diff is\n%swant\n%s", tt.name, diff, tt.diff)
		}
	}
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
