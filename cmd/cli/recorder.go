package cli

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

// recorder keeps what an Apply does in a file, for the timeline, and passes it on. It is apply.Progress: its calls do
// not overlap. The file replaces that of the run before as soon as this one changes something, or fails: a
// run that finds all done leaves the timeline of the one that did it. Nothing is synced, and nothing waits for it.
type recorder struct {
	next  apply.Progress
	path  string
	begin time.Time
	after map[string][]string // what each phase comes after

	pending bytes.Buffer
	changed bool
	file    *os.File
	err     error // the first one; nothing is recorded after it
}

// newRecorder records a run that began at a moment, which begin still has the monotonic clock of.
func newRecorder(next apply.Progress, path string, begin time.Time, p plan.Plan) *recorder {
	r := &recorder{next: next, path: path, begin: begin, after: map[string][]string{}}
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
func (r *recorder) Report(e apply.Event) {
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

func (r *recorder) line(e apply.Event) (timeline.Line, bool) {
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

// close records how the run ended, and returns the first error of recording.
func (r *recorder) close(result error) error {
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

func (r *recorder) put(l timeline.Line) {
	data, err := json.Marshal(l)
	r.fail(err)
	r.pending.Write(append(data, '\n'))
}

// flush writes what is pending, once there is a reason to and the state directory is there, which the journal makes.
func (r *recorder) flush() {
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

func (r *recorder) fail(err error) {
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("cannot record the timeline: %w", err)
	}
}
