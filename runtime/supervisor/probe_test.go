package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
)

// prober that writes down when it was asked, relative to begun, and answers from a script; the last
// answer stays.
type script struct {
	mu      sync.Mutex
	begun   time.Time
	answers []outcome
	asked   []time.Duration
}

func (s *script) ask() (outcome, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Since(s.begun))
	o := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return o, "script says " + string(o)
}

// at compares when it was asked first.
func (s *script) at(t *testing.T, want ...time.Duration) {
	t.Helper()
	asked := s.all()
	if len(asked) > len(want) {
		asked = asked[:len(want)]
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked at %v, want %v", asked, want)
	}
}

func (s *script) all() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// probed starts pod a with these probes and scripts by kind.
func probed(t *testing.T, kinds map[probeKind]*script, change ...func(*corev1.Pod)) *bench {
	b := newBench(t, &fakeRuntime{}, nil)
	for kind, s := range kinds {
		s.begun = time.Now()
		b.probes["a/main "+string(kind)] = s.ask
	}
	b.set(newPod("a", change...))
	b.rt.did()
	return b
}

func withReadiness(change ...func(*corev1.Probe)) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].ReadinessProbe = probe(change...) }
}

func withLiveness(change ...func(*corev1.Probe)) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].LivenessProbe = probe(change...) }
}

func repeat(n int, o outcome, then ...outcome) []outcome {
	return append(slices.Repeat([]outcome{o}, n), then...)
}

// Statement 70: the initial delay counts from the container's start; the period from there.
func TestStatic_070_InitialDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: repeat(1, passed)}
		b := probed(t, map[probeKind]*script{readiness: s}, withReadiness(func(p *corev1.Probe) { p.InitialDelaySeconds, p.PeriodSeconds = 7, 3 }))
		b.sleep(6999 * time.Millisecond)
		b.state("a", "Running", false)
		b.sleep(time.Millisecond)
		b.state("a", "Running", true)
		b.sleep(10 * time.Second)
		s.at(t, 7*time.Second, 10*time.Second, 13*time.Second, 16*time.Second)
	})
}

// Statement 71: only so many results in a row count, of either kind.
func TestStatic_071_Thresholds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []outcome{
			passed, failed, passed, passed, passed, // at 40 s: three in a row
			failed, passed, failed, failed, // at 80 s: two in a row
			passed, passed, passed}} // at 110 s
		b := probed(t, map[probeKind]*script{readiness: s}, withReadiness(func(p *corev1.Probe) { p.SuccessThreshold, p.FailureThreshold = 3, 2 }))
		for at := 0; at <= 120; at += 5 {
			want := at >= 40 && at < 80 || at >= 110
			if got := b.pod("a").Ready; got != want {
				t.Errorf("ready %t after %d s", got, at)
			}
			b.sleep(5 * time.Second)
		}
	})
}

// Statement 71: a liveness probe kills at its threshold, not before; the container starts again at once.
func TestStatic_071_LivenessKills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []outcome{passed, failed, failed, passed, failed, failed, failed, passed}}
		b := probed(t, map[probeKind]*script{liveness: s}, withLiveness())
		b.sleep(60*time.Second - time.Millisecond)
		b.did()
		b.sleep(time.Millisecond)
		b.did("stop a/main 30s", "gone a/main", "start a/main 1")
		if got := b.pod("a").LastError; got != "container main ended with signal SIGTERM after Liveness probe failed: script says failed" {
			t.Errorf("the status says %q", got)
		}
		var killing string
		for _, e := range b.s.history.all() {
			if e.Reason == runtime.ReasonKilling {
				killing = e.Message
			}
		}
		if killing != "Container main failed liveness probe, will be restarted" {
			t.Errorf("the event says %q", killing)
		}
	})
}

// Under Never a failed liveness probe is the end.
func TestLivenessUnderNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := probed(t, map[probeKind]*script{liveness: {answers: repeat(1, failed)}}, withLiveness(), policy(corev1.RestartPolicyNever))
		b.sleep(time.Hour)
		b.did("stop a/main 30s", "gone a/main")
		b.state("a", "Failed", false)
	})
}

// Statement 72: nothing but the startup probe runs until it has succeeded, and then it stops; readiness follows at once.
func TestStatic_072_StartupGates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, live, ready := &script{answers: repeat(2, failed, passed)}, &script{answers: repeat(1, passed)}, &script{answers: repeat(1, passed)}
		b := probed(t, map[probeKind]*script{startup: start, liveness: live, readiness: ready}, withStartup, withLiveness(), withReadiness())
		b.sleep(19 * time.Second)
		if c := b.pod("a").Containers[0]; c.Started || c.Ready || len(live.all())+len(ready.all()) > 0 {
			t.Errorf("started %t, ready %t, asked %v %v", c.Started, c.Ready, live.all(), ready.all())
		}
		b.sleep(time.Second)
		b.state("a", "Running", true)
		b.sleep(time.Minute)
		start.at(t, 0, 10*time.Second, 20*time.Second)
		if len(start.all()) != 3 {
			t.Errorf("the startup probe went on: %v", start.all())
		}
		ready.at(t, 20*time.Second, 30*time.Second)
		live.at(t, 20*time.Second, 30*time.Second)
	})
}

