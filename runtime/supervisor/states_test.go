package supervisor

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the pictures of the states anew")

// tableCheck is a log that fails the test when a pod takes a way that is not in podTransitions.
type tableCheck struct{ t *testing.T }

func (c tableCheck) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "a transition that is not in the table") {
		c.t.Errorf("%s", line)
	}
	return len(line), nil
}

// The pictures in the comment and in the documentation are the table.
func TestPicture(t *testing.T) {
	t.Parallel()
	drawn := strings.TrimSuffix(picture(podTransitions()), "\n")
	for _, in := range []struct{ file, before, after, prefix string }{
		{"pod.go", "makes them from podTransitions:\n//\n", "//\n// An event that a state", "//\t"},
		{"../../docs/explanation/supervisor.md", "runtime/supervisor/states.go`:\n\n```\n", "```\n", ""},
	} {
		text, err := os.ReadFile(in.file)
		if err != nil {
			t.Fatal(err)
		}
		head, rest, found := strings.Cut(string(text), in.before)
		at := strings.Index(rest, in.after)
		if !found || at < 0 {
			t.Fatalf("%s has no place for the picture", in.file)
		}
		want := in.prefix + strings.ReplaceAll(drawn, "\n", "\n"+in.prefix) + "\n"
		if rest[:at] == want {
			continue
		}
		if !*update {
			t.Errorf("%s has another picture than the table: go test -run TestPicture -update", in.file)
			continue
		}
		if err := os.WriteFile(in.file, []byte(head+in.before+want+rest[at:]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Every state can be reached and left, and no row stands twice.
func TestTransitions(t *testing.T) {
	t.Parallel()
	states := []podState{podIdle, podWaiting, podRetrying, podOpening, podHeld, podAdopting, podInitializing, podRunning, podLeaving,
		podStopping, podClosing, podFinished}
	into, out, rows := map[podState]bool{}, map[podState]bool{}, map[podTransition]bool{}
	for _, row := range podTransitions() {
		into[row.to], out[row.from] = true, true
		row.when = ""
		if rows[row] {
			t.Errorf("%s --> %s stands twice", row.from, row.to)
		}
		rows[row] = true
	}
	for _, s := range states {
		if !into[s] || !out[s] {
			t.Errorf("%s cannot be reached, or not be left", s)
		}
	}
	if len(into) != len(states) {
		t.Errorf("%d states, and %d in the table", len(states), len(into))
	}
}
