package supervisor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/source"
)

// succeed ends a bench's supervisor, as a kill does, and starts another one on the same state and containers.
func (b *bench) succeed(change func(*Options)) *bench {
	b.t.Helper()
	b.end()
	b.rt.did()
	rt := b.rt
	rt.list = func() ([]runtime.Found, error) {
		newest := map[string]*fakeContainer{} // the last instance of each
		for _, c := range rt.all {
			key := c.info.PodFullName + "/" + c.info.Name
			if old := newest[key]; old == nil || c.info.PID > old.info.PID {
				newest[key] = c
			}
		}
		var found []runtime.Found
		for _, c := range newest {
			found = append(found, c.found())
		}
		return found, nil
	}
	next := newBench(b.t, rt, change)
	next.probes = b.probes
	return next
}

// inState gives a supervisor a state directory.
func inState(dir string) func(*Options) { return func(o *Options) { o.StateDir = dir } }

// Statement 63: nothing is restarted; counts, started and ready are what they were.
func TestStatic_063_Adoption(t *testing.T) {
	for name, stateDir := range map[string]string{"with records": t.TempDir(), "without": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &fakeRuntime{}, inState(stateDir))
				b.set(controlPlane()...)
				b.sleep(time.Minute)
				b.rt.end(t, "etcd/main", 1)
				b.sleep(time.Minute)
				before := b.s.statusNow()
				// From now on the startup probe fails: only what was recorded can tell that it has succeeded once.
				if stateDir != "" {
					b.probes["kube-apiserver/main Startup"] = func() (outcome, string) { return failed, "it is late" }
				}
				b = b.succeed(inState(stateDir))
				b.set(controlPlane()...)
				b.sleep(11 * time.Second)
				b.did()
				after := b.s.statusNow()
				if !after.Ready {
					t.Error("not ready")
				}
				for i := range before.Pods {
					was, is := before.Pods[i], after.Pods[i]
					if is.Restarts != was.Restarts || is.PID != was.PID || !is.StartedAt.Equal(*was.StartedAt) || is.UID != was.UID {
						t.Errorf("%s was %+v, is %+v", was.Name, was, is)
					}
					told := b.events(is.Name) // what this supervisor knows, whatever an earlier one has told
					if i := slices.Index(told, runtime.ReasonAdopted); i < 0 || !slices.Contains(told[i:], runtime.ReasonReady) {
						t.Errorf("of %s it told %s", is.Name, told)
					}
				}
				if got := b.pod("etcd").Restarts; got != 1 {
					t.Errorf("etcd has %d restarts", got)
				}
				b.sleep(time.Hour)
				b.did()
				b.rt.end(t, "etcd/main", 1)
				b.did("start etcd/main 2")
			})
		})
	}
}

// Killed a hundred times, it never restarts anything, whatever moment of a start it is.
func TestSupervisorKilledOften(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, inState(dir))
		begun := time.Now()
		b.probes["kube-apiserver/main Startup"] = func() (outcome, string) {
			if time.Since(begun) < 2300*time.Millisecond {
				return failed, "not yet"
			}
			return passed, ""
		}
		for range 100 {
			b.set(controlPlane()...)
			b.sleep(43 * time.Millisecond)
			b = b.succeed(inState(dir))
		}
		b.set(controlPlane()...)
		b.sleep(time.Minute)
		if len(b.rt.all) != 4 || !b.s.statusNow().Ready {
			t.Errorf("%d containers were started, ready %t", len(b.rt.all), b.s.statusNow().Ready)
		}
	})
}

// What runs and is not wanted any more is stopped, with its own grace period and hooks, in order.
func TestAdoptThenRemove(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		grace := int64(77)
		b := newBench(t, &fakeRuntime{}, inState(dir))
		b.set(newPod("a", hooks(nil, []string{"bye"}), func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &grace }), newPod("b", after("a")))
		b.sleep(time.Second)
		b = b.succeed(inState(dir))
		b.set()
		b.did("stop b/main 30s", "gone b/main", "forget b", "exec a/main bye", "stop a/main 1m17s", "gone a/main", "forget a")
		if n := len(b.s.statusNow().Pods); n != 0 {
			t.Errorf("%d pods are left", n)
		}
	})
}

// Without a record nothing is known of a pod that is not wanted: it gets the least grace period (4.1).
func TestAdoptStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, newCtr("second")) }))
		b = b.succeed(nil)
		b.set()
		b.didUnordered("stop a/main 2s", "stop a/second 2s", "gone a/main", "gone a/second", "forget a")
		if n := len(b.s.statusNow().Pods); n != 0 {
			t.Errorf("%d pods are left", n)
		}
	})
}

// The manifest was changed while no supervisor ran: the old one is stopped, then the new one starts.
func TestAdoptChanged(t *testing.T) {
	for name, stateDir := range map[string]string{"with records": t.TempDir(), "without": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &fakeRuntime{}, inState(stateDir))
				b.set(newPod("a"))
				b.sleep(time.Second)
				b = b.succeed(inState(stateDir))
				b.set(newPod("a", image("v2")))
				grace := "30s"
				if stateDir == "" {
					grace = "2s"
				}
				b.did("stop a/main "+grace, "gone a/main", "forget a", "start a/main 0")
			})
		})
	}
}

