package supervisor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/health"
)

// probeKind is one of the three kinds of probes, as the kubelet spells them in messages.
type probeKind string

const (
	startup   probeKind = "Startup"
	liveness  probeKind = "Liveness"
	readiness probeKind = "Readiness"
)

// probeReport is what a probe worker tells the pod: every failure, and every change of the result.
type probeReport struct {
	kind    probeKind
	outcome outcome
	text    string
	detail  string // more than the text: not for events
	decided bool   // the threshold was reached: the outcome is the result from now on
	early   bool   // a failure of an eager probe, which does not count
}

// prober checks one thing about one run of a container until its result is final or ctx ends
// (pkg/kubelet/prober/worker.go; statements 69 to 79).
//
//	started + initialDelay + n*period: counted against the thresholds
//	started + n*eager, until the first success: only a success counts
type prober struct {
	check     health.Check
	count     func(outcome)
	spec      *corev1.Probe
	kind      probeKind
	startedAt time.Time
	eager     time.Duration // 0 for none
	jitter    bool          // wait for a random part of the period first: many were adopted at once
	known     bool          // readiness of an adopted container: its result so far
	tell      func(probeReport)
}

// eagerTimeout bounds an early check: one that hangs must not hide the moment when the answer is there.
const eagerTimeout = time.Second

func (w *prober) run(ctx context.Context) {
	spec := w.spec
	period := time.Duration(spec.PeriodSeconds) * time.Second
	timeout := time.Duration(spec.TimeoutSeconds) * time.Second
	delay := time.Duration(spec.InitialDelaySeconds) * time.Second
	next, now := w.startedAt.Add(delay), time.Now()
	switch {
	case next.Before(now):
		next = now
		if w.jitter {
			next = now.Add(rand.N(period))
		}
	case next.After(now.Add(delay)): // it was adopted, and the clock has been set back
		next = now.Add(delay)
	}
	early, eager := time.Now(), w.eager > 0
	result, row, last := w.known, 0, unknown
	for {
		isEarly := eager && early.Before(next)
		at := next
		if isEarly {
			at = early
		}
		if !sleepUntil(ctx, at) {
			return
		}
		limit := timeout
		if isEarly {
			limit = min(timeout, max(eagerTimeout, w.eager))
		}
		r := w.attempt(ctx, limit)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		early = later(at.Add(w.eager), now)
		if !isEarly { // a ticker that drops what it was late for
			for next = next.Add(period); next.Before(now); next = next.Add(period) {
			}
		}
		good := r.outcome == passed || r.outcome == warned
		switch {
		case r.outcome == unknown:
			w.tell(r)
			continue
		case isEarly && !good:
			r.early = true
			w.tell(r)
			continue
		}
		eager = eager && !good
		if good != (last == passed) || last == unknown {
			row = 0
		}
		row++
		last = failed
		threshold := spec.FailureThreshold
		if good {
			last, threshold = passed, spec.SuccessThreshold
		}
		r.decided = row >= int(threshold)
		changed := r.decided && (good != result || w.kind != readiness)
		if r.decided {
			result = good
		}
		if changed || !good || r.outcome == warned {
			w.tell(r)
		}
		if r.decided && (w.kind == startup || w.kind == liveness && !good) {
			return // on hold until there is a new container (statement 73)
		}
	}
}

