package supervisor

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
)

// Statement 53: the sandbox has died, and what runs in it is stopped: all containers are started again in a
// new one, init containers first, with their counts going on.
func TestStatic_053_DeadSandbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", inits(newCtr("init"), sidecar("side"))))
		b.rt.end(t, "a/init", 0)
		b.did("start a/init 0", "start a/side 0", "start a/main 0")
		b.rt.endSandbox("a")
		synctest.Wait()
		b.did("stop a/main 30s", "gone a/main", "stop a/side 30s", "gone a/side", "close a, which has ended", "start a/init 1")
		b.rt.end(t, "a/init", 0)
		b.did("start a/side 1", "start a/main 1")
		b.state("a", "Running", true)
		if !slices.Contains(b.events("a"), "SandboxChanged") {
			t.Errorf("events %q", b.events("a"))
		}
		b.rt.end(t, "a/main", 1)
		b.did("start a/main 2") // at once: the end of the sandbox was no crash of the container
	})
}

// Statement 53: its containers died with it, and were tried again before the runtime said so: no back-off for that.
func TestStatic_053_DeadWithContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{tellLate: time.Second}, nil)
		b.set(newPod("a"))
		b.rt.endSandbox("a")
		b.rt.end(t, "a/main", 137)
		b.sleep(time.Second)
		b.did("start a/main 0", "fail a/main, for its sandbox has ended", "close a, which has ended", "start a/main 1")
		b.state("a", "Running", true)
	})
}

// Statement 53, what computePodActions leaves alone: nothing is run again under Never, nor what has succeeded under OnFailure.
func TestStatic_053_NotRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", policy(corev1.RestartPolicyNever)))
		b.rt.endSandbox("a")
		synctest.Wait()
		b.did("start a/main 0", "stop a/main 30s", "gone a/main")
		b.state("a", "Failed", false)
		p, err := b.s.find("a")
		if err != nil {
			t.Fatal(err)
		}
		p.in.put(evRestart{}) // but it can be asked for
		synctest.Wait()
		b.did("close a, which has ended", "start a/main 1")
		b.state("a", "Running", true)
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", policy(corev1.RestartPolicyOnFailure), func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, newCtr("second")) }))
		b.rt.end(t, "a/second", 0)
		b.rt.endSandbox("a")
		synctest.Wait()
		b.did("start a/main 0", "start a/second 0", "stop a/main 30s", "gone a/main", "close a, which has ended", "start a/main 1")
		b.rt.end(t, "a/main", 0)
		b.state("a", "Succeeded", true)
	})
}

// Statement 53: a container in its back-off stays there, whatever happens to the sandbox.
func TestStatic_053_BackOffGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a"))
		checkBackOff(t, b, 0, 10)
		b.rt.end(t, "a/main", 1)
		b.rt.did()
		b.sleep(5 * time.Second)
		b.rt.endSandbox("a")
		b.sleep(15*time.Second - time.Millisecond)
		b.did("close a, which has ended")
		b.state("a", "BackOff", false)
		b.sleep(time.Millisecond)
		b.did("start a/main 3")
	})
}

// Statement 53 after a change of supervisors: a pod is found whose sandbox has died in between.
func TestStatic_053_DeadWhenAdopted(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, inState(dir))
		b.set(newPod("a"))
		b.sleep(time.Second)
		b = b.succeed(inState(dir))
		b.rt.opened = func(s *fakeSandbox) {
			b.rt.opened = nil
			close(s.ended)
		}
		b.set(newPod("a"))
		b.did("stop a/main 30s", "gone a/main", "close a, which has ended", "start a/main 1")
		b.state("a", "Running", true)
	})
}

// Statement 53: a changed manifest wins over the new sandbox, whenever it comes.
func TestStatic_053_ChangedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{stop: func(*fakeContainer, time.Duration) (time.Duration, error) { return 5 * time.Second, nil }}
		b := newBench(t, rt, nil)
		b.set(newPod("a"))
		rt.endSandbox("a")
		b.sleep(time.Second)
		changed := newPod("a", image("v2"))
		b.set(changed)
		b.sleep(time.Minute)
		b.did("start a/main 0", "stop a/main 30s", "gone a/main", "close a, which has ended", "start a/main 0")
		if got := rt.get("a/main").info.SpecHash; got != changed.Hash {
			t.Errorf("content %s runs, want %s", got, changed.Hash)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		fail := false
		rt := &fakeRuntime{open: func(*runtime.Pod) error {
			if fail {
				return errTest
			}
			return nil
		}}
		b := newBench(t, rt, nil)
		b.set(newPod("a"))
		fail = true
		rt.endSandbox("a")
		b.sleep(time.Second)
		b.state("a", "Pending", false)
		fail = false
		b.set(newPod("a", image("v2")))
		b.did("start a/main 0", "stop a/main 30s", "gone a/main", "close a, which has ended", "start a/main 0")
		b.set()
		b.did("stop a/main 30s", "gone a/main")
	})
}
