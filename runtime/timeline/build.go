package timeline

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// Build makes the timeline of the last bring-up: that of the run which the lines tell of, or of a later supervisor
// that found nothing running and started the pods by itself, as after a reboot. events are all that is known, in
// the order in which they were written. Without either it returns false.
func Build(lines []Line, events []runtime.Event) (Timeline, bool) {
	sessions := split(events)
	own := slices.IndexFunc(lines, func(l Line) bool { return l.What == RunBegan && l.Run != nil })
	last := bringUp(sessions)
	switch {
	case own < 0 && last == nil:
		return Timeline{}, false
	case own < 0 || last != nil && last.zero.since(zeroOf(lines[own])) > over(lines):
		return alone(*last), true
	}
	lines = lines[own:]
	b := builder{zero: zeroOf(lines[0])}
	b.t = Timeline{Verb: lines[0].Run.Verb, Node: lines[0].Run.Node}
	b.ended = b.phases(lines)
	b.merge(sessions)
	return b.finish(), true
}

// over is when a run is over for sure: a supervisor that begins later was not started by it.
func over(lines []Line) time.Duration {
	last := lines[len(lines)-1]
	if last.What == RunEnded {
		return last.At
	}
	return last.At + time.Duration(settle*float64(time.Second))
}

// alone is the timeline of a supervisor that nobody else watched.
func alone(s session) Timeline {
	b := builder{zero: s.zero, t: Timeline{Verb: "supervise"}}
	b.merge([]session{s})
	return b.finish()
}

// zero is the moment from which a process counts.
type zero struct {
	wall   time.Time
	boot   string
	uptime time.Duration
}

func zeroOf(first Line) zero {
	return zero{wall: first.Run.Time, boot: first.Run.Boot, uptime: first.Run.Uptime}
}

// since is how much later z is than o.
func (z zero) since(o zero) time.Duration {
	if z.boot != "" && z.boot == o.boot {
		return z.uptime - o.uptime
	}
	return z.wall.Round(0).Sub(o.wall.Round(0))
}

// session is what one supervisor has told.
type session struct {
	zero   zero
	who    *runtime.Session // nil: its first event was lost
	events []runtime.Event
}

func split(events []runtime.Event) []session {
	var sessions []session
	for _, e := range events {
		began := e.Time.Add(-e.Offset)
		switch n := len(sessions); {
		case e.Session != nil:
			z := zero{wall: began, boot: e.Session.Boot, uptime: e.Session.Uptime}
			if n > 0 && sessions[n-1].who != nil && *sessions[n-1].who == *e.Session {
				continue // the head of its next file
			}
			sessions = append(sessions, session{zero: z, who: e.Session})
		case n == 0:
			sessions = append(sessions, session{zero: zero{wall: began}})
		}
		s := &sessions[len(sessions)-1]
		s.events = append(s.events, e)
	}
	return sessions
}

// bringUp is the last session that started pods and had none to adopt.
func bringUp(sessions []session) *session {
	for i := range slices.Backward(sessions) {
		adopted := slices.ContainsFunc(sessions[i].events, func(e runtime.Event) bool { return e.Reason == runtime.ReasonAdopted })
		started := slices.ContainsFunc(sessions[i].events, func(e runtime.Event) bool { return e.Reason == runtime.ReasonStarted })
		if started && !adopted {
			return &sessions[i]
		}
	}
	return nil
}

type builder struct {
	zero  zero
	ended bool // the run came to an end, good or bad
	t     Timeline
}

// seconds makes a place on the axis, of a tenth of a millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1e4) / 1e4 }

func pointer(at float64) *float64 { return &at }

// phases reads the verb's own lines, and says whether the run came to an end.
func (b *builder) phases(lines []Line) (ended bool) {
	b.t.Began = b.zero.wall
	byName := map[string]int{}
	for _, l := range lines {
		at := seconds(l.At)
		b.t.End = max(b.t.End, at)
		i, known := byName[l.Phase]
		switch {
		case l.What == RunEnded:
			ended = true
			b.t.Error = l.Error
			continue
		case l.What == PhaseStarted && !known:
			byName[l.Phase] = len(b.t.Phases)
			b.t.Phases = append(b.t.Phases, Phase{Name: l.Phase, Short: l.Detail, After: l.After, Start: at, Steps: []Step{}})
			continue
		case !known:
			continue
		}
		b.t.Phases[i].add(l, at)
	}
	return ended
}

