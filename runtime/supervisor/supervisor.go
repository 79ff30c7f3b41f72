// Package supervisor keeps static pods running: it decides, and a runtime.Runtime does.
//
//	source.Update (full sets) --merge--> what shall run --evWant--> one pod machine per full name
//	                                        ^                          |  |        |
//	                                        | started, alive, idle     |  |        +--> status, record on disk
//	                                        +---------- report --------+  +--> Runtime, probes, hooks --> events
//
// One goroutine (run) merges the sources and knows the order of the pods; one goroutine per pod owns
// its state machine (pod.go draws it). They talk through mailboxes that never block. Nothing ticks but
// probes and the runtime's housekeeping: everything else waits for an event.
//
// The end of the context leaves all containers running, as the end of a kubelet does: the next
// supervisor adopts them through Runtime.List. A stop that is asked for (Options.Stop, the control socket) ends
// them, dependents first, and so does the removal of the lock file, without which nobody could ask.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/logs"
	"github.com/kubecrank/kubecrank/runtime/source"
)

// Options is everything that a supervisor needs. Runtime, Sources, SocketPath and LockPath are mandatory.
type Options struct {
	Runtime     runtime.Runtime
	RuntimeName string // "process"
	Sources     []source.Source
	SocketPath  string // of the control socket; its directory is made, with mode 0700
	LockPath    string // one supervisor at a time; holds the PID as text
	StateDir    string // what adoption needs is kept here; "" keeps it in memory
	EventsPath  string // of the file that keeps events beyond the supervisor's life (ReadEvents); "" for none
	Version     string
	Log         io.Writer     // structured text lines; nil for none
	LogPath     string        // of the file behind Log, open for append, if it is to be rotated; "" if not
	LogPolicy   logs.Policy   // of LogPath
	BackOff     BackOffLimits // zero values are the kubelet's
	NewCheck    NewCheck      // makes the checks of probes; nil for package health
	// MetricsAddress is a loopback address and port where Prometheus metrics are served too; "" for the socket only.
	MetricsAddress string
	// Certificates says when certificates expire, whenever somebody asks for metrics; nil for none.
	Certificates func() []Certificate
	// Locked is called once the lock is held and before anything is made; its error ends Run. nil for nobody.
	Locked func() error
	// Stop asks for an orderly stop of all pods when it is closed, as the control socket does; nil for never.
	Stop <-chan struct{}
	// Ready is called once, when the control socket answers; nil for nobody.
	Ready func()
}

// shared is what pods have in common.
type shared struct {
	ctx      context.Context // its end leaves containers running
	rt       runtime.Runtime
	log      *slog.Logger
	history  *history
	records  *records
	reports  *mailbox[report]
	work     *sync.WaitGroup
	metrics  *metrics
	limits   BackOffLimits
	newCheck NewCheck
	tail     func(path string, lines int) string
}

// supervisor is the state of one Run. The goroutine of run owns all of it but view and stopping.
type supervisor struct {
	*shared
	opts    Options
	begun   time.Time
	updates chan sourceUpdate
	stops   chan struct{}    // a stop was asked for
	overdue *mailbox[string] // full names of pods that have not ended in time; "" for the runtime's list
	once    sync.Once
	streams chan struct{} // one place for each log or event stream
	stopped chan struct{} // closed at the very end of a stop

	latest   []*source.Update // per source, nil before its first one
	found    []runtime.Found  // what ran before us
	listed   bool
	adopted  bool
	stopping bool
	unended  []string // what a stop has given up; read by others once stopped is closed
	members  map[string]*member
	order    order
	affects  map[string][]string     // full name -> those whose permissions depend on it
	removed  map[string][]string     // origin -> members that shall go
	lastGood map[string]*runtime.Pod // adopted pods whose manifest cannot be read at the moment
	warned   map[string]bool
	problems []runtime.Problem
	stale    bool // the view shows members that are gone

	view     atomic.Pointer[view]
	troubles sync.Map // what housekeeping cannot do now -> its runtime.Problem
}

// view is what status requests look at.
type view struct {
	pods     []*pod
	problems []runtime.Problem
	known    bool // the sets of all sources are known
}

type sourceUpdate struct {
	index int
	source.Update
}

