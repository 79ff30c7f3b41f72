package evidence

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTailLog(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", 3000)
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "2026-01-02T03:04:05.6Z stderr F line %d %s\n", i, long)
	}
	for name, content := range map[string]string{"1.log": b.String(), "2.log": "", "0.log": "old\n", "supervisor.log": "plain\nlast\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := Tail(filepath.Join(dir, "1.log"))
	if len(got) == 0 || len(got) > shownLines || !strings.HasPrefix(got[len(got)-1], "line 39 x") || len(got[0]) > shownBytes+3 {
		t.Errorf("lines are %q", got)
	}
	if after := Tail(filepath.Join(dir, "2.log")); !slices.Equal(after, got) {
		t.Error("an empty log does not lead to the one before it")
	}
	if got := Tail(filepath.Join(dir, "supervisor.log")); !slices.Equal(got, []string{"plain", "last"}) {
		t.Errorf("lines are %q", got)
	}
	etcd := `{"level":"fatal","ts":"x","msg":"discovery failed","error":"address already in use","stacktrace":"long"}`
	for in, want := range map[string]string{
		etcd: "fatal: discovery failed: address already in use", `{"a":1}`: `{"a":1}`, "{broken": "{broken",
	} {
		if got := structured(in); got != want {
			t.Errorf("message is %q, want %q", got, want)
		}
	}
	if got := Tail(filepath.Join(dir, "9.log")); got != nil {
		t.Errorf("lines are %q", got)
	}
}

// A pipe or a link in the place of a log is no log: a pipe would hold init up for ever, and a link shows other files.
func TestTailOfNoLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe, link := filepath.Join(dir, "1.log"), filepath.Join(dir, "2.log")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, link} {
		if lines := Tail(path); len(lines) > 0 {
			t.Errorf("%s: %q", path, lines)
		}
	}
}
