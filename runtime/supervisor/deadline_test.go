package supervisor

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
)

func withDeadline(p *corev1.Pod) {
	seconds := int64(60)
	p.Spec.ActiveDeadlineSeconds = &seconds
}

// activeDeadlineSeconds: the pod is stopped, has failed, and stays so, until its content changes or somebody asks.
func TestActiveDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", withDeadline), newPod("b"))
		b.rt.did()
		b.sleep(30 * time.Second)
		b.rt.end(t, "a/main", 1) // a restart of a container is no new start of the pod
		b.did("start a/main 1")
		b.sleep(30*time.Second - time.Millisecond)
		b.did()
		b.sleep(time.Millisecond)
		b.did("stop a/main 30s", "gone a/main")
		b.state("a", "Failed", false)
		if got := b.pod("a").LastError; got != deadlineMessage+"; before that, container main ended with exit code 1" {
			t.Errorf("the status says %q", got)
		}
		if !slices.Contains(b.events("a"), runtime.ReasonDeadlineExceeded) {
			t.Errorf("events %q", b.events("a"))
		}
		b.sleep(time.Hour)
		b.did()
		p, err := b.s.find("a")
		if err != nil {
			t.Fatal(err)
		}
		p.in.put(evRestart{})
		b.sleep(time.Hour)
		b.did("start a/main 2", "stop a/main 30s", "gone a/main")
		b.set(newPod("a", withDeadline, image("v2")), newPod("b"))
		b.did("start a/main 0")
	})
}

// The deadline counts on over a change of supervisors, and a pod that has ended by itself has none.
func TestActiveDeadlineAdopted(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, inState(dir))
		once := newPod("once", withDeadline, policy(corev1.RestartPolicyOnFailure))
		b.set(newPod("a", withDeadline), once)
		b.rt.end(t, "once/main", 0)
		b.sleep(40 * time.Second)
		b = b.succeed(inState(dir))
		b.set(newPod("a", withDeadline), once)
		b.sleep(20*time.Second - time.Millisecond)
		b.did()
		b.sleep(time.Millisecond)
		b.did("stop a/main 30s", "gone a/main")
		b.state("once", "Succeeded", true)
	})
}
