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
)

// Statement 52: who is started again, after what.
func TestStatic_052_RestartPolicy(t *testing.T) {
	for _, test := range []struct {
		policy corev1.RestartPolicy
		code   int
		again  bool
		state  runtime.PodState
	}{
		{corev1.RestartPolicyAlways, 0, true, "Running"},
		{corev1.RestartPolicyAlways, 1, true, "Running"},
		{corev1.RestartPolicyOnFailure, 0, false, "Succeeded"},
		{corev1.RestartPolicyOnFailure, 1, true, "Running"},
		{corev1.RestartPolicyOnFailure, -1, true, "Running"}, // nobody knows how it ended
		{corev1.RestartPolicyNever, 0, false, "Succeeded"},
		{corev1.RestartPolicyNever, 1, false, "Failed"},
	} {
		t.Run(fmt.Sprintf("%s/%d", test.policy, test.code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &fakeRuntime{}, nil)
				b.set(newPod("a", policy(test.policy)))
				b.rt.did()
				b.rt.end(t, "a/main", test.code)
				if test.again {
					b.did("start a/main 1")
				} else {
					b.did()
				}
				b.state("a", test.state, test.state != "Failed")
				b.sleep(time.Hour)
				b.did()
			})
		})
	}
}

// Statement 54: 0, 10, 20, 40 ... 300 s from the moment it ended; ten good minutes start over.
func TestStatic_054_BackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a"))
		checkBackOff(t, b, 0, 10, 20, 40, 80, 160, 300, 300)
		b.sleep(10*time.Minute + time.Second)
		b.rt.end(t, "a/main", 0)
		if b.rt.get("a/main") == nil {
			t.Error("ten good minutes did not reset the back-off")
		}
	})
}

// Statement 54, its key: a new content starts with a clean slate.
func TestStatic_054_NewContentResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a"))
		checkBackOff(t, b, 0, 10, 20)
		b.set(newPod("a", image("v2")))
		b.rt.end(t, "a/main", 1)
		if b.rt.get("a/main") == nil {
			t.Error("the back-off of the old content is applied to the new one")
		}
	})
}

// Statement 55: the longest wait can be set, and lowers the first one too.
func TestStatic_055_BackOffLimit(t *testing.T) {
	for limit, waits := range map[int][]int{1: {0, 1, 1, 1}, 7: {0, 7, 7}, 45: {0, 10, 20, 40, 45, 45}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, &fakeRuntime{}, func(o *Options) { o.BackOff.Max = time.Duration(limit) * time.Second })
			b.set(newPod("a"))
			checkBackOff(t, b, waits...)
		})
	}
}

// checkBackOff lets a/main fail after a second of running, and wants these waits in seconds before the restarts.
func checkBackOff(t *testing.T, b *bench, waits ...int) {
	t.Helper()
	for i, wait := range waits {
		b.sleep(time.Second)
		b.rt.end(t, "a/main", 1)
		begun := time.Now()
		if wait > 0 {
			b.state("a", "BackOff", false)
			if c := b.pod("a").Containers[0]; c.Reason != "CrashLoopBackOff" || !strings.HasPrefix(c.Message, fmt.Sprintf("back-off %s restarting failed container=main pod=a-node1_default(", time.Duration(wait)*time.Second)) {
				t.Errorf("the container waits for %s: %s", c.Reason, c.Message)
			}
		}
		for b.rt.get("a/main") == nil && time.Since(begun) < time.Hour {
			b.sleep(100 * time.Millisecond)
		}
		if took := time.Since(begun).Round(time.Second); took != time.Duration(wait)*time.Second {
			t.Errorf("restart %d came after %s, want %d s", i+1, took, wait)
		}
		if got := b.pod("a").Restarts; got != i+1 {
			t.Errorf("%d restarts, want %d", got, i+1)
		}
	}
}

