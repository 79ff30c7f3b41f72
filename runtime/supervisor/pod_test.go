package supervisor

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/source"
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

// Nothing is started before every source was heard and the runtime has said what runs: a pod that
// comes later might run already.
func TestNothingBeforeAllIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer atomic.Bool
		rt := &fakeRuntime{}
		rt.list = func() ([]runtime.Found, error) {
			if !answer.Load() {
				return nil, errTest
			}
			return nil, nil
		}
		second := &fakeSource{"http://x", make(chan source.Update)}
		b := newBench(t, rt, func(o *Options) { o.Sources = append(o.Sources, second) })
		b.set(newPod("a"))
		b.sleep(time.Minute)
		second.ch <- source.Update{}
		b.sleep(time.Minute)
		b.did()
		if b.s.statusNow().Ready {
			t.Error("ready while nothing is known")
		}
		answer.Store(true)
		b.sleep(10 * time.Second)
		b.did("start a/main 0")
	})
}

// Statement 44, 65: never two of one full name, and the successor starts the moment the old one is gone.
func TestStatic_044_065_OneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{stop: func(*fakeContainer, time.Duration) (time.Duration, error) { return 7 * time.Second, nil }}
		b := newBench(t, rt, nil)
		b.set(newPod("a"))
		b.set(newPod("a", image("v2")))
		b.sleep(7*time.Second - time.Millisecond)
		b.did("start a/main 0", "stop a/main 30s")
		b.state("a", "Stopping", false)
		b.sleep(2 * time.Millisecond)
		b.did("gone a/main", "start a/main 0")
		b.state("a", "Running", true)
	})
}

// Statement 45: the old pod gets its own grace period, not that of its successor.
func TestStatic_045_OwnGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grace := func(seconds int64) func(*corev1.Pod) {
			return func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &seconds }
		}
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", grace(99)))
		b.set(newPod("a", grace(5)))
		b.did("start a/main 0", "stop a/main 1m39s", "gone a/main", "start a/main 0")
	})
}

// Statement 46: of many edits during a termination only the last one runs.
func TestStatic_046_LastEditWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{stop: func(*fakeContainer, time.Duration) (time.Duration, error) { return 10 * time.Second, nil }}
		b := newBench(t, rt, nil)
		b.set(newPod("a"))
		for i := range 300 {
			b.set(newPod("a", image(fmt.Sprintf("edit%d", i))))
		}
		last := newPod("a", image("last"))
		b.set(last)
		b.sleep(time.Minute)
		b.did("start a/main 0", "stop a/main 30s", "gone a/main", "start a/main 0")
		if got := rt.get("a/main").info.SpecHash; got != last.Hash {
			t.Errorf("content %s runs, want %s", got, last.Hash)
		}
	})
}

// 300 edits one after the other, each seen alone: never an overlap, and the last one ends up running.
func TestManyEditsInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{stop: func(*fakeContainer, time.Duration) (time.Duration, error) { return 30 * time.Millisecond, nil }}
		b := newBench(t, rt, nil)
		var last *runtime.Pod
		for i := range 300 {
			last = newPod("a", image(fmt.Sprintf("edit%d", i)))
			b.set(last)
			b.sleep(7 * time.Millisecond)
		}
		b.sleep(time.Minute)
		for _, line := range rt.did() {
			if strings.HasPrefix(line, "OVERLAP") {
				t.Error(line)
			}
		}
		if n := len(rt.running()); n != 1 {
			t.Fatalf("%d containers run", n)
		}
		if got := rt.get("a/main").info.SpecHash; got != last.Hash {
			t.Errorf("content %s runs, want %s", got, last.Hash)
		}
	})
}

// Statement 47: removed and created again with the same content it runs again, and goes on counting.
func TestStatic_047_DeleteAndRecreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a"))
		b.set()
		b.set(newPod("a"))
		b.did("start a/main 0", "stop a/main 30s", "gone a/main", "start a/main 1")
		b.set()
		b.set(newPod("a", image("v2")))
		b.did("stop a/main 30s", "gone a/main", "start a/main 0")
	})
}