// A container ended while nobody watched: it is started again, its count goes on, and the others stay.
func TestAdoptEnded(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		two := newPod("a", func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, newCtr("second")) })
		b := newBench(t, &fakeRuntime{}, inState(dir))
		b.set(two)
		b.sleep(time.Second)
		b.end()
		b.rt.get("a/second").end(runtime.Exit{Code: -1})
		b = b.succeed(inState(dir))
		b.set(two)
		b.did("start a/second 1")
		b.state("a", "Running", true)
	})
}

// After a reboot nothing runs, and only records are left: everything starts, init containers too, and
// the counts go on. What had ended for good stays so.
func TestAdoptAfterReboot(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		pods := []*runtime.Pod{newPod("a", inits(newCtr("init"))), newPod("once", policy(corev1.RestartPolicyNever)), newPod("retry", policy(corev1.RestartPolicyOnFailure))}
		b := newBench(t, &fakeRuntime{}, inState(dir))
		b.set(pods...)
		b.rt.end(t, "a/init", 0)
		b.rt.end(t, "once/main", 0)
		b.sleep(time.Second)
		b.end()
		for _, c := range b.rt.running() {
			c.end(runtime.Exit{Code: -1})
		}
		b = b.succeed(inState(dir))
		b.set(pods...)
		b.didUnordered("start a/init 1", "start retry/main 1")
		b.rt.end(t, "a/init", 0)
		b.did("start a/main 1")
		b.state("once", "Succeeded", true)
		b.sleep(time.Hour)
		b.did()
	})
}

// After a reboot the pods start in their order, as at first: started together, those that need the API server would fall
// into their own back-off. One of them that ends alone is restarted at once, whatever the others do.
func TestAdoptAfterRebootInOrder(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, inState(dir))
		b.set(controlPlane()...)
		b.sleep(time.Minute)
		b.end()
		for _, c := range b.rt.running() {
			c.end(runtime.Exit{Code: -1})
		}
		var answers atomic.Bool
		b.probes["kube-apiserver/main Startup"] = func() (outcome, string) {
			if !answers.Load() {
				return failed, "connection refused"
			}
			return passed, ""
		}
		b = b.succeed(inState(dir))
		b.set(controlPlane()...)
		b.sleep(3 * time.Second)
		b.didUnordered("start etcd/main 1", "start kube-apiserver/main 1")
		b.state("kube-scheduler", "Waiting", false)
		if got := b.pod("kube-scheduler").Message; got != "waiting for kube-apiserver to start" {
			t.Errorf("the message is %q", got)
		}
		answers.Store(true)
		b.sleep(time.Second)
		b.didUnordered("start kube-controller-manager/main 1", "start kube-scheduler/main 1")
		answers.Store(false)
		b.rt.end(t, "kube-apiserver/main", 1)
		b.rt.end(t, "kube-scheduler/main", 1)
		b.sleep(11 * time.Second) // the back-off
		b.didUnordered("start kube-apiserver/main 2", "start kube-scheduler/main 2")
		waits := 0
		for _, e := range b.s.history.all() {
			if e.Pod == "kube-scheduler" && e.Reason == runtime.ReasonWaiting {
				waits++
			}
		}
		if waits != 1 {
			t.Errorf("%d times it is told that the scheduler waits", waits)
		}
	})
}

// A pod that ended for good, and of which the runtime knows nothing any more, is not run again by a new supervisor.
func TestAdoptFinished(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		once := newPod("once", policy(corev1.RestartPolicyNever))
		b := newBench(t, &fakeRuntime{}, inState(dir))
		b.set(once)
		b.rt.end(t, "once/main", 3)
		b.sleep(time.Second)
		b.rt.all = nil
		b = b.succeed(inState(dir))
		b.set(once)
		b.did()
		b.state("once", "Failed", false)
		b.set()
		b.set(once) // removed and created again it is a new pod
		b.did("start once/main 1")
	})
}

// Statement 57: init containers do not run again while a main container runs, though nobody remembers them;
// a sidecar that is missing is started.
func TestStatic_057_LostInitRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := newPod("a", inits(newCtr("one"), sidecar("side")))
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(pod)
		b.rt.end(t, "a/one", 0)
		b.end()
		b.rt.get("a/side").end(runtime.Exit{Code: 1})
		b.rt.all = slices.DeleteFunc(b.rt.all, func(c *fakeContainer) bool { return c.info.Name != "main" })
		b = b.succeed(nil)
		b.set(pod)
		b.did("start a/side 0")
		b.state("a", "Running", true)
	})
}