// Statement 73: after the kill nothing is probed until the new container runs.
func TestStatic_073_OnHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, kind := range []probeKind{liveness, startup} {
			s := &script{answers: repeat(1, failed), begun: time.Now()}
			b := newBench(t, &fakeRuntime{stop: func(*fakeContainer, time.Duration) (time.Duration, error) { return 25 * time.Second, nil }}, nil)
			b.probes["a/main "+string(kind)] = s.ask
			b.set(newPod("a", func(p *corev1.Pod) {
				if kind == startup {
					p.Spec.Containers[0].StartupProbe = probe()
				} else {
					p.Spec.Containers[0].LivenessProbe = probe()
				}
			}))
			b.sleep(50 * time.Second)
			// Killed at 20 s, gone at 45 s, started again then.
			s.at(t, 0, 10*time.Second, 20*time.Second, 45*time.Second)
			b.did("start a/main 0", "stop a/main 30s", "gone a/main", "start a/main 1")
			b.end()
		}
	})
}

// Statement 78: a probe's own grace period is used for its kill, and for no other.
func TestStatic_078_ProbeGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := int64(7)
		grace := func(p *corev1.Probe) { p.TerminationGracePeriodSeconds = &own }
		b := probed(t, map[probeKind]*script{liveness: {answers: repeat(3, failed, passed)}}, withLiveness(grace))
		b.sleep(20 * time.Second)
		b.did("stop a/main 7s", "gone a/main", "start a/main 1")
		b.set()
		b.did("stop a/main 30s", "gone a/main")
	})
}

// Statement 79: a check that could not be made changes nothing; package health tries it three times.
func TestStatic_079_ErrorsDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: append(repeat(2, failed), repeat(5, unknown, failed, passed)...)}
		b := probed(t, map[probeKind]*script{liveness: s}, withLiveness())
		b.sleep(69 * time.Second)
		b.did()
		if want := 2 + 5; len(s.all()) != want {
			t.Errorf("asked %d times, want %d", len(s.all()), want)
		}
		b.sleep(time.Second)
		b.did("stop a/main 30s", "gone a/main", "start a/main 1")
	})
}

// Readiness goes and comes back, and nothing is killed for it.
func TestReadinessComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: append(append(repeat(1, passed), repeat(4, failed)...), passed)}
		b := probed(t, map[probeKind]*script{readiness: s}, withReadiness())
		b.state("a", "Running", true)
		b.sleep(30 * time.Second)
		b.state("a", "Running", false)
		if got := b.pod("a").LastError; got != "container main: Readiness probe failed: script says failed" {
			t.Errorf("the status says %q", got)
		}
		b.sleep(20 * time.Second)
		b.state("a", "Running", true)
		if got := b.pod("a").LastError; got != "" {
			t.Errorf("the status still says %q", got)
		}
		b.did()
	})
}

// kubecrank.dev/eager-probe-period: early checks find the first success soon, and their failures do not
// count; the regular ones do, from the initial delay on.
func TestEagerProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := func(p *corev1.Probe) { p.InitialDelaySeconds = 10 }
		start := &script{answers: repeat(23, failed, passed)}
		ready := &script{answers: repeat(4, failed, passed)}
		b := probed(t, map[probeKind]*script{startup: start, readiness: ready}, eager("100ms"), withReadiness(late),
			func(p *corev1.Pod) { p.Spec.Containers[0].StartupProbe = probe(late) })
		b.sleep(2299 * time.Millisecond)
		b.state("a", "Starting", false)
		if slices.Contains(b.events("a"), runtime.ReasonUnhealthy) {
			t.Error("early failures are told as events")
		}
		if got := b.pod("a").LastError; got != "container main: Startup probe failed: script says failed" {
			t.Errorf("the status says %q", got)
		}
		b.sleep(time.Millisecond)
		b.state("a", "Running", false)
		b.sleep(400 * time.Millisecond)
		b.state("a", "Running", true)
		b.sleep(time.Minute)
		ready.at(t, 2300*time.Millisecond, 2400*time.Millisecond, 2500*time.Millisecond, 2600*time.Millisecond, 2700*time.Millisecond,
			10*time.Second, 20*time.Second) // and then only as the manifest says
		b.did()
	})
}

// Eager probes do not lengthen a container's life: the regular failures kill it when they would have.
func TestEagerProbesStillFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := probed(t, map[probeKind]*script{startup: {answers: repeat(1, failed)}}, eager("100ms"),
			func(p *corev1.Pod) {
				p.Spec.Containers[0].StartupProbe = probe(func(p *corev1.Probe) { p.InitialDelaySeconds = 10 })
			})
		b.sleep(30*time.Second - time.Millisecond)
		b.did()
		b.sleep(time.Millisecond)
		b.did("stop a/main 30s", "gone a/main", "start a/main 1")
	})
}

// A check that hangs is not overtaken: one probe of a kind at a time, and late ticks are dropped.
func TestSlowChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		var asked []string
		running := 0
		begun := time.Now()
		b.probes["a/main Readiness"] = func() (outcome, string) {
			if running++; running > 1 {
				t.Error("two at a time")
			}
			asked = append(asked, fmt.Sprint(time.Since(begun)))
			time.Sleep(25 * time.Second)
			running--
			return passed, ""
		}
		b.set(newPod("a", withReadiness()))
		b.sleep(100 * time.Second)
		if got := strings.Join(asked, " "); got != "0s 30s 1m0s 1m30s" {
			t.Errorf("asked at %s", got)
		}
		b.set()
		b.sleep(time.Minute)
	})
}