// Statement 47 once more: it comes back while the old one is still ending.
func TestStatic_047_RecreatedWhileEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{stop: func(*fakeContainer, time.Duration) (time.Duration, error) { return 5 * time.Second, nil }}
		b := newBench(t, rt, nil)
		b.set(newPod("a"))
		b.set()
		b.set(newPod("a"))
		b.sleep(time.Minute)
		b.did("start a/main 0", "stop a/main 30s", "gone a/main", "start a/main 1")
	})
}

// Statements 48, 66: any change restarts, with an explicit UID too, and unchanged content never does.
func TestStatic_048_066_AnyChangeRestarts(t *testing.T) {
	uid := func(p *corev1.Pod) { p.UID = "12345" }
	for name, change := range map[string]func(*corev1.Pod){
		"image":      image("v2"),
		"name":       func(p *corev1.Pod) { p.Spec.Containers[0].Name = "other" },
		"args":       func(p *corev1.Pod) { p.Spec.Containers[0].Args = []string{"-v"} },
		"env":        func(p *corev1.Pod) { p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}} },
		"probe":      func(p *corev1.Pod) { p.Spec.Containers[0].LivenessProbe = probe() },
		"label":      func(p *corev1.Pod) { p.Labels = map[string]string{"a": "b"} },
		"annotation": annotate("a", "b"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &fakeRuntime{}, nil)
				b.set(newPod("a", uid))
				b.set(newPod("a", uid))
				b.did("start a/main 0")
				changed := newPod("a", uid, change)
				b.set(changed)
				// Under the same UID the count goes on, for a container of the same name.
				restarts := 1
				if name == "name" {
					restarts = 0
				}
				b.did("stop a/main 30s", "gone a/main", fmt.Sprintf("start a/%s %d", changed.Spec.Containers[0].Name, restarts))
			})
		})
	}
}

// Statement 49: a runtime that is away during a termination is asked again, and the pod ends soon after it is back.
func TestStatic_049_RuntimeAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		rt := &fakeRuntime{stop: func(*fakeContainer, time.Duration) (time.Duration, error) {
			if away.Load() {
				return 0, errTest
			}
			return 0, nil
		}}
		b := newBench(t, rt, nil)
		b.set(newPod("a"))
		b.set()
		b.sleep(5 * time.Minute)
		b.state("a", "Stopping", false)
		away.Store(false)
		b.sleep(10 * time.Second)
		if n := len(b.s.statusNow().Pods); n != 0 {
			t.Errorf("%d pods are left ten seconds after the runtime came back", n)
		}
	})
}

// Statement 50: what cannot be cleaned up delays the successor, which then starts.
func TestStatic_050_StuckCleanup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stuck atomic.Bool
		stuck.Store(true)
		rt := &fakeRuntime{close: func(*runtime.Pod) error {
			if stuck.Load() {
				return errTest
			}
			return nil
		}}
		b := newBench(t, rt, nil)
		b.set(newPod("a"))
		b.set(newPod("a", image("v2")))
		b.sleep(time.Hour)
		b.did("start a/main 0", "stop a/main 30s", "gone a/main")
		stuck.Store(false)
		b.sleep(10 * time.Second)
		b.did("start a/main 0")
	})
}

// Statement 51: at least two seconds for a container, whatever the pod says.
func TestStatic_051_LeastGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zero := int64(0)
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &zero }))
		b.set()
		b.did("start a/main 0", "stop a/main 2s", "gone a/main")
	})
}

// A change that comes while all containers are being stopped for another reason: the new content is started.
func TestChangedWhileRestarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{stop: func(*fakeContainer, time.Duration) (time.Duration, error) { return 5 * time.Second, nil }}
		b := newBench(t, rt, nil)
		b.set(newPod("a"))
		p, err := b.s.find("a")
		if err != nil {
			t.Fatal(err)
		}
		p.in.put(evRestart{})
		synctest.Wait()
		changed := newPod("a", image("v2"))
		b.set(changed)
		b.sleep(time.Minute)
		b.did("start a/main 0", "stop a/main 30s", "gone a/main", "start a/main 0")
		if got := rt.get("a/main").info.SpecHash; got != changed.Hash {
			t.Errorf("content %s runs, want %s", got, changed.Hash)
		}
	})
}