// Statement 62: the container's rules come first, then its own policy, then the pod's.
func TestStatic_062_RestartRules(t *testing.T) {
	never, always := corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyAlways
	rules := func(policy corev1.ContainerRestartPolicy, rules ...corev1.ContainerRestartRule) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Containers[0].RestartPolicy, p.Spec.Containers[0].RestartPolicyRules = &policy, rules
		}
	}
	in := func(action corev1.ContainerRestartRuleAction, op corev1.ContainerRestartRuleOnExitCodesOperator, codes ...int32) corev1.ContainerRestartRule {
		return corev1.ContainerRestartRule{Action: action, ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: op, Values: codes}}
	}
	restart := in(corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleOnExitCodesOpIn, 42, 43)
	notIn := in(corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleOnExitCodesOpNotIn, 0, 1)
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		code   int
		again  bool
	}{
		"a rule matches, the policy is Never": {rules(never, restart), 42, true},
		"no rule matches":                     {rules(never, restart), 41, false},
		"not in":                              {rules(never, notIn), 2, true},
		"not in, but it is":                   {rules(never, notIn), 1, false},
		"own Always in a pod of Never":        {func(p *corev1.Pod) { rules(always)(p); policy(corev1.RestartPolicyNever)(p) }, 0, true},
		"own Never in a pod of Always":        {rules(never), 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &fakeRuntime{}, nil)
				b.set(newPod("a", test.change))
				b.rt.end(t, "a/main", test.code)
				if again := b.rt.get("a/main") != nil; again != test.again {
					t.Errorf("started again: %t, want %t", again, test.again)
				}
			})
		})
	}
}

// Statement 62: a rule may restart all containers, init containers first; the one whose rule it is has
// its back-off.
func TestStatic_062_RestartAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := corev1.ContainerRestartPolicyNever
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{newCtr("init")}
			p.Spec.Containers = append(p.Spec.Containers, newCtr("second", func(c *corev1.Container) {
				c.RestartPolicy = &never
				c.RestartPolicyRules = []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestartAllContainers,
					ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}}}}
			}))
		}))
		b.rt.end(t, "a/init", 0)
		b.did("start a/init 0", "start a/main 0", "start a/second 0")
		b.rt.end(t, "a/second", 42)
		b.did("stop a/main 30s", "gone a/main", "start a/init 1")
		b.rt.end(t, "a/init", 0)
		b.did("start a/main 1", "start a/second 1")
		b.rt.end(t, "a/second", 42)
		b.rt.end(t, "a/init", 0)
		b.did("stop a/main 30s", "gone a/main", "start a/init 2", "start a/main 2")
		b.sleep(10 * time.Second)
		b.did("start a/second 2")
	})
}

// Statement 68: what a kubelet would refuse for good is tried again, with the back-off.
func TestStatic_068_RefusalsAreRetried(t *testing.T) {
	t.Run("start", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var broken atomic.Bool
			broken.Store(true)
			rt := &fakeRuntime{start: func(*runtime.Pod, runtime.ContainerSpec) error {
				if broken.Load() {
					return errTest
				}
				return nil
			}}
			b := newBench(t, rt, nil)
			b.set(newPod("a"))
			b.did("fail a/main", "fail a/main")
			if got := b.pod("a").LastError; got != "container main cannot be started: made up" {
				t.Errorf("the status says %q", got)
			}
			b.sleep(10 * time.Second)
			b.did("fail a/main")
			broken.Store(false)
			b.sleep(20 * time.Second)
			b.did("start a/main 0")
			b.state("a", "Running", true)
			if got := b.pod("a").LastError; got != "" {
				t.Errorf("the status still says %q", got)
			}
		})
	})
	t.Run("open", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			rt := &fakeRuntime{open: func(*runtime.Pod) error {
				if tries++; tries < 4 {
					return errTest
				}
				return nil
			}}
			b := newBench(t, rt, nil)
			b.set(newPod("a"))
			b.state("a", "Pending", false)
			if got := b.pod("a").LastError; got != "cannot open the pod: made up" {
				t.Errorf("the status says %q", got)
			}
			b.sleep(30*time.Second - time.Millisecond)
			b.did()
			b.sleep(time.Millisecond)
			b.did("start a/main 0")
		})
	})
}

