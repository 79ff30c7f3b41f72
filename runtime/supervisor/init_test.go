package supervisor

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func inits(containers ...corev1.Container) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.InitContainers = containers }
}

// Statement 56: init containers run one after the other, before the others, and not again when the others restart.
func TestStatic_056_InitContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", inits(newCtr("one"), newCtr("two"))))
		b.did("start a/one 0")
		b.state("a", "Starting", false)
		b.sleep(time.Hour)
		b.rt.end(t, "a/one", 0)
		b.did("start a/two 0")
		b.rt.end(t, "a/two", 0)
		b.did("start a/main 0")
		b.state("a", "Running", true)
		b.rt.end(t, "a/main", 1)
		b.did("start a/main 1")
	})
}

// An init container that fails is tried again with the back-off; under Never the pod has failed.
func TestStatic_056_InitFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", inits(newCtr("one"))))
		b.rt.end(t, "a/one", 1)
		b.did("start a/one 0", "start a/one 1")
		b.rt.end(t, "a/one", 1)
		b.state("a", "BackOff", false)
		b.did()
		b.sleep(10 * time.Second)
		b.did("start a/one 2")
		b.rt.end(t, "a/one", 0)
		b.did("start a/main 0")
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", inits(sidecar("side"), newCtr("one")), policy(corev1.RestartPolicyNever)))
		b.rt.end(t, "a/one", 1)
		b.did("start a/side 0", "start a/one 0", "stop a/side 30s", "gone a/side")
		b.state("a", "Failed", false)
		if got := b.pod("a").LastError; got != "container one ended with exit code 1" {
			t.Errorf("the status says %q", got)
		}
	})
}

// Statement 58: the next container starts when a sidecar has started; a sidecar is restarted whatever the
// pod's policy; it stops after the others, the last one first.
func TestStatic_058_Sidecars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		var up atomic.Bool
		b.probes["a/one Startup"] = func() (outcome, string) {
			if !up.Load() {
				return failed, "not yet"
			}
			return passed, ""
		}
		b.set(newPod("a", policy(corev1.RestartPolicyNever), inits(
			sidecar("one", func(c *corev1.Container) {
				c.StartupProbe = probe(func(p *corev1.Probe) { p.FailureThreshold = 100 })
			}),
			sidecar("two"))))
		b.sleep(time.Minute)
		b.did("start a/one 0")
		up.Store(true)
		b.sleep(10 * time.Second)
		b.did("start a/two 0", "start a/main 0")
		b.rt.end(t, "a/one", 0)
		b.did("start a/one 1")
		b.sleep(time.Second)
		b.state("a", "Running", true)
		b.set()
		b.did("stop a/main 30s", "gone a/main", "stop a/two 30s", "gone a/two", "stop a/one 30s", "gone a/one")
	})
}

// Statement 58: all share one grace period, of which at least two seconds are left for each.
func TestStatic_058_SharedGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{stop: func(*fakeContainer, time.Duration) (time.Duration, error) { return 25 * time.Second, nil }}
		b := newBench(t, rt, nil)
		b.set(newPod("a", inits(sidecar("one"), sidecar("two"))))
		b.set()
		b.sleep(time.Hour)
		b.did("start a/one 0", "start a/two 0", "start a/main 0",
			"stop a/main 30s", "gone a/main", "stop a/two 5s", "gone a/two", "stop a/one 2s", "gone a/one")
	})
}

// When the last container has ended for good its sidecars are stopped too, and that is the end of the pod.
func TestStatic_058_SidecarsEndWithTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", inits(sidecar("side")), policy(corev1.RestartPolicyOnFailure), func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, newCtr("second"))
		}))
		b.rt.end(t, "a/main", 0)
		b.did("start a/side 0", "start a/main 0", "start a/second 0")
		b.rt.end(t, "a/second", 0)
		b.did("stop a/side 30s", "gone a/side")
		b.state("a", "Succeeded", true)
		b.sleep(time.Hour)
		b.did()
	})
}

// Containers of a pod are stopped at the same time.
func TestStopInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{stop: func(*fakeContainer, time.Duration) (time.Duration, error) { return 5 * time.Second, nil }}
		b := newBench(t, rt, nil)
		b.set(newPod("a", func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, newCtr("second")) }))
		b.rt.did()
		b.set()
		b.didUnordered("stop a/main 30s", "stop a/second 30s")
		b.sleep(5 * time.Second)
		b.didUnordered("gone a/main", "gone a/second")
		if n := len(b.s.statusNow().Pods); n != 0 {
			t.Errorf("%d pods are left", n)
		}
	})
}
