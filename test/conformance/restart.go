package conformance

import (
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/supervisor"
)

func touchFile(path string) error {
	now := time.Now()
	return os.Chtimes(path, now, now)
}

func makeDir(path string) error { return os.Mkdir(path, 0o755) }

func withInits(containers ...corev1.Container) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.InitContainers = containers }
}

// quick is a back-off that a test can wait for.
var quick = supervisor.BackOffLimits{Initial: 100 * time.Millisecond, Max: 100 * time.Millisecond}

// Who is started again, after what.
func restartPolicy(f *fixture) {
	f.options.BackOff = quick
	f.supervise()
	for _, policy := range []corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever} {
		for code := range 2 {
			name := fmt.Sprintf("%s-%d", strings.ToLower(string(policy)), code)
			f.put(f.pod(name, fmt.Sprintf("say %s; exit %d", name, code), withPolicy(policy)))
		}
	}
	for _, again := range []string{"always-0", "always-1", "onfailure-1"} {
		f.said(again, 4)
	}
	for once, state := range map[string]runtime.PodState{"onfailure-0": "Succeeded", "never-0": "Succeeded", "never-1": "Failed"} {
		p := f.becomes(once, string(state), func(p runtime.PodStatus) bool { return p.State == state })
		if n := len(f.times(once)); n != 1 || p.Restarts != 0 {
			f.Errorf("%s ran %d times, %d restarts", once, n, p.Restarts)
		}
	}
}

// The first restart is at once, the next ones wait, each twice as long, up to the limit that was set.
func backOff(f *fixture) {
	f.options.BackOff = supervisor.BackOffLimits{Initial: 500 * time.Millisecond, Max: 1500 * time.Millisecond}
	f.supervise()
	f.put(f.pod("a", "say begin; say end; exit 1"))
	f.becomes("a", "waiting", func(p runtime.PodStatus) bool {
		return p.State == "BackOff" && p.Containers[0].Reason == "CrashLoopBackOff" &&
			strings.HasPrefix(p.Containers[0].Message, "back-off 1s restarting failed container=main pod=a-node1_default(")
	})
	f.said("begin", 6)
	begins, ends := f.times("begin"), f.times("end")
	for i, wait := range []time.Duration{0, 500 * time.Millisecond, time.Second, 1500 * time.Millisecond, 1500 * time.Millisecond} {
		f.between(fmt.Sprintf("restart %d", i+1), ends[i], begins[i+1], wait)
	}
}

// The container's own rules come before its policy and the pod's.
func restartRules(f *fixture) {
	f.options.BackOff = quick
	f.supervise()
	never := corev1.ContainerRestartPolicyNever
	f.put(f.pod("a", "say begin; if [ -e once ]; then exit 41; fi; touch once; exit 42", func(p *corev1.Pod) {
		c := &p.Spec.Containers[0]
		c.RestartPolicy = &never
		c.RestartPolicyRules = []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestart,
			ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}}}}
	}))
	p := f.becomes("a", "failed", func(p runtime.PodStatus) bool { return p.State == "Failed" })
	f.order("begin", "begin")
	if code := p.Containers[0].ExitCode; code == nil || *code != 41 {
		f.Errorf("it is %+v", p.Containers[0])
	}
}

// Init containers run one after the other, before the others, and not again when those restart; they do in a new pod.
func initContainers(f *fixture) {
	f.options.BackOff = quick
	f.supervise()
	pod := f.pod("a", polite("main"), withInits(
		f.container("one", "say one begin; sleep 0.3; say one end"), f.container("two", "say two begin; sleep 0.3; say two end")))
	f.put(pod)
	f.said("main begin", 1)
	f.order("one begin", "one end", "two begin", "two end", "main begin")
	f.ready("a")
	f.kill("a", "main")
	f.said("main begin", 2)
	f.order("one begin", "one end", "two begin", "two end", "main begin", "main begin")
	pod.Labels = map[string]string{"changed": "yes"}
	f.put(pod)
	f.said("main begin", 3)
	if n := len(f.times("one begin")); n != 2 {
		f.Errorf("the first init container ran %d times", n)
	}

	f.put(f.pod("fails", "say never", withPolicy(corev1.RestartPolicyNever), withInits(f.container("init", "say init; exit 3"))))
	p := f.becomes("fails", "failed", func(p runtime.PodStatus) bool { return p.State == "Failed" })
	if n := len(f.times("never")); n != 0 || !strings.Contains(p.LastError, "container init ended with exit code 3") {
		f.Errorf("it ran %d times: %+v", n, p)
	}
}

// Nobody remembers the init containers any more, and yet they do not run again while the main container does.
func lostInitRecords(f *fixture) {
	f.options.StateDir = "" // what the supervisor itself remembers is lost too
	f.supervise()
	f.put(f.pod("a", polite("main"), withInits(f.container("init", "say init"))))
	f.said("main begin", 1)
	before := f.ready("a")
	f.leave()
	f.rt.hidden = []string{"init"}
	f.supervise()
	f.happened("Adopted")
	after := f.ready("a")
	if after.PID != before.PID {
		f.Errorf("it was %+v, is %+v", before, after)
	}
	f.kill("a", "main")
	f.said("main begin", 2)
	f.order("init", "main begin", "main begin")
}

// Sidecars start in order, each when the one before has started; they are restarted whatever the pod's policy is, and
// stop after the others, the last one first.
func sidecars(f *fixture) {
	f.options.BackOff = quick
	f.supervise()
	always := corev1.ContainerRestartPolicyAlways
	sidecar := func(name string) corev1.Container {
		c := f.container(name, polite(name))
		c.RestartPolicy = &always
		return c
	}
	first := sidecar("first")
	first.StartupProbe = &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 600,
		ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: f.sh("[ -e up ] || { say probed; exit 1; }")}}}
	f.put(f.pod("a", polite("main"), withPolicy(corev1.RestartPolicyNever), withInits(first, sidecar("second"))))
	f.said("probed", 2)
	if n := len(f.times("second begin")) + len(f.times("main begin")); n != 0 {
		f.Error("others started before the first sidecar had")
	}
	f.touch("up")
	f.said("main begin", 1)
	f.said("second begin", 1)
	f.ready("a")
	f.kill("a", "second")
	f.said("second begin", 2)
	f.ready("a")
	f.remove("a")
	f.gone("a")
	if main, second, first := f.said("main end", 1), f.said("second end", 1), f.said("first end", 1); main > second || second > first {
		f.Errorf("ended at %s, %s, %s", main, second, first)
	}
}
