// Package record keeps the times of a bring-up in a file, from which the verb timeline makes its table and picture.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/kubecrank/kubecrank/phases/apply"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime/timeline"
)

// Recorder writes what an apply.Run does into a file, and passes it on. It is apply.Progress: its calls do not overlap.
// The file replaces that of the run before when this run changes something or fails; a run that finds all done keeps the
// file of the run that did it. Nothing is synced, and nothing waits for the file.
type Recorder struct {
	next  apply.Progress
	path  string
	begin time.Time
	after map[string][]string // the predecessors of each phase

	pending bytes.Buffer
	changed bool
	file    *os.File
	err     error // the first one; nothing is recorded after it
}

// New records a run that began at begin, a time with a monotonic clock.
func New(next apply.Progress, path string, begin time.Time, p plan.Plan) *Recorder {
	r := &Recorder{next: next, path: path, begin: begin, after: map[string][]string{}}
	for _, ph := range p.Phases {
		r.after[ph.Name] = ph.After
	}
	run := timeline.Run{Verb: p.Verb, Time: begin, Node: p.Node.Name}
	boot, err := procfs.BootID()
	up, err2 := procfs.Uptime()
	if err == nil && err2 == nil {
		run.Boot, run.Uptime = boot, up-time.Since(begin)
	}
	r.put(timeline.Line{What: timeline.RunBegan, Run: &run})
	return r
}

// Report implements apply.Progress.
func (r *Recorder) Report(e apply.Event) {
	if line, ok := r.line(e); ok {
		line.At = time.Since(r.begin)
		r.put(line)
	}
	changes := e.State == plan.New || e.State == plan.Changed
	if !r.changed && (changes && e.Moment != apply.StepNews || e.Err != nil) {
		r.changed = true
	}
	r.flush()
	r.next.Report(e)
}

func (r *Recorder) line(e apply.Event) (timeline.Line, bool) {
	l := timeline.Line{Phase: e.Phase, Step: e.Step, State: string(e.State), Detail: e.Detail}
	if e.Err != nil {
		l.Error = e.Err.Error()
	}
	switch e.Moment {
	case apply.PhaseStarted:
		l.What, l.After = timeline.PhaseStarted, r.after[e.Phase]
	case apply.PhaseIntended:
		l.What = timeline.PhasePrepared
	case apply.PhaseEnded:
		l.What = timeline.PhaseEnded
	case apply.StepStarted:
		l.What = timeline.StepStarted
	case apply.StepEnded:
		l.What = timeline.StepEnded
	case apply.StepNews:
		return l, false
	}
	return l, true
}

// Close records how the run ended, and returns the first error of recording.
func (r *Recorder) Close(result error) error {
	l := timeline.Line{At: time.Since(r.begin), What: timeline.RunEnded}
	if result != nil {
		l.Error = result.Error()
	}
	r.put(l)
	r.flush()
	if r.file != nil {
		r.fail(r.file.Close())
		r.file = nil
	}
	return r.err
}

func (r *Recorder) put(l timeline.Line) {
	data, err := json.Marshal(l)
	r.fail(err)
	r.pending.Write(append(data, '\n'))
}

// flush writes what is pending if the run has changed something and the state directory exists. The journal makes that directory.
func (r *Recorder) flush() {
	if !r.changed || r.err != nil {
		return
	}
	if r.file == nil {
		f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			r.fail(err)
			return
		}
		r.file = f
	}
	_, err := r.pending.WriteTo(r.file)
	r.fail(err)
}

func (r *Recorder) fail(err error) {
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("cannot record the timeline: %w", err)
	}
}
