package timeline

import (
	"math"

	"github.com/kubecrank/kubecrank/runtime"
)

const (
	// How long after the last line of a run its pods are watched.
	settle  = 120.0 // it has ended: pods that it did not wait for
	timeout = 600.0 // it has not, or there was none
	// gathering is how long after all were ready another pod is still one of them: those that are started at once
	// do not tell of it at once, and the first may be ready before the last has begun.
	gathering = 1.0
)

// extent finds out which pods a bring-up is of and where it ends: with the run, or with the first readiness of the
// last of them. A pod that begins when the run is over, or all were ready, is none of them, and what happens to one that
// was ready moves nothing.
type extent struct {
	ran     float64 // when the run ended, or its last line; 0 without one
	ended   bool    // it came to an end
	horizon float64 // nothing is looked at beyond it
	ready   map[string]float64
}

func newExtent(ran float64, ended bool) *extent {
	x := &extent{ran: ran, ended: ended, horizon: ran + timeout, ready: map[string]float64{}}
	if ended {
		x.horizon = ran + settle
	}
	return x
}

func nameOf(e runtime.Event) string { return e.Namespace + "/" + e.Pod }

// see takes the next event.
func (x *extent) see(e runtime.Event, at float64) {
	if e.Pod == "" || at < 0 || at > x.horizon {
		return
	}
	name := nameOf(e)
	ready, known := x.ready[name]
	if !known {
		if x.late(at) {
			return
		}
		ready = math.Inf(1)
		x.ready[name] = ready
	}
	switch e.Reason {
	case runtime.ReasonReady, runtime.ReasonCompleted:
		x.ready[name] = min(ready, at)
	case runtime.ReasonStopped: // as with an adopted one that is not wanted any more; what follows under its name is another pod
		if at <= x.ran || math.IsInf(ready, 1) {
			delete(x.ready, name)
		}
	default:
	}
}

// late says that a pod which begins now is no part of the bring-up.
func (x *extent) late(at float64) bool {
	return x.ended && at > x.ran || len(x.ready) > 0 && at > x.last()+gathering
}

// last is when the run was over and all pods had been ready; infinite as long as one was not.
func (x *extent) last() float64 {
	last := x.ran
	for _, at := range x.ready {
		last = max(last, at)
	}
	return last
}

func (x *extent) end() float64 { return min(x.last(), x.horizon) }