// attempt makes one check; package health tries again what could not be made (statement 79).
func (w *prober) attempt(ctx context.Context, limit time.Duration) probeReport {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r := probeReport{kind: w.kind}
	r.outcome, r.text, r.detail = judge(w.check(ctx))
	w.count(r.outcome)
	return r
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// sleepUntil returns false when ctx ends first.
func sleepUntil(ctx context.Context, at time.Time) bool {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// startProbes starts the probes that apply now: startup alone until it has succeeded (statement 72).
func (p *pod) startProbes(c *container, adopted bool) {
	if c.init && !c.sidecar {
		return
	}
	probes := map[probeKind]*corev1.Probe{startup: c.spec.StartupProbe}
	if c.started {
		probes = map[probeKind]*corev1.Probe{liveness: c.spec.LivenessProbe, readiness: c.spec.ReadinessProbe}
	}
	for kind, probe := range probes {
		if probe == nil {
			continue
		}
		run := c.run
		target := ProbeTarget{Pod: p.cur, Container: c.spec, Probe: probe, Running: c.rc}
		w := &prober{
			check: p.newCheck(target), count: func(o outcome) { p.metrics.probed(target, kind, o) },
			spec: probe, kind: kind, startedAt: c.info.StartedAt, jitter: adopted,
			tell: func(r probeReport) { p.in.put(evProbe{c, run, r}) },
		}
		switch {
		case kind == readiness && c.ready:
			w.known = true
		case kind != liveness:
			w.eager = eagerPeriod(p.cur)
		}
		ctx := c.ctx
		p.work.Go(func() { w.run(ctx) })
	}
}

// eagerPeriod is 0 when the pod does not ask for one.
func eagerPeriod(pod *runtime.Pod) time.Duration {
	d, err := time.ParseDuration(pod.Annotations[runtime.EagerProbeAnnotation])
	if err != nil || d <= 0 {
		return 0
	}
	return max(d, 10*time.Millisecond)
}

func (p *pod) onProbe(e evProbe) {
	c := e.c
	if !p.current(c, e.run) || c.state != ctrRunning {
		return
	}
	good := e.outcome == passed || e.outcome == warned
	switch {
	case e.outcome == unknown:
		p.event(c, runtime.Warning, runtime.ReasonUnhealthy,
			fmt.Sprintf("%s probe errored and resulted in unknown state: %s", e.kind, e.text))
		return
	case e.outcome == warned:
		p.event(c, runtime.Warning, runtime.ReasonProbeWarning, fmt.Sprintf("%s probe warning: %s", e.kind, e.text))
	case !good:
		c.probe = fmt.Sprintf("%s probe failed: %s", e.kind, e.text)
		if e.early {
			p.event(c, runtime.Normal, runtime.ReasonEarlyProbe, c.probe)
		} else {
			p.event(c, runtime.Warning, runtime.ReasonUnhealthy, c.probe)
		}
		if e.detail != "" {
			c.probe += " (" + e.detail + ")"
		}
		p.problem = "container " + c.spec.Name + ": " + c.probe
	}
	if !e.decided {
		return
	}
	switch e.kind {
	case startup:
		p.onStartup(c, good)
	case liveness:
		if !good {
			p.unhealthy(c, liveness, c.spec.LivenessProbe)
		}
	case readiness:
		if good && !c.ready {
			p.event(c, runtime.Normal, runtime.ReasonReadinessSucceeded, "Readiness probe succeeded")
		}
		c.ready = good
	default:
		p.log.Error("a probe of an unknown kind", "pod", p.fullName, "kind", string(e.kind))
	}
}

func (p *pod) onStartup(c *container, good bool) {
	if !good {
		p.unhealthy(c, startup, c.spec.StartupProbe)
		return
	}
	if c.started {
		return
	}
	c.started, c.probe = true, ""
	c.ready = c.spec.ReadinessProbe == nil
	p.event(c, runtime.Normal, runtime.ReasonStartupSucceeded, "Startup probe succeeded")
	p.startProbes(c, false)
	p.advance()
}

// unhealthy kills a container that failed its liveness or startup probe, with the probe's own grace
// period if it has one (statement 78).
func (p *pod) unhealthy(c *container, kind probeKind, probe *corev1.Probe) {
	grace := p.grace()
	if s := probe.TerminationGracePeriodSeconds; s != nil {
		grace = time.Duration(*s) * time.Second
	}
	message := fmt.Sprintf("Container %s failed %s probe", c.spec.Name, strings.ToLower(string(kind)))
	c.killed = true
	if decide(p.cur, c) != restartNone {
		message += ", will be restarted"
	}
	p.kill(c, grace, message)
}
