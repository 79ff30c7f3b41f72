//go:build e2e

package docs

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// What one command leaves in the shell is there for the next; output and exit code are its own.
func TestSession(t *testing.T) {
	t.Parallel()
	s := newSession(t, t.TempDir(), false)
	for _, tt := range []struct {
		command string
		got     []string
		code    int
	}{
		{"pwd; echo ~\n", []string{"/home/you", "/home/you"}, 0},
		{"mkdir sub && cd sub; export A='b c'\n", nil, 0},
		{"pwd; echo \"$A\"; echo oops >&2; false\n", []string{"/home/you/sub", "b c", "oops"}, 1},
		{"cat <<EOF\none\n\ntwo\nEOF\n", []string{"one", "", "two"}, 0},
		{"cat; exit_code() { return 7; }; exit_code\n", nil, 7}, // standard input is empty
		{"sleep 1000 & echo $! >pid; kill $!; wait $!\n", nil, 143},
	} {
		got, code, err := s.run(tt.command, time.Minute)
		if err != nil || code != tt.code || !reflect.DeepEqual(got, tt.got) {
			t.Errorf("%q: printed %q, exit code %d, error %v; want %q, %d", tt.command, got, code, err, tt.got, tt.code)
		}
	}
	if left := s.processes(); len(left) > 0 {
		t.Errorf("these are left:\n%s", strings.Join(describe(left), "\n"))
	}
}

// A command that hangs, one that ends the shell: an error each, and nothing is left behind.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		"sleep 1000\n": "does not end",
		"exit 3\n":     "ends the shell",
		"setsid sleep 1000 & setsid sleep 1000\n":       "does not end",
		"cd $(mktemp -d); env -i sleep 1000 & exit 0\n": "ends the shell",
	} {
		t.Run(strings.TrimSpace(command), func(t *testing.T) {
			t.Parallel()
			s := newSession(t, t.TempDir(), false)
			_, _, err := s.run(command, 2*time.Second)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want an error with %q", err, want)
			}
			s.end(t)
			if left := s.processes(); len(left) > 0 {
				t.Errorf("these are left:\n%s", strings.Join(describe(left), "\n"))
			}
			if _, err := os.Stat(s.base); !os.IsNotExist(err) {
				t.Errorf("the directory is left: %v", err)
			}
		})
	}
}
