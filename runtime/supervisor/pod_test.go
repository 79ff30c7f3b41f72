package supervisor

import (
	"testing"
	"testing/synctest"
	"time"
)

// The simplest life: a pod comes, runs, is ready, goes.
func TestAddRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.did()
		b.set(newPod("a"))
		b.did("start a/main 0")
		b.state("a", "Running", true)
		if !b.s.statusNow().Ready {
			t.Error("not ready")
		}
		b.set()
		b.did("stop a/main 30s", "gone a/main")
		if n := len(b.s.statusNow().Pods); n != 0 {
			t.Errorf("%d pods are left", n)
		}
	})
}

// Statement 54: 0, 10, 20, 40 ... 300 s from the moment it ended; ten good minutes start over.
func TestStatic_054_BackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a"))
		b.rt.did()
		for i, wait := range []time.Duration{0, 10, 20, 40, 80, 160, 300, 300} {
			b.sleep(time.Second)
			b.rt.end(t, "a/main", 1)
			begun := time.Now()
			for b.rt.get("a/main") == nil {
				b.sleep(time.Second / 10)
			}
			if took := time.Since(begun); took.Round(time.Second) != wait*time.Second {
				t.Errorf("restart %d came after %s, want %s s", i+1, took, wait)
			}
			if got := b.pod("a").Restarts; got != i+1 {
				t.Errorf("%d restarts, want %d", got, i+1)
			}
		}
		b.sleep(10*time.Minute + time.Second)
		b.rt.end(t, "a/main", 0)
		if b.rt.get("a/main") == nil {
			t.Error("ten good minutes did not reset the back-off")
		}
	})
}
