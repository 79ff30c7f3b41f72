package supervisor

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/kubecrank/kubecrank/redact"
	"github.com/kubecrank/kubecrank/runtime"
)

// history keeps the last events of each pod, logs every one, and hands them to whoever follows.
type history struct {
	log   *slog.Logger
	begin time.Time                               // the zero of Event.Offset
	count func(runtime.EventType, runtime.Reason) // for metrics
	file  *eventFile                              // keeps them on disk; nil for nobody

	mu          sync.Mutex
	pods        map[string]*podEvents // by full name; "" for the supervisor's own
	subscribers map[chan runtime.Event]struct{}
}

type podEvents struct {
	events []runtime.Event // oldest first
}

const (
	eventsPerPod     = 100
	podsInHistory    = 2000 // those of pods long gone are dropped beyond it
	subscriberBuffer = 1024
)

func newHistory(log *slog.Logger) *history {
	return &history{log: log, begin: time.Now(), pods: map[string]*podEvents{}, subscribers: map[chan runtime.Event]struct{}{}}
}

// add records an event under a key, the pod's full name. The same event again only counts up.
func (h *history) add(key string, e runtime.Event) {
	e.Time = time.Now()
	e.Message = redact.Text(e.Message)
	e.Offset = e.Time.Sub(h.begin)
	level := slog.LevelInfo
	if e.Type == runtime.Warning {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.String("reason", string(e.Reason))}
	if e.Pod != "" {
		attrs = append(attrs, slog.String("pod", e.Pod))
	}
	if e.Container != "" {
		attrs = append(attrs, slog.String("container", e.Container))
	}
	if h.count != nil {
		h.count(e.Type, e.Reason)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	repeated := h.remember(key, e)
	// A probe that fails for hours is one line in the log per power of two, and one entry in the history.
	if repeated&(repeated-1) == 0 {
		if repeated > 1 {
			attrs = append(attrs, slog.Int("count", repeated))
		}
		h.log.LogAttrs(context.Background(), level, e.Message, attrs...)
	}
	if h.file != nil && (repeated <= eachKept || repeated&(repeated-1) == 0) {
		kept := e
		if repeated > 1 {
			kept.Count = repeated
		}
		h.file.put(kept)
	}
	for ch := range h.subscribers {
		select {
		case ch <- e:
		default: // it does not read: it is cut off rather than waited for
			delete(h.subscribers, ch)
			close(ch)
		}
	}
}

// remember returns how often the event has happened in a row.
func (h *history) remember(key string, e runtime.Event) int {
	p := h.pods[key]
	if p == nil {
		if len(h.pods) >= podsInHistory {
			h.dropOldest()
		}
		p = &podEvents{}
		h.pods[key] = p
	}
	if repeats(e.Reason) {
		for i := len(p.events) - 1; i >= max(0, len(p.events)-recent); i-- {
			old := &p.events[i]
			if old.Container == e.Container && old.Reason == e.Reason && old.Message == e.Message {
				old.Count = max(old.Count+1, 2, e.Count)
				old.Time = e.Time
				return old.Count
			}
		}
	}
	if len(p.events) == eventsPerPod {
		p.events = slices.Delete(p.events, 0, 1)
	}
	p.events = append(p.events, e)
	return 1
}

// eachKept is how many of a row are on disk one by one: the probes of a slow start are a part of the timeline.
const eachKept = 256

// recent is how far back a repetition is looked for: a few probes may fail in turns.
const recent = 6

// repeats tells the reasons that come again and again. What begins and ends something is always an event
// of its own: the timeline is made of it.
func repeats(reason runtime.Reason) bool {
	switch reason {
	case runtime.ReasonUnhealthy, runtime.ReasonEarlyProbe, runtime.ReasonProbeWarning, runtime.ReasonBackOff,
		runtime.ReasonFailed, runtime.ReasonFailedSandbox, runtime.ReasonFailedKill, runtime.ReasonFailedValidation:
		return true
	default:
		return false
	}
}

func (h *history) dropOldest() {
	oldest := ""
	for key, p := range h.pods {
		if key == "" {
			continue
		}
		if o := h.pods[oldest]; oldest == "" || p.events[len(p.events)-1].Time.Before(o.events[len(o.events)-1].Time) {
			oldest = key
		}
	}
	delete(h.pods, oldest)
}

// all returns what is known, in order of time.
func (h *history) all() []runtime.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []runtime.Event
	for _, p := range h.pods {
		all = append(all, p.events...)
	}
	slices.SortStableFunc(all, func(a, b runtime.Event) int { return int(a.Offset - b.Offset) })
	return all
}

// follow returns a channel of the events from now on; it is closed when its reader is too slow, or by stop.
func (h *history) follow() (events <-chan runtime.Event, stop func()) {
	ch := make(chan runtime.Event, subscriberBuffer)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subscribers[ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if _, ok := h.subscribers[ch]; ok {
			delete(h.subscribers, ch)
			close(ch)
		}
	}
}