// errAdvised is an error that says what to do.
type errAdvised struct{ error }

func (errAdvised) Hint() string { return "try again" }

// What to do about a refusal is in the status, under the refusal.
func TestRemedies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{
			open: func(pod *runtime.Pod) error {
				if strings.HasPrefix(pod.Name, "a") {
					return fmt.Errorf("refused: %w", errAdvised{errTest})
				}
				return nil
			},
			start: func(*runtime.Pod, runtime.ContainerSpec) error { return errAdvised{errTest} },
		}
		b := newBench(t, rt, nil)
		b.set(newPod("a"), newPod("b"))
		for name, want := range map[string]string{
			"a": "cannot open the pod: refused: made up\nhint: try again",
			"b": "container main cannot be started: made up\nhint: try again",
		} {
			if got := b.pod(name).LastError; got != want {
				t.Errorf("%s: the status says %q, want %q", name, got, want)
			}
		}
	})
}

// What a pod ended with is in its status: exit code or signal, and its last words.
func TestLastError(t *testing.T) {
	for want, exit := range map[string]runtime.Exit{
		"container main ended with exit code 3:\nboom":                      {Code: 3, Message: "boom"},
		"container main ended with signal SIGKILL, out of memory":           {Code: 137, Signal: "SIGKILL", OOMKilled: true},
		"container main ended with an exit code that nobody saw":            {Code: -1},
		"container main ended with exit code 0":                             {},
		"container main ended with signal SIGSEGV:\ngoroutine 1 [running]:": {Code: 139, Signal: "SIGSEGV", Message: "goroutine 1 [running]:"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, &fakeRuntime{}, nil)
			b.set(newPod("a"))
			b.rt.get("a/main").end(exit)
			synctest.Wait()
			if got := b.pod("a").LastError; got != want {
				t.Errorf("the status says %q, want %q", got, want)
			}
		})
	}
}

// A restart that is asked for ignores policy and back-off, and keeps the order of the containers.
func TestRestartOnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", policy(corev1.RestartPolicyNever)))
		p, err := b.s.find("a")
		if err != nil {
			t.Fatal(err)
		}
		p.in.put(evRestart{})
		synctest.Wait()
		b.did("start a/main 0", "stop a/main 30s", "gone a/main", "start a/main 1")
		b.rt.end(t, "a/main", 1)
		b.state("a", "Failed", false)
		p.in.put(evRestart{})
		synctest.Wait()
		b.did("start a/main 2")
		b.state("a", "Running", true)
	})
}

// What a liveness probe killed is started again under OnFailure, though it ended with 0; an init container that
// ran out of memory has failed, though it ended with 0 too.
func TestFailedWithExitCodeZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{}
		rt.stop = func(c *fakeContainer, _ time.Duration) (time.Duration, error) {
			c.end(runtime.Exit{Code: 0})
			return 0, nil
		}
		b := newBench(t, rt, nil)
		b.probes["a/main Liveness"] = (&script{answers: repeat(3, failed, passed)}).ask
		b.set(newPod("a", withLiveness(), policy(corev1.RestartPolicyOnFailure), inits(newCtr("init"))))
		b.rt.get("a/init").end(runtime.Exit{Code: 0, OOMKilled: true})
		synctest.Wait()
		b.rt.end(t, "a/init", 0)
		b.sleep(time.Minute)
		b.did("start a/init 0", "start a/init 1", "start a/main 0", "stop a/main 30s", "start a/main 1")
	})
}

// A container is started again only when all that the old one left running is gone, however long that takes.
func TestLeftoversGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		rt := &fakeRuntime{sweep: func(*fakeContainer) error {
			if tries++; tries < 3 {
				return errTest
			}
			time.Sleep(3 * time.Second)
			return nil
		}}
		b := newBench(t, rt, nil)
		b.set(newPod("a"))
		b.rt.end(t, "a/main", 1)
		b.sleep(6*time.Second - time.Millisecond) // tried at 0, 1 and 3 s
		b.did("start a/main 0")
		b.sleep(time.Millisecond)
		b.did("start a/main 1")
	})
}
