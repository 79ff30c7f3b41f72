package supervisor

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/source"
)

// withStartup gives the first container a startup probe that allows for five minutes.
func withStartup(p *corev1.Pod) {
	p.Spec.Containers[0].StartupProbe = probe(func(p *corev1.Probe) { p.FailureThreshold = 30 })
}

func after(names string) func(*corev1.Pod)  { return annotate(runtime.StartAfterAnnotation, names) }
func before(names string) func(*corev1.Pod) { return annotate(runtime.StopBeforeAnnotation, names) }
func eager(period string) func(*corev1.Pod) { return annotate(runtime.EagerProbeAnnotation, period) }

// controlPlane is the four pods with the order of DESIGN.md.
func controlPlane() []*runtime.Pod {
	return []*runtime.Pod{
		newPod("etcd", withStartup, eager("100ms")),
		newPod("kube-apiserver", withStartup, eager("100ms"), before("etcd")),
		newPod("kube-controller-manager", withStartup, eager("100ms"), after("kube-apiserver")),
		newPod("kube-scheduler", withStartup, eager("100ms"), after("kube-apiserver")),
	}
}

// The start order of DESIGN.md: etcd and the API server at once, the others the moment the API server has
// started. The stop goes the other way.
func TestOrderOfTheControlPlane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{stop: func(c *fakeContainer, _ time.Duration) (time.Duration, error) { return time.Second, nil }}
		b := newBench(t, rt, nil)
		begun := time.Now()
		b.probes["kube-apiserver/main Startup"] = func() (outcome, string) {
			if time.Since(begun) < 2250*time.Millisecond {
				return failed, "connection refused"
			}
			return passed, ""
		}
		b.set(controlPlane()...)
		b.sleep(2299 * time.Millisecond)
		b.didUnordered("start etcd/main 0", "start kube-apiserver/main 0")
		b.state("kube-scheduler", "Waiting", false)
		if got := b.pod("kube-scheduler").Message; got != "waiting for kube-apiserver to start" {
			t.Errorf("the scheduler says %q", got)
		}
		b.sleep(time.Millisecond) // the probe at 2.3 s is the first that succeeds
		b.didUnordered("start kube-controller-manager/main 0", "start kube-scheduler/main 0")
		if !b.s.statusNow().Ready {
			t.Error("not ready")
		}
		var names []string
		for _, p := range b.s.statusNow().Pods {
			names = append(names, p.Name)
		}
		if want := []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}; !slices.Equal(names, want) {
			t.Errorf("the status lists %v, want %v", names, want)
		}

		b.s.requestStop()
		synctest.Wait()
		b.didUnordered("stop kube-controller-manager/main 30s", "stop kube-scheduler/main 30s")
		b.state("etcd", "Stopping", false) // it still runs, until the API server is gone
		b.sleep(time.Second)
		b.didUnordered("gone kube-controller-manager/main", "gone kube-scheduler/main", "stop kube-apiserver/main 30s")
		b.sleep(time.Second)
		b.did("gone kube-apiserver/main", "stop etcd/main 30s")
		b.sleep(time.Second)
		b.did("gone etcd/main")
		<-b.done // the supervisor ends with them
	})
}

// All four manifests change at once, as an upgrade does it: the API server is gone before etcd is stopped.
func TestOrderOfReplacements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{stop: func(*fakeContainer, time.Duration) (time.Duration, error) { return time.Second, nil }}
		b := newBench(t, rt, nil)
		b.set(controlPlane()...)
		b.sleep(time.Minute)
		rt.did()
		next := controlPlane()
		for i, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
			next[i] = newPod(name, func(p *corev1.Pod) { p.Annotations, p.Labels = next[i].Annotations, map[string]string{"v": "2"} }, withStartup)
		}
		b.set(next...)
		b.sleep(time.Minute)
		did := rt.did()
		gone := slices.Index(did, "gone kube-apiserver/main")
		if stop := slices.Index(did, "stop etcd/main 30s"); gone < 0 || stop < gone {
			t.Errorf("etcd was stopped too early:\n%s", strings.Join(did, "\n"))
		}
		if n := len(rt.running()); n != 4 || !b.s.statusNow().Ready {
			t.Errorf("%d run, ready %t", n, b.s.statusNow().Ready)
		}
	})
}