// Run supervises until ctx ends, which leaves all containers running, or until a stop was asked for on
// the socket and every pod is gone. It returns a *LockedError when another supervisor holds the lock.
func Run(ctx context.Context, opts Options) error {
	lock, err := takeLock(opts.LockPath)
	if err != nil {
		return err
	}
	defer lock.Close() // and only then, that is after all else has ended
	if opts.Locked != nil {
		if err := opts.Locked(); err != nil {
			return err
		}
	}
	s, err := newSupervisor(opts)
	if err != nil {
		return err
	}
	listener, err := listen(opts.SocketPath)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.ctx = ctx
	stopServing := s.serve(listener)
	defer stopServing()
	if opts.MetricsAddress != "" {
		stopMetrics, err := s.serveMetrics(opts.MetricsAddress)
		if err != nil {
			return err
		}
		defer stopMetrics()
	}
	s.work.Go(func() { s.slim(ctx) })
	s.work.Go(func() { s.watchAnchor(ctx, lock) })
	s.work.Go(func() { s.awaitStop(ctx) })
	s.beginSession()
	if opts.Ready != nil {
		opts.Ready()
	}
	return s.supervise(ctx, cancel)
}

func newSupervisor(opts Options) (*supervisor, error) {
	out := opts.Log
	if out == nil {
		out = io.Discard
	}
	log := slog.New(slog.NewTextHandler(out, nil))
	recs, err := openRecords(opts.StateDir, log)
	if err != nil {
		return nil, err
	}
	checks := opts.NewCheck
	if checks == nil {
		checks = newCheck
	}
	s := &supervisor{
		shared: &shared{
			rt: opts.Runtime, log: log, history: newHistory(log), records: recs, reports: newMailbox[report](),
			work: &sync.WaitGroup{}, limits: opts.BackOff.withDefaults(), newCheck: checks, tail: lastLogLines,
		},
		overdue: newMailbox[string](), streams: make(chan struct{}, mostStreams),
		opts: opts, begun: time.Now(), updates: make(chan sourceUpdate), stops: make(chan struct{}), stopped: make(chan struct{}),
		latest: make([]*source.Update, len(opts.Sources)), members: map[string]*member{}, affects: map[string][]string{},
		lastGood: map[string]*runtime.Pod{}, warned: map[string]bool{},
	}
	s.view.Store(&view{})
	s.metrics = newMetrics()
	s.history.count = s.metrics.happened
	if opts.EventsPath != "" {
		if err := durable.MkdirAll(filepath.Dir(opts.EventsPath), 0o700); err != nil {
			log.Warn("cannot make the directory of the events", "error", err)
		}
		s.history.load(opts.EventsPath)
		s.history.file = newEventFile(opts.EventsPath, log)
	}
	return s, nil
}

// beginSession is the first event of this supervisor.
func (s *supervisor) beginSession() {
	message := fmt.Sprintf("Supervisor started (PID %d)", os.Getpid())
	if s.opts.Version != "" {
		message = fmt.Sprintf("Supervisor %s started (PID %d)", s.opts.Version, os.Getpid())
	}
	s.history.add("", runtime.Event{Type: runtime.Normal, Reason: runtime.ReasonSupervisorStarted, Message: message,
		Session: newSession(s.opts.Version, s.history.begin)})
}

// supervise runs sources, records and housekeeping beside the main loop, and ends them after it.
func (s *supervisor) supervise(ctx context.Context, cancel context.CancelFunc) error {
	listed := make(chan []runtime.Found, 1)
	s.work.Go(func() { s.list(ctx, listed) })
	if s.history.file != nil {
		s.work.Go(func() { s.history.file.run(ctx) })
	}
	s.work.Go(func() { s.records.run(ctx) })
	for i, src := range s.opts.Sources {
		s.work.Go(func() { s.runSource(ctx, i, src) })
	}
	if keeper, ok := s.rt.(runtime.Housekeeper); ok {
		s.work.Go(func() { s.housekeep(ctx, "look after the logs", keeper.Housekeep) })
	}
	if s.opts.LogPath != "" {
		s.work.Go(func() { s.housekeep(ctx, "rotate the supervisor's own log", s.rotateLog) })
	}
	gone := s.loop(ctx, listed)
	cancel()
	s.awaitWork()
	if s.history.file != nil {
		s.history.file.close()
	}
	if gone {
		close(s.stopped) // nothing of ours is written any more: who waits for this may remove it
	}
	s.log.Info("supervisor ended", "pods-stopped", s.stopping)
	return nil
}

