package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
)

func (f *fixture) execProbe(script string) *corev1.Probe {
	return &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: f.sh(script)}}}
}

// The initial delay counts from the container's start.
func initialDelay(f *fixture) {
	f.supervise()
	f.put(f.pod("a", polite("main"), func(p *corev1.Pod) {
		probe := f.execProbe("say probed")
		probe.InitialDelaySeconds = 2
		p.Spec.Containers[0].ReadinessProbe = probe
	}))
	f.between("the first probe", f.said("main begin", 1), f.said("probed", 1), 2*time.Second)
	f.ready("a")
}

// A liveness probe kills at its threshold, with its own grace period, and nothing is probed until the new container runs.
func livenessKills(f *fixture) {
	own := int64(3)
	f.supervise()
	f.put(f.pod("a", "[ -e once ] && { "+polite("main")+"; }; touch once; "+stubborn("main"), withGrace(600), func(p *corev1.Pod) {
		probe := f.execProbe("[ ! -e sick ] || { say sick; exit 1; }")
		probe.FailureThreshold, probe.TerminationGracePeriodSeconds = 2, &own
		p.Spec.Containers[0].LivenessProbe = probe
	}))
	f.said("main begin", 1)
	f.touch("sick")
	asked := f.said("main asked", 1)
	f.must(os.Remove(filepath.Join(f.shared, "sick"))) // the new container is probed at once
	f.between("the end of the old one", asked, f.said("main begin", 2), 3*time.Second)
	f.order("main begin", "sick", "sick", "main asked", "main begin")
	f.happened("Unhealthy")
	if p := f.ready("a"); p.Restarts != 1 || !strings.Contains(p.LastError, "Liveness probe failed") {
		f.Errorf("it is %+v", p)
	}
}

// Nothing but the startup probe runs until it has succeeded, and then it stops.
func startupGates(f *fixture) {
	f.supervise()
	f.put(f.pod("a", polite("main"), func(p *corev1.Pod) {
		c := &p.Spec.Containers[0]
		c.StartupProbe, c.LivenessProbe, c.ReadinessProbe = f.execProbe("say startup; [ -e up ]"), f.execProbe("say live"), f.execProbe("say ready")
		c.StartupProbe.FailureThreshold = 600
	}))
	f.said("startup", 3)
	if p, _ := f.get("a"); p.Ready || p.Containers[0].Started {
		f.Errorf("it is %+v", p)
	}
	f.touch("up")
	f.ready("a")
	f.said("live", 2)
	f.said("ready", 2)
	gate := false
	for _, e := range slices.Backward(f.events()) {
		gate = gate || e.words == "startup"
		if gate && e.words != "startup" && e.words != "main begin" {
			f.Fatalf("%s before the startup probe had succeeded: %v", e.words, f.events())
		}
	}
}

// An exec probe: exit code 0 is ready, another one is not, nor is one that takes too long.
func execProbe(f *fixture) {
	f.supervise()
	f.put(f.pod("a", polite("main"), func(p *corev1.Pod) {
		probe := f.execProbe("if [ -e hang ]; then sleep 1000; fi; if [ -e bad ]; then echo it is bad; exit 3; fi")
		probe.FailureThreshold = 1
		p.Spec.Containers[0].ReadinessProbe = probe
	}))
	f.ready("a")
	f.touch("bad")
	f.becomes("a", "not ready", func(p runtime.PodStatus) bool {
		return !p.Ready && strings.Contains(p.Containers[0].LastProbe, "Readiness probe failed: it is bad")
	})
	f.touch("hang")
	f.becomes("a", "hanging", func(p runtime.PodStatus) bool {
		return !p.Ready && strings.Contains(p.Containers[0].LastProbe, "timed out after 1s")
	})
	if p, _ := f.get("a"); p.Restarts != 0 {
		f.Errorf("it is %+v", p)
	}
}
