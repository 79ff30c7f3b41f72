// Package apply does a plan.
//
//	plan.Plan --Run--> per phase: Compare all steps, make all bytes, commit the intents, do, commit what is done
//	              |
//	              +--> Progress: an Event at each moment
//
// A phase starts when those it comes After have ended, so phases overlap.
package apply

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// Result is what a Run came to.
type Result struct {
	Changed   int // steps that changed something
	Unchanged int // steps that found their work done
	// Left is what reset did not remove, in the order of the plan.
	Left []LeftBehind
	// Notes are the lines of Note steps.
	Notes []string
}

// LeftBehind is something that reset leaves, and why.
type LeftBehind struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// Run does the plan: each phase as soon as those it comes After are done. The
// first error ends all phases; it is a *StepError around the cause. The caller
// holds n.Lock, and n.Journal is open. Run may be called again, after any
// error and after a kill: it does the rest. progress may be nil.
func Run(ctx context.Context, p plan.Plan, n *plan.Node, progress Progress) (Result, error) {
	if err := checkOrder(p); err != nil {
		return Result{}, err
	}
	a := &applier{plan: p, node: n, progress: progress, files: newOverlay()}
	if err := a.begin(); err != nil {
		return Result{}, err
	}
	done := make(map[string]chan struct{}, len(p.Phases))
	for _, ph := range p.Phases {
		done[ph.Name] = make(chan struct{})
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, ph := range p.Phases {
		g.Go(func() error {
			for _, name := range ph.After {
				if done[name] == nil {
					continue // skipped
				}
				select {
				case <-done[name]:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if err := a.phase(ctx, ph); err != nil {
				return err
			}
			close(done[ph.Name])
			return nil
		})
	}
	err := g.Wait()
	if err == nil {
		err = a.end()
	}
	return a.result, err
}

// checkOrder refuses a plan whose phases would wait for one another for ever.
func checkOrder(p plan.Plan) error {
	seen := make(map[string]bool)
	for _, ph := range p.Phases {
		if seen[ph.Name] {
			return fmt.Errorf("cannot apply the plan: there are two phases %s", ph.Name)
		}
		for _, name := range ph.After {
			if !seen[name] && slices.ContainsFunc(p.Phases, func(o plan.Phase) bool { return o.Name == name }) {
				return fmt.Errorf("cannot apply the plan: phase %s comes before %s, which it is to come after", ph.Name, name)
			}
		}
		seen[ph.Name] = true
	}
	return nil
}

// applier is one Run.
type applier struct {
	plan     plan.Plan
	node     *plan.Node
	progress Progress // nil: nobody watches
	files    *overlay

	mu     sync.Mutex // result, and one Report at a time
	result Result
}

// begin hands the journal what has to stand before the first record of the run.
// A run that has nothing to record writes none of it.
func (a *applier) begin() error {
	j, now := a.node.Journal, a.node.Now()
	history := j.History()
	if a.plan.Verb == journal.VerbReset && a.plan.From != history.Records {
		return &journal.LockedError{Path: a.node.Paths.Lock}
	}
	begun := journal.Record{Time: now, Verb: a.plan.Verb, What: journal.RunBegun}
	if a.plan.Node != (journal.Identity{}) {
		begun.Node = &a.plan.Node
	}
	if is, was := a.plan.Settled, history.Config; is != nil && (was == nil || !was.Equal(*is)) {
		begun.Config = a.plan.Settled
	}
	j.Begin(begun)
	if a.node.Lock == nil {
		return nil
	}
	run := a.node.Paths.Run
	made := journal.MadeDirs(begun, run, a.node.Lock.Made())
	if _, ours := history.At(run); !ours && len(made) == 0 {
		there, err := journal.EntriesOf(begun, run, filepath.Base(a.node.Paths.Lock))
		if err != nil {
			return fmt.Errorf("cannot look into %s: %s", run, resource.Cause(err))
		}
		made = []journal.Record{there}
	}
	for _, r := range made {
		if _, ours := history.Claims[r.Claim.Resource]; !ours {
			j.Begin(r)
		}
	}
	return nil
}

// end records that the run came to its end. The end of a reset has taken the journal with it, and one that
// changed nothing on a machine without a journal, such as a run of preflight alone, brings none into being.
func (a *applier) end() error {
	h := a.node.Journal.History()
	news := a.plan.SetsUp && !h.SetUp
	known := h.Records == 0 || h.Done && h.Verb == a.plan.Verb
	if a.plan.Verb == journal.VerbReset || a.result.Changed == 0 && known && !news {
		return nil
	}
	records := []journal.Record{{Time: a.node.Now(), Verb: a.plan.Verb, What: journal.RunDone}}
	if news {
		records = append(records, journal.Record{Time: a.node.Now(), Verb: a.plan.Verb, What: journal.NodeSetUp})
	}
	return a.node.Journal.Commit(records...)
}

// task is a step with what is left of it.
type task struct {
	step  plan.Step
	work  plan.Work
	files []durable.File
}

func (a *applier) phase(ctx context.Context, ph plan.Phase) (err error) {
	start := time.Now()
	a.report(Event{Phase: ph.Name, Moment: PhaseStarted, Detail: ph.Short})
	defer func() { a.report(Event{Phase: ph.Name, Moment: PhaseEnded, Took: time.Since(start), Err: err}) }()
	if err := ctx.Err(); err != nil {
		return &StepError{Phase: ph.Name, Err: err}
	}
	tasks, err := a.prepare(ctx, ph)
	if err != nil {
		return err
	}
	if err := a.node.Journal.Commit(a.records(ph, tasks, journal.Intent)...); err != nil {
		return &StepError{Phase: ph.Name, Err: err}
	}
	a.report(Event{Phase: ph.Name, Moment: PhaseIntended})
	n, err := a.do(ctx, ph, tasks)
	if err != nil {
		failed := &StepError{Phase: ph.Name, Step: tasks[n].step.Describe(), Err: err}
		records := append(a.records(ph, tasks[:n], journal.StepDone), journal.Record{
			Time: a.node.Now(), Verb: a.plan.Verb, Phase: ph.Name, Step: failed.Step, Kind: tasks[n].step.Kind(),
			What: journal.StepFailed, Error: firstLine(err),
		})
		if jerr := a.node.Journal.Commit(records...); jerr != nil {
			failed.Err = fmt.Errorf("%w (and %w)", err, jerr)
		}
		return failed
	}
	if err := a.node.Journal.Commit(a.records(ph, tasks, journal.StepDone)...); err != nil {
		return &StepError{Phase: ph.Name, Err: err}
	}
	return nil
}

// prepare compares all steps of a phase with the machine and makes all bytes
// they will write, so that the intents can name them. It changes nothing.
func (a *applier) prepare(ctx context.Context, ph plan.Phase) ([]task, error) {
	h := a.host(ctx)
	tasks := make([]task, len(ph.Steps))
	if err := plan.Preflight(plan.Plan{Phases: []plan.Phase{ph}}.Checks()); err != nil {
		return nil, &StepError{Phase: ph.Name, Err: err}
	}
	refused := &plan.RefusedError{Verb: a.plan.Verb}
	for i, s := range ph.Steps {
		tasks[i] = task{step: s, work: s.Compare(h)}
		switch w := tasks[i].work; w.State {
		case plan.Conflict:
			refused.Conflicts = append(refused.Conflicts, plan.ConflictOf(s, w))
		case plan.Unknown:
			return nil, &StepError{Phase: ph.Name, Step: s.Describe(), Err: fmt.Errorf("cannot look: %s", w.Detail)}
		default:
		}
	}
	if len(refused.Conflicts) > 0 {
		return nil, &StepError{Phase: ph.Name, Err: refused}
	}
	for _, late := range []bool{false, true} {
		if err := a.makeFiles(h, ph, tasks, late); err != nil {
			return nil, err
		}
	}
	return tasks, nil
}

// makeFiles makes the bytes of the tasks side by side: RSA keys take long.
func (a *applier) makeFiles(h plan.Host, ph plan.Phase, tasks []task, late bool) error {
	var g errgroup.Group
	g.SetLimit(goruntime.GOMAXPROCS(0))
	for i := range tasks {
		t := &tasks[i]
		if t.work.Files == nil || t.work.Late != late {
			continue
		}
		g.Go(func() error {
			files, err := t.work.Files(h)
			if err != nil {
				return &StepError{Phase: ph.Name, Step: t.step.Describe(), Err: err}
			}
			t.files = files
			for _, f := range files {
				a.files.put(f)
				file := resource.Resource{Kind: resource.File, Key: f.Path}
				t.work.Makes = append(t.work.Makes, resource.Claim{Resource: file, SHA256: resource.Sum(f.Data), Mode: f.Mode})
			}
			return nil
		})
	}
	return g.Wait()
}

// host is the live machine, with the files that are about to be written laid over it.
func (a *applier) host(ctx context.Context) plan.Host {
	n := a.node
	return plan.Host{
		Now:     n.Now(),
		History: n.Journal.History(),
		SupervisorRuns: func() bool {
			_, err := n.Supervisor.Status(ctx)
			return err == nil
		},
		Claim: n.Journal.Claim,
		Look: func(path string) resource.Seen {
			if f, ok := a.files.get(path); ok {
				return resource.Seen{Kind: resource.Regular, Mode: f.Mode, UID: int64(os.Geteuid()), GID: int64(os.Getegid()),
					SHA256: resource.Sum(f.Data), Data: f.Data}
			}
			return resource.Look(path, n.Root == "")
		},
	}
}

func (a *applier) count(t task) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch t.work.State {
	case plan.New, plan.Changed:
		a.result.Changed++
	case plan.Left:
		if p, ok := t.step.(interface{ Where() string }); ok {
			a.result.Left = append(a.result.Left, LeftBehind{Path: p.Where(), Why: t.work.Detail})
		}
	default:
		a.result.Unchanged++
	}
	if note, ok := t.step.(plan.Note); ok {
		a.result.Notes = append(a.result.Notes, note.Text)
	}
}

// records are the journal records of what the tasks make or remove. A Work that
// found everything there and known makes none. What was there before is
// recorded once, when the phase is done.
func (a *applier) records(ph plan.Phase, tasks []task, what journal.What) []journal.Record {
	var records []journal.Record
	for _, t := range tasks {
		r := journal.Record{Time: a.node.Now(), Verb: a.plan.Verb, Phase: ph.Name, Step: t.step.Describe(), Kind: t.step.Kind(), What: what}
		for _, m := range t.work.Makes {
			if what == journal.Intent && m.Existed {
				continue
			}
			r.Claim = &m
			records = append(records, r)
		}
		if what != journal.StepDone {
			continue
		}
		for _, m := range t.work.Unmakes {
			r.What, r.Claim = journal.Removed, &m
			records = append(records, r)
		}
	}
	return records
}

func (a *applier) report(e Event) {
	if a.progress == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.progress.Report(e)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
