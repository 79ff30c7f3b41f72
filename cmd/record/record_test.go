package record

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/phases/apply"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/runtime/timeline"
)

// heard is a apply.Progress that counts.
type heard int

func (h *heard) Report(apply.Event) { *h++ }

// runOf records a run of one phase with one step that ends in a state, and returns the file's lines.
func runOf(t *testing.T, dir string, state plan.State, result error) []timeline.Line {
	t.Helper()
	var next heard
	path := filepath.Join(dir, "state", "timeline.jsonl")
	p := plan.Plan{Verb: journal.VerbInit, Node: journal.Identity{Name: "n"}, Phases: []plan.Phase{{Name: "certs", After: []string{"preflight"}}}}
	r := New(&next, path, time.Now(), p)
	r.Report(apply.Event{Phase: "certs", Moment: apply.PhaseStarted, Detail: "makes"})
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil { // as the journal's first commit does
		t.Fatal(err)
	}
	r.Report(apply.Event{Phase: "certs", Moment: apply.PhaseIntended})
	r.Report(apply.Event{Phase: "certs", Step: "write a", Moment: apply.StepStarted, State: plan.Runs})
	r.Report(apply.Event{Phase: "certs", Step: "write a", Moment: apply.StepNews, Detail: "half"})
	r.Report(apply.Event{Phase: "certs", Step: "write a", Moment: apply.StepEnded, State: state})
	r.Report(apply.Event{Phase: "certs", Moment: apply.PhaseEnded, Err: result})
	if err := r.Close(result); err != nil {
		t.Fatal(err)
	}
	if next != 6 {
		t.Errorf("%d of 6 events were passed on", next)
	}
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	lines, bad := timeline.ParseLines(data)
	if bad > 0 {
		t.Errorf("%d bad lines in %s", bad, data)
	}
	return lines
}

// A run that changes something is recorded from its begin on, though the directory came later; one that does not
// leaves the record of the one before; one that failed is recorded in any case.
func TestRecorder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if lines := runOf(t, dir, plan.Unchanged, nil); len(lines) != 0 {
		t.Errorf("a run that changed nothing left %+v", lines)
	}
	lines := runOf(t, dir, plan.New, nil)
	if len(lines) != 7 {
		t.Fatalf("recorded are %+v", lines)
	}
	first, last := lines[0], lines[6]
	if first.What != timeline.RunBegan || first.Run.Node != "n" || first.Run.Boot == "" || first.Run.Uptime <= 0 ||
		last.What != timeline.RunEnded || last.Error != "" {
		t.Errorf("it begins with %+v and ends with %+v", first, last)
	}
	if l := lines[1]; l.What != timeline.PhaseStarted || l.After[0] != "preflight" || l.Detail != "makes" {
		t.Errorf("the phase starts with %+v", l)
	}
	for i := range lines[1:] {
		if lines[i+1].At < lines[i].At {
			t.Errorf("time goes back at %+v", lines[i+1])
		}
	}
	if again := runOf(t, dir, plan.Unchanged, nil); again[0].Run.Time != first.Run.Time {
		t.Error("a run that changed nothing has replaced the record")
	}
	failed := runOf(t, dir, plan.Unchanged, errors.New("no luck\nat all"))
	if l := failed[len(failed)-1]; l.What != timeline.RunEnded || l.Error != "no luck\nat all" {
		t.Errorf("the failed run ends with %+v", l)
	}
}

// What cannot be recorded is an error at the end, and no reason to stop.
func TestRecorderNowhere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "timeline.jsonl")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	var next heard
	r := New(&next, path, time.Now(), plan.Plan{Verb: journal.VerbInit})
	r.Report(apply.Event{Phase: "a", Moment: apply.StepEnded, State: plan.New})
	if err := r.Close(nil); err == nil || next != 1 {
		t.Errorf("%v, and %d events were passed on", err, next)
	}
}
