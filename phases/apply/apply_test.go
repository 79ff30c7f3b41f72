package apply

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// funcStep does what a function says. It is a step of tests alone: it cannot be compared.
type funcStep struct {
	name string
	do   func(ctx context.Context) error
}

func (funcStep) Kind() string { return "Func" }

func (s funcStep) Describe() string { return s.name }

func (s funcStep) Compare(plan.Host) plan.Work {
	return plan.Work{State: plan.New, Do: func(ctx context.Context, _ *plan.Node) (plan.Outcome, error) { return plan.Outcome{}, s.do(ctx) }}
}

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func openJournal(t *testing.T, root string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(root, config.PathsBelow(root))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func put(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

func testNode(t *testing.T, root string) *plan.Node {
	t.Helper()
	return &plan.Node{Root: root, Paths: config.PathsBelow(root), Journal: openJournal(t, root), Now: func() time.Time { return testTime }}
}

func sleeper(name string, d time.Duration, log func(string)) plan.Phase {
	return plan.Phase{Name: name, Steps: []plan.Step{funcStep{name, func(ctx context.Context) error {
		select {
		case <-time.After(d):
			log(name)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}}}
}

func after(p plan.Phase, names ...string) plan.Phase { p.After = names; return p }

// Phases wait for those they come after and for no other; a name that is not in the plan counts as done.
func TestApplyOverlaps(t *testing.T) {
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		log := func(name string) { mu.Lock(); defer mu.Unlock(); order = append(order, name) }
		p := plan.Plan{Verb: "init", Phases: []plan.Phase{
			sleeper("preflight", time.Second, log),
			after(sleeper("components", 10*time.Second, log), "preflight"),
			after(sleeper("certs", 2*time.Second, log), "preflight"),
			after(sleeper("kubeconfig", 3*time.Second, log), "certs", "skipped"),
			after(sleeper("supervise", time.Second, log), "components", "kubeconfig"),
		}}
		start := time.Now()
		if _, err := Run(t.Context(), p, testNode(t, root), nil); err != nil {
			t.Fatal(err)
		}
		if want := []string{"preflight", "certs", "kubeconfig", "components", "supervise"}; !slices.Equal(order, want) {
			t.Errorf("order is %v, want %v", order, want)
		}
		if took := time.Since(start); took != 12*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// The first error ends all phases, says where it happened, and is in the journal.
func TestApplyFails(t *testing.T) {
	root := t.TempDir()
	cause := errors.New("cannot do it: no reason\nwith a second line")
	synctest.Test(t, func(t *testing.T) {
		p := plan.Plan{Verb: "init", Phases: []plan.Phase{
			sleeper("slow", time.Hour, func(string) { t.Error("it was not ended") }),
			{Name: "bad", Steps: []plan.Step{
				steps.MakeDir{Path: filepath.Join(root, "made"), Mode: 0o700},
				funcStep{"do it", func(context.Context) error { return cause }},
				funcStep{"never", func(context.Context) error { t.Error("it went on"); return nil }},
			}},
			after(sleeper("later", 0, func(string) { t.Error("it began") }), "bad"),
		}}
		n := testNode(t, root)
		_, err := Run(t.Context(), p, n, nil)
		var failed *StepError
		if !errors.Is(err, cause) || !errors.As(err, &failed) || failed.Phase != "bad" || failed.Step != "do it" {
			t.Fatalf("error is %v", err)
		}
		if !strings.HasPrefix(err.Error(), "phase bad: do it: cannot do it") {
			t.Errorf("error is %q", err)
		}
	})
	data, err := os.ReadFile(config.PathsBelow(root).Journal)
	if err != nil || !strings.Contains(string(data), `"what":"failed","error":"cannot do it: no reason"}`) {
		t.Errorf("journal is %s, %v", data, err)
	}
	h := openJournal(t, root).History()
	if h.Done || !h.Claims[resource.Resource{Kind: resource.Dir, Key: filepath.Join(root, "made")}].Done {
		t.Errorf("history is %+v", h)
	}
}

// What comes into the way after the plan was made is found, all of it, before anything of the phase is done.
func TestApplyRefusesConflicts(t *testing.T) {
	root := t.TempDir()
	a, b := put(t, filepath.Join(root, "a")), put(t, filepath.Join(root, "b"))
	p := plan.Plan{Verb: "init", Phases: []plan.Phase{{Name: "p", Steps: []plan.Step{
		steps.MakeDir{Path: filepath.Join(root, "dir"), Mode: 0o700},
		steps.WriteFile{Path: a, Data: []byte("new"), Mode: 0o600},
		steps.WriteFile{Path: b, Data: []byte("new"), Mode: 0o600},
	}}}}
	_, err := Run(t.Context(), p, testNode(t, root), nil)
	var refused *plan.RefusedError
	if !errors.As(err, &refused) || len(refused.Conflicts) != 2 || refused.OtherConfig() {
		t.Fatalf("error is %v", err)
	}
	if exists(filepath.Join(root, "dir")) || exists(config.PathsBelow(root).State) {
		t.Error("something was done")
	}
}

// A failed check stops everything, with all failed checks in one error.
func TestApplyPreflight(t *testing.T) {
	root := t.TempDir()
	p := plan.Plan{Verb: "init", Phases: []plan.Phase{{Name: "preflight", Steps: []plan.Step{
		plan.Check{Name: "A", Level: plan.Failed, Text: "a is bad", Remedy: "mend a"},
		plan.Check{Name: "B", Level: plan.Warning, Text: "b is odd", Ignored: true},
		plan.Check{Name: "C", Level: plan.Failed, Text: "c is bad"},
	}}, after(sleeper("later", 0, func(string) { t.Error("it began") }), "preflight")}}
	_, err := Run(t.Context(), p, testNode(t, root), nil)
	var failed *plan.PreflightError
	if !errors.As(err, &failed) || len(failed.Failed) != 2 || strings.Contains(err.Error(), "odd") {
		t.Fatalf("error is %v", err)
	}
	if want := "--ignore-preflight-errors=A,C"; !strings.Contains(failed.Hint(), want) {
		t.Errorf("hint is %q", failed.Hint())
	}
}

// All intents of a phase are on disk before its first step, and a run that finds all done writes nothing.
func TestApplyJournalsIntentsFirst(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "dir", "file")
	check := funcStep{"look", func(context.Context) error {
		h, err := journal.Load(root, config.PathsBelow(root))
		if err != nil {
			return err
		}
		if o, _ := h.At(file); !o.Wrote(resource.Sum([]byte("data"))) || o.Done {
			return errors.New("the intent is not in the journal")
		}
		return nil
	}}
	p := plan.Plan{Verb: "init", Phases: []plan.Phase{{Name: "p", Steps: []plan.Step{
		check, steps.MakeDir{Path: filepath.Dir(file), Mode: 0o700}, steps.WriteFile{Path: file, Data: []byte("data"), Mode: 0o640},
	}}}}
	n := testNode(t, root)
	result, err := Run(t.Context(), p, n, nil)
	if err != nil || result.Changed != 3 {
		t.Fatalf("%+v, %v", result, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	journal := config.PathsBelow(root).Journal
	before, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	p.Phases[0].Steps = p.Phases[0].Steps[1:]
	result, err = Run(t.Context(), p, testNode(t, root), nil)
	if err != nil || result.Changed != 0 || result.Unchanged != 2 {
		t.Errorf("again: %+v, %v", result, err)
	}
	if after, err := os.ReadFile(journal); err != nil || string(after) != string(before) {
		t.Errorf("the journal grew:\n%s", after[len(before):])
	}
}

// A plan whose phases would wait for one another for ever is refused.
func TestApplyChecksTheOrder(t *testing.T) {
	none := func(string) {}
	for name, phases := range map[string][]plan.Phase{
		"after itself":        {after(sleeper("a", 0, none), "a")},
		"after a later one":   {after(sleeper("a", 0, none), "b"), sleeper("b", 0, none)},
		"the same name twice": {sleeper("a", 0, none), sleeper("a", 0, none)},
	} {
		if _, err := Run(t.Context(), plan.Plan{Verb: "init", Phases: phases}, testNode(t, t.TempDir()), nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// recorder keeps events.
type recorder struct{ events []Event }

func (r *recorder) Report(e Event) { r.events = append(r.events, e) }

// Whoever watches hears of every phase and step, in order, with how long it took and how it ended.
func TestApplyReports(t *testing.T) {
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		n := testNode(t, root)
		p := plan.Plan{Verb: "init", Phases: []plan.Phase{{Name: "p", Short: "do p", Steps: []plan.Step{funcStep{"work", func(context.Context) error {
			time.Sleep(time.Second)
			return errors.New("no")
		}}}}}}
		if _, err := Run(t.Context(), p, n, r); err == nil {
			t.Fatal("no error")
		}
		var got []string
		for _, e := range r.events {
			got = append(got, string(e.Moment)+" "+e.Step)
		}
		want := []string{"phase-started ", "phase-intended ", "step-started work", "step-ended work", "phase-ended "}
		if !slices.Equal(got, want) {
			t.Fatalf("events are %q", got)
		}
		if e := r.events[3]; e.Took != time.Second || e.Err == nil || e.State != plan.New {
			t.Errorf("event is %+v", e)
		}
		if e := r.events[4]; e.Took != time.Second || e.Err == nil {
			t.Errorf("event is %+v", e)
		}
	})
}