// Statement 26: what is removed goes before what is added comes, when both are of one file.
// Statement 31: the file's pod got another name: never both.
func TestStatic_026_031_Renamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{stop: func(*fakeContainer, time.Duration) (time.Duration, error) { return 3 * time.Second, nil }}
		b := newBench(t, rt, nil)
		b.set(newPod("old"))
		fresh := newPod("new")
		fresh.Origin = "/m/old.yaml"
		b.set(fresh)
		b.sleep(time.Minute)
		b.did("start old/main 0", "stop old/main 30s", "gone old/main", "start new/main 0")
	})
}

// Statement 26: of one change, what is removed is told to go before anything that is added is told to start.
func TestStatic_026_RemovedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("m"), newPod("z"))
		b.set(newPod("a"), newPod("m"))
		b.end() // the members are ours now
		b.s.members["z-node1_default"] = &member{}
		got := slices.SortedFunc(maps.Keys(b.s.members), b.s.removedFirst)
		if want := []string{"z-node1_default", "a-node1_default", "m-node1_default"}; !slices.Equal(got, want) {
			t.Errorf("the order is %q, want %q", got, want)
		}
	})
}

// A name that no pod has is reported, and holds nobody up; it does once there is such a pod.
func TestStartAfterUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", after("b, nobody")))
		b.did("start a/main 0")
		if !slices.Contains(b.events("a"), runtime.ReasonFailedValidation) {
			t.Errorf("nothing is reported: %v", b.events("a"))
		}
		b.state("a", "Running", true)
	})
}

// Circles are reported and broken: every pod starts, and a stop comes to its end.
func TestOrderCircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", after("b"), before("b")), newPod("b", after("c")), newPod("c", after("a"), before("a")), newPod("d", after("d"), before("c")))
		b.sleep(time.Second)
		if n := len(b.rt.running()); n != 4 {
			t.Errorf("%d pods run", n)
		}
		b.s.requestStop()
		<-b.done
		if n := len(b.rt.running()); n != 0 {
			t.Errorf("%d pods are left", n)
		}
	})
}

// A pod that waits starts when the one it waits for is removed, and one that was never started stops at once.
func TestStartAfterRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.probes["b/main Startup"] = func() (outcome, string) { return failed, "never" }
		b.set(newPod("a", after("b")), newPod("b", withStartup), newPod("c", after("a")))
		b.sleep(time.Second)
		b.did("start b/main 0")
		b.set(newPod("a", after("b")), newPod("c", after("a")))
		b.did("stop b/main 30s", "gone b/main", "start a/main 0", "start c/main 0")
	})
}

// One that is started waits for no one again: a crash of the API server does not stop the scheduler.
func TestStartAfterIsAboutStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a"), newPod("b", after("a")))
		b.rt.did()
		b.rt.end(t, "a/main", 1)
		b.rt.end(t, "a/main", 1)
		b.state("a", "BackOff", false)
		b.state("b", "Running", true)
		b.rt.end(t, "b/main", 1)
		b.did("start a/main 1", "start b/main 1")
	})
}

// A pod from one source and one from another share a name: the one that runs stays; then the other takes over.
func TestStatic_025_SameNameInTwoSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := &fakeSource{"http://x", make(chan source.Update)}
		b := newBench(t, &fakeRuntime{}, func(o *Options) { o.Sources = append([]source.Source{second}, o.Sources...) })
		fromURL := newPod("a", image("url"))
		fromURL.Origin = "http://x"
		second.ch <- source.Update{}
		b.set(newPod("a"))
		second.ch <- source.Update{Pods: []*runtime.Pod{fromURL}}
		synctest.Wait()
		b.did("start a/main 0")
		status := b.s.statusNow()
		if len(status.Problems) != 1 || !status.Problems[0].Warning || status.Problems[0].Source != "http://x" || !status.Ready {
			t.Errorf("ready %t, problems: %+v", status.Ready, status.Problems)
		}
		b.set()
		b.did("stop a/main 30s", "gone a/main", "start a/main 0")
		if n := len(b.s.statusNow().Problems); n != 0 {
			t.Errorf("%d problems are left", n)
		}
	})
}