// loop is the one goroutine that owns the members. It returns true when a stop has come to its end.
func (s *supervisor) loop(ctx context.Context, listed <-chan []runtime.Found) bool {
	stops := s.stops
	for {
		select {
		case <-ctx.Done():
			return false
		case found := <-listed:
			s.found, s.listed = found, true
			s.apply()
		case u := <-s.updates:
			s.latest[u.index] = &u.Update
			s.tellProblems(u.Problems)
			s.apply()
		case <-s.reports.ready:
			for _, r := range s.reports.take() {
				s.onReport(r)
			}
			if s.stale {
				s.show()
			}
		case <-stops:
			stops = nil
			s.beginStop()
		case <-s.overdue.ready:
			for _, full := range s.overdue.take() {
				s.onOverdue(full)
			}
		}
		if s.stopDone() {
			return true
		}
	}
}

// list asks the runtime until it answers: without knowing what runs nothing may be started.
func (s *supervisor) list(ctx context.Context, listed chan<- []runtime.Found) {
	delay := 250 * time.Millisecond
	for {
		found, err := s.rt.List(ctx)
		if err != nil {
			s.history.add("", runtime.Event{Type: runtime.Warning, Reason: runtime.ReasonFailed,
				Message: "cannot list running containers: " + err.Error()})
		}
		if err == nil || found != nil { // an error beside a result only names what could not be read
			listed <- found
			return
		}
		delay = min(2*delay, 5*time.Second)
		if !sleepUntil(ctx, time.Now().Add(delay)) {
			return
		}
	}
}

// runSource feeds one source into the loop. A source that ends by itself is as good as one that cannot be read.
func (s *supervisor) runSource(ctx context.Context, index int, src source.Source) {
	ch := make(chan source.Update)
	ended := make(chan error, 1)
	go func() { ended <- src.Run(ctx, ch) }()
	forward := func(u source.Update) {
		select {
		case s.updates <- sourceUpdate{index, u}:
		case <-ctx.Done():
		}
	}
	var last source.Update
	for {
		select {
		case u := <-ch:
			last = u
			forward(u)
		case err := <-ended:
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				err = errors.New("it ended")
			}
			last.Incomplete = true
			last.Problems = append(slices.Clip(last.Problems), runtime.Problem{Source: src.String(),
				Message: fmt.Sprintf("cannot read static pods: %v", err)})
			forward(last)
			return
		}
	}
}

const housekeepingPeriod = 10 * time.Second

// housekeep does something now and then, until ctx ends. The status tells of its last failure until it works again.
func (s *supervisor) housekeep(ctx context.Context, what string, do func(context.Context) error) {
	for sleepUntil(ctx, time.Now().Add(housekeepingPeriod)) {
		err := do(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			s.troubles.Delete(what)
			continue
		}
		message := "cannot " + what + ": " + err.Error()
		s.history.add("", runtime.Event{Type: runtime.Warning, Reason: runtime.ReasonFailed, Message: message})
		s.troubles.Store(what, runtime.Problem{Source: "supervisor", Message: message, Warning: true})
	}
}

// rotateLog keeps the file that this process's log goes to from growing for ever. A rotation that a killed
// supervisor did not finish is finished with the next one.
func (s *supervisor) rotateLog(ctx context.Context) error {
	_, err := logs.Rotate(ctx, s.opts.LogPath, s.opts.LogPolicy)
	return err
}

// tellProblems makes an event of every problem that is new.
func (s *supervisor) tellProblems(problems []runtime.Problem) {
	for _, problem := range problems {
		key := "problem\x00" + problem.Source + "\x00" + problem.Message
		if s.warned[key] {
			continue
		}
		s.warned[key] = true
		message := problem.Source
		if problem.Line > 0 {
			message += fmt.Sprintf(":%d", problem.Line)
		}
		s.history.add("", runtime.Event{Type: runtime.Warning, Reason: runtime.ReasonFailedValidation,
			Message: message + ": " + problem.Message})
	}
	if len(s.warned) > 10000 { // a file that is broken in ever new ways
		clear(s.warned)
	}
}
