package apply

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// do does the tasks in order and returns which one failed. Files of tasks that
// follow one another are written together.
func (a *applier) do(ctx context.Context, ph plan.Phase, tasks []task) (failed int, err error) {
	for i := 0; i < len(tasks); {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		if tasks[i].work.Do != nil {
			if err := a.doOne(ctx, ph, &tasks[i]); err != nil {
				return i, err
			}
			i++
			continue
		}
		last := i
		var batch []*task
		for ; last < len(tasks) && tasks[last].work.Do == nil; last++ {
			batch = append(batch, &tasks[last])
		}
		if err := a.writeAll(ph, batch); err != nil {
			return i, err
		}
		i = last
	}
	return 0, nil
}

func (a *applier) doOne(ctx context.Context, ph plan.Phase, t *task) error {
	start, name := time.Now(), t.step.Describe()
	a.report(Event{Phase: ph.Name, Step: name, Moment: StepStarted, State: t.work.State, Detail: t.work.Detail})
	err := resource.WriteFiles(t.files)
	var out plan.Outcome
	if err == nil {
		out, err = t.work.Do(ctx, a.telling(ph.Name, name))
	}
	if out.State != "" {
		t.work.State, t.work.Detail = out.State, out.Detail
	}
	if out.State == plan.Left {
		t.work.Unmakes = nil
	}
	if err == nil {
		err = a.settleTrees(ph, []*task{t})
	}
	a.report(Event{Phase: ph.Name, Step: name, Moment: StepEnded, State: t.work.State, Detail: out.Detail, Took: time.Since(start),
		Err: err})
	if err == nil {
		a.count(*t)
	}
	return err
}

// settleTrees records at once what was made or removed of trees: nothing is put
// into one before it is known to be made, and one that somebody else makes
// after its removal must not be taken for it.
func (a *applier) settleTrees(ph plan.Phase, tasks []*task) error {
	var records []journal.Record
	for _, t := range tasks {
		if hasTree(t.work.Makes) || hasTree(t.work.Unmakes) {
			records = append(records, a.records(ph, []task{*t}, journal.StepDone)...)
			t.work.Makes, t.work.Unmakes = nil, nil
		}
	}
	return a.node.Journal.Commit(records...)
}

// telling is the node, with its Tell leading to the progress of one step.
func (a *applier) telling(phase, step string) *plan.Node {
	n := *a.node
	n.News = func(detail string) {
		a.report(Event{Phase: phase, Step: step, Moment: StepNews, Detail: detail})
	}
	return &n
}

func (a *applier) writeAll(ph plan.Phase, tasks []*task) error {
	start := time.Now()
	var files []durable.File
	for _, t := range tasks {
		a.report(Event{Phase: ph.Name, Step: t.step.Describe(), Moment: StepStarted, State: t.work.State, Detail: t.work.Detail})
		files = append(files, t.files...)
	}
	err := resource.WriteFiles(files)
	if err == nil {
		err = a.settleTrees(ph, tasks)
	}
	for _, t := range tasks {
		a.report(Event{Phase: ph.Name, Step: t.step.Describe(), Moment: StepEnded, State: t.work.State, Detail: t.work.Detail,
			Took: time.Since(start), Err: err})
		if err == nil {
			a.count(*t)
		}
	}
	return err
}

func hasTree(made []resource.Claim) bool {
	return slices.ContainsFunc(made, func(m resource.Claim) bool { return m.Kind == resource.Tree || m.Kind == resource.Entries })
}

// overlay holds the files that are about to be written, for the steps after them.
type overlay struct {
	mu    sync.Mutex
	files map[string]durable.File
}

func newOverlay() *overlay { return &overlay{files: map[string]durable.File{}} }

func (o *overlay) put(f durable.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.files[f.Path] = f
}

func (o *overlay) get(path string) (durable.File, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f, ok := o.files[path]
	return f, ok
}