func (p *Phase) add(l Line, at float64) {
	switch l.What {
	case PhasePrepared:
		p.Prepared = pointer(at)
	case PhaseEnded:
		p.End, p.Error = pointer(at), l.Error
	case StepStarted:
		p.Steps = append(p.Steps, Step{Name: l.Step, Start: at, State: l.State, Detail: l.Detail})
	case StepEnded:
		for i := range p.Steps {
			if s := &p.Steps[i]; s.Name == l.Step && s.End == nil {
				s.End, s.Error = pointer(at), l.Error
				s.State, s.Detail = or(l.State, s.State), or(l.Detail, s.Detail)
				break
			}
		}
	default:
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// merge puts the events into the pods, from the begin of the run to the moment when all that it started was ready.
func (b *builder) merge(sessions []session) {
	x := newExtent(b.t.End, b.ended)
	for _, s := range sessions {
		shift := s.zero.since(b.zero)
		for _, e := range s.events {
			x.see(e, seconds(shift+e.Offset))
		}
	}
	end := x.end()
	for _, s := range sessions {
		shift := s.zero.since(b.zero)
		for _, e := range s.events {
			at := seconds(shift + e.Offset)
			if at > end {
				break
			}
			if e.Session != nil {
				b.t.Supervisor = &Supervisor{PID: s.who.PID, Version: s.who.Version, Start: at}
			}
			if at < 0 {
				continue
			}
			b.event(e, at, x.ready)
			b.t.End = max(b.t.End, at)
		}
		if b.t.Began.IsZero() {
			b.t.Began = s.zero.wall
		}
	}
}

func (b *builder) allReady() bool {
	return !slices.ContainsFunc(b.t.Pods, func(p Pod) bool { return p.Ready == nil })
}

func (b *builder) pod(e runtime.Event) *Pod {
	for i := range b.t.Pods {
		if p := &b.t.Pods[i]; p.Name == e.Pod && p.Namespace == e.Namespace {
			return p
		}
	}
	b.t.Pods = append(b.t.Pods, Pod{Name: e.Pod, Namespace: e.Namespace, Containers: []Container{}})
	return &b.t.Pods[len(b.t.Pods)-1]
}

func (p *Pod) container(name string) *Container {
	for i := range p.Containers {
		if p.Containers[i].Name == name {
			return &p.Containers[i]
		}
	}
	p.Containers = append(p.Containers, Container{Name: name, Runs: []Instance{}, Probes: []Probe{}})
	return &p.Containers[len(p.Containers)-1]
}

// event takes one event; ready are the pods of the bring-up, with the moment from which each was ready.
func (b *builder) event(e runtime.Event, at float64, ready map[string]float64) {
	if e.Reason != runtime.ReasonEarlyProbe {
		b.t.Events = append(b.t.Events, Event{At: at, Pod: e.Pod, Namespace: e.Namespace, Container: e.Container,
			Type: e.Type, Reason: e.Reason, Message: e.Message})
	}
	first, ours := ready[nameOf(e)]
	if !ours {
		return
	}
	p := b.pod(e)
	if at >= first && p.Ready == nil {
		p.Ready = pointer(first)
	}
	if e.Container == "" {
		p.event(e, at)
		return
	}
	c := p.container(e.Container)
	p.unblock(at, e.Reason)
	c.event(e, at)
}

// unblock ends the waiting of a pod: one of its containers starts.
func (p *Pod) unblock(at float64, reason runtime.Reason) {
	if n := len(p.Waits); reason == runtime.ReasonStarted && n > 0 && p.Waits[n-1].End == nil {
		p.Waits[n-1].End = pointer(at)
	}
}

func (p *Pod) event(e runtime.Event, at float64) {
	switch e.Reason {
	case runtime.ReasonWaiting:
		p.Waits = append(p.Waits, Wait{Start: at, For: strings.TrimPrefix(e.Message, "Waiting for ")})
	case runtime.ReasonReady, runtime.ReasonCompleted:
		for i := range p.Containers {
			p.Containers[i].ready(at)
		}
	default:
	}
}

// ready is for a container of a pod that has just become ready: one that is not probed was so before. Of an adopted one
// nobody knew until now.
func (c *Container) ready(at float64) {
	if len(c.Runs) == 0 {
		return
	}
	g := &c.Runs[len(c.Runs)-1]
	if g.End != nil {
		return
	}
	if g.Started == nil {
		g.Started = pointer(g.Start)
		if g.Adopted {
			g.Started = pointer(at)
		}
	}
	if g.Ready == nil {
		g.Ready = g.Started
	}
}

func (c *Container) event(e runtime.Event, at float64) {
	var now *Instance
	if n := len(c.Runs); n > 0 {
		now = &c.Runs[n-1]
	}
	switch e.Reason {
	case runtime.ReasonStarted:
		c.Runs = append(c.Runs, Instance{Start: at})
		return
	case runtime.ReasonAdopted:
		switch {
		case now == nil: // since before the axis begins
			c.Runs = append(c.Runs, Instance{Adopted: true})
		case now.End != nil: // a start that its supervisor could not tell of any more
			c.Runs = append(c.Runs, Instance{Start: *now.End, Adopted: true})
		default: // it was seen to start
		}
		return
	case runtime.ReasonUnhealthy, runtime.ReasonEarlyProbe, runtime.ReasonProbeWarning:
		kind, _, _ := strings.Cut(e.Message, " ")
		c.Probes = append(c.Probes, Probe{At: at, Kind: kind, Text: e.Message,
			OK: e.Reason == runtime.ReasonProbeWarning, Early: e.Reason == runtime.ReasonEarlyProbe})
	case runtime.ReasonStartupSucceeded:
		c.Probes = append(c.Probes, Probe{At: at, Kind: "Startup", OK: true})
	case runtime.ReasonReadinessSucceeded:
		c.Probes = append(c.Probes, Probe{At: at, Kind: "Readiness", OK: true})
	default:
	}
	if now == nil || now.End != nil {
		return
	}
	switch e.Reason {
	case runtime.ReasonStartupSucceeded:
		now.Started = pointer(at)
	case runtime.ReasonReadinessSucceeded:
		if now.Started == nil {
			now.Started = pointer(now.Start)
		}
		if now.Ready == nil {
			now.Ready = pointer(at)
		}
	case runtime.ReasonExited:
		now.End, now.Exit = pointer(at), e.Message
	default:
	}
}

// finish draws the conclusions.
func (b *builder) finish() Timeline {
	t := &b.t
	if t.Phases == nil {
		t.Phases = []Phase{}
	}
	if t.Pods == nil {
		t.Pods = []Pod{}
	}
	if t.Events == nil {
		t.Events = []Event{}
	}
	slices.SortStableFunc(t.Pods, func(a, b Pod) int { return compare(a.begin(), b.begin()) })
	if len(t.Pods) > 0 && b.allReady() {
		t.Ready = pointer(0)
		for _, p := range t.Pods {
			*t.Ready = max(*t.Ready, *p.Ready)
		}
	}
	switch {
	case t.Error != "" || slices.ContainsFunc(t.Phases, func(p Phase) bool { return p.Error != "" }):
		t.Result = "failed"
	case t.Ready == nil || len(t.Phases) > 0 && !b.ended:
		t.Result = "unfinished"
	default:
		t.Result = "ready"
	}
	t.Critical = critical(*t)
	return *t
}

// begin is when the first container of the pod was started.
func (p Pod) begin() float64 {
	begin := math.Inf(1)
	for _, c := range p.Containers {
		for _, g := range c.Runs {
			begin = min(begin, g.Start)
		}
	}
	return begin
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