// In the middle of its init containers a pod goes on where it was.
func TestAdoptInit(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		pod := newPod("a", inits(newCtr("one"), newCtr("two"), newCtr("three")))
		b := newBench(t, &fakeRuntime{}, inState(dir))
		b.set(pod)
		b.rt.end(t, "a/one", 0)
		b.sleep(time.Second)
		b = b.succeed(inState(dir))
		b.set(pod)
		b.did()
		b.rt.end(t, "a/two", 0)
		b.rt.end(t, "a/three", 0)
		b.did("start a/three 0", "start a/main 0")
	})
}

// The back-off survives the supervisor: crash loops do not speed up with every upgrade.
func TestAdoptBackOff(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, inState(dir))
		b.set(newPod("a"))
		checkBackOff(t, b, 0, 10, 20)
		b.rt.end(t, "a/main", 1)
		b.sleep(10 * time.Second)
		b = b.succeed(inState(dir))
		b.set(newPod("a"))
		b.sleep(29 * time.Second)
		b.did()
		b.sleep(time.Second)
		b.did("start a/main 4")
	})
}

// Statement 28: the manifest of a running pod has become malformed, and then the supervisor is replaced: the
// pod stays, until the manifest is good or gone.
func TestStatic_028_LastGoodOverRestart(t *testing.T) {
	bad := source.Update{Problems: []runtime.Problem{{Source: "/m/a.yaml", Message: "malformed"}}}
	for name, test := range map[string]struct {
		then source.Update
		did  []string
	}{
		"gone":    {source.Update{}, []string{"stop a/main 30s", "gone a/main"}},
		"good":    {source.Update{Pods: []*runtime.Pod{newPod("a")}}, nil},
		"changed": {source.Update{Pods: []*runtime.Pod{newPod("a", image("v2"))}}, []string{"stop a/main 30s", "gone a/main", "start a/main 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &fakeRuntime{}, inState(dir))
				b.set(newPod("a"))
				b.sleep(time.Second)
				b = b.succeed(inState(dir))
				b.send(bad)
				b.sleep(time.Minute)
				b.did()
				if b.s.statusNow().Ready {
					t.Error("ready, though a manifest is refused")
				}
				b.send(test.then)
				b.did(test.did...)
			})
		})
	}
}

// Statement 67: a source that does not answer must not have its pods stopped, nor hold up those of others.
func TestStatic_067_UnreachableSource(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		fromURL := newPod("u")
		fromURL.Origin = "http://x"
		two := func(o *Options) {
			o.StateDir = dir
			o.Sources = append(o.Sources, &fakeSource{"http://x", make(chan source.Update)})
		}
		url := func(b *bench, u source.Update) {
			b.s.opts.Sources[1].(*fakeSource).ch <- u
			synctest.Wait()
		}
		b := newBench(t, &fakeRuntime{}, two)
		b.set(newPod("a"))
		url(b, source.Update{Pods: []*runtime.Pod{fromURL}})
		b.sleep(time.Second)
		b = b.succeed(two)
		b.set(newPod("b"))
		url(b, source.Update{Incomplete: true, Problems: []runtime.Problem{{Source: "http://x", Message: "no route"}}})
		b.sleep(time.Minute)
		b.didUnordered("stop a/main 30s", "gone a/main", "forget a", "start b/main 0")
		if b.s.statusNow().Ready {
			t.Error("ready, though a source is not known")
		}
		url(b, source.Update{})
		b.did("stop u/main 30s", "gone u/main")
	})
}

// Garbage in the state directory is reported, and stops nobody.
func TestRecordsGarbage(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{
		"a-node1_default.json": "{", "b-node1_default.json": `{"version":1}`, "c-node1_default.json": "", "d-node1_default.json": `{"version":99,"pod":{}}`,
		"e-node1_default.json": `{"version":1,"hash":"x","pod":{"metadata":{"name":"other","namespace":"default"}}}`, "README": "x",
		"f-node1_default.json": `{"version":1,"hash":"x","pod":{"metadata":{"name":"f-node1","namespace":"default"}},"containers":{"main":null}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "g.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "h.json")); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, func(o *Options) { o.StateDir, o.Log = dir, &log })
		b.set(newPod("a"), newPod("f"))
		b.didUnordered("start a/main 0", "start f/main 0")
		b.sleep(time.Second)
		b.end()
	})
	if n := strings.Count(log.String(), "record cannot be used"); n != 7 {
		t.Errorf("%d records are reported:\n%s", n, log.String())
	}
	rec, err := readRecord(filepath.Join(dir, "a-node1_default.json"))
	if err != nil || rec.Hash != newPod("a").Hash {
		t.Errorf("the record was not written anew: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "a-node1_default.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Two contents of one pod at once can only be a mishap: all of it is stopped before anything is started.
func TestAdoptMixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{}
		old, now := newPod("a"), newPod("a", image("v2"))
		found := []runtime.Found{rt.newContainer(old, "main", 4).found(), rt.newContainer(now, "main", 0).found()}
		rt.list = func() ([]runtime.Found, error) { return found, nil }
		b := newBench(t, rt, nil)
		b.set(now)
		b.didUnordered("stop a/main 2s", "stop a/main 2s", "gone a/main", "gone a/main", "forget a", "start a/main 0")
	})
}
