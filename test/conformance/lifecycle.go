package conformance

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/source"
	"github.com/kubecrank/kubecrank/runtime/supervisor"
)

func withGrace(seconds int64) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &seconds }
}

func withPolicy(policy corev1.RestartPolicy) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.RestartPolicy = policy }
}

func withUID(p *corev1.Pod) { p.UID = "12345" }

// Never two of one full name at once, and the successor starts the moment the old one is gone.
func oneAtATime(f *fixture) {
	f.supervise()
	f.put(f.pod("a", "trap 'say old asked; sleep 0.7; say old end; exit 0' TERM; say old begin; hold; hold"))
	f.said("old begin", 1)
	f.put(f.pod("a", polite("new")))
	f.between("the start of the successor", f.said("old end", 1), f.said("new begin", 1), 0)
	f.order("old begin", "old asked", "old end", "new begin")
	if n := f.ready("a").Restarts; n != 0 {
		f.Errorf("the successor counts %d restarts", n)
	}
}

// The old pod gets its own grace period, not that of its successor.
func ownGrace(f *fixture) {
	f.supervise()
	f.put(f.pod("a", stubborn("old"), withGrace(3)))
	f.said("old begin", 1)
	f.put(f.pod("a", polite("new"), withGrace(600)))
	f.between("the end of the old pod", f.said("old asked", 1), f.said("new begin", 1), 3*time.Second)
}

// Of many edits during a termination only the last one runs.
func lastEditWins(f *fixture) {
	f.supervise()
	f.put(f.pod("a", "trap 'say old asked; await go; exit 0' TERM; say old begin; hold; hold", withGrace(600)))
	f.said("old begin", 1)
	f.put(f.pod("a", polite("edit 0")))
	f.said("old asked", 1)
	for i := range 30 {
		f.put(f.pod("a", polite(fmt.Sprintf("edit %d", i))))
	}
	f.put(f.pod("a", polite("last")))
	f.put(f.pod("marker", polite("marker"))) // when this one runs, the edits before it were seen
	f.said("marker begin", 1)
	f.touch("go")
	f.said("last begin", 1)
	f.order("old begin", "old asked", "marker begin", "last begin")
}

// Removed and created again it runs again, and has been restarted once.
func deleteAndRecreate(f *fixture) {
	f.supervise()
	pod := f.pod("a", polite("main"))
	f.put(pod)
	first := f.ready("a")
	f.said("main begin", 1)
	f.remove("a")
	f.gone("a")
	f.put(pod)
	f.said("main begin", 2)
	again := f.ready("a")
	if again.Restarts != 1 || again.UID != first.UID || again.Containers[0].ID == first.Containers[0].ID {
		f.Errorf("it was %+v, is %+v", first, again)
	}
	f.order("main begin", "main end", "main begin")
}

// Any change of the content restarts, with an explicit UID too; the same content in other words does not.
func anyChangeRestarts(f *fixture) {
	f.supervise()
	variant := func(change ...func(*corev1.Pod)) *corev1.Pod {
		return f.pod("a", polite("main"), append([]func(*corev1.Pod){withUID}, change...)...)
	}
	f.put(variant())
	f.said("main begin", 1)
	restarts := 1
	for _, change := range []func(*corev1.Pod){
		func(p *corev1.Pod) { p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}} },
		func(p *corev1.Pod) { p.Labels = map[string]string{"a": "b"} },
		func(p *corev1.Pod) { p.Spec.Containers[0].Name = "other" },
	} {
		f.put(variant(change))
		restarts++
		f.said("main begin", restarts)
	}
	p := f.ready("a")
	if p.UID != "12345" || p.Containers[0].Name != "other" {
		f.Errorf("it is %+v", p)
	}
	f.must(touchFile(f.path("a")))
	f.put(f.pod("marker", polite("marker")))
	f.said("marker begin", 1)
	if now := f.ready("a"); now.Containers[0].ID != p.Containers[0].ID {
		f.Error("an unchanged manifest restarts the pod")
	}
}

// A runtime that does not answer during a termination is asked again.
func runtimeAway(f *fixture) {
	f.supervise()
	f.put(f.pod("a", polite("main")))
	f.said("main begin", 1)
	f.rt.fail([]fault{stopFails})
	f.remove("a")
	f.happened("FailedKillPod")
	if p, there := f.get("a"); !there || p.State != "Stopping" {
		f.Errorf("it is %+v", p)
	}
	f.rt.fail(nil)
	f.gone("a")
	f.order("main begin", "main end")
}

// What cannot be cleaned up delays the successor, which then starts.
func stuckCleanup(f *fixture) {
	f.supervise()
	f.put(f.pod("a", polite("old")))
	f.said("old begin", 1)
	f.rt.fail([]fault{closeFails})
	f.put(f.pod("a", polite("new")))
	f.happened("FailedKillPod")
	f.order("old begin", "old end")
	f.rt.fail(nil)
	f.said("new begin", 1)
}

// A container has at least two seconds, whatever the pod says.
func leastGrace(f *fixture) {
	f.supervise()
	f.put(f.pod("a", stubborn("main"), withGrace(0)))
	f.said("main begin", 1)
	f.remove("a")
	asked := f.said("main asked", 1)
	f.gone("a")
	f.between("the end", asked, f.uptime(), 2*time.Second)
}

// Everything starts again in a new sandbox when the old one is dead.
func deadSandbox(f *fixture) {
	if f.target.EndSandbox == nil {
		f.Skip("the pods of this runtime have no sandbox that could end by itself")
	}
	f.supervise()
	f.put(f.pod("a", polite("main"), withInits(f.container("init", "say init"))))
	f.said("main begin", 1)
	before := f.ready("a")
	f.target.EndSandbox(f.T, f.root, before.UID)
	f.said("init", 2)
	f.said("main begin", 2)
	if after := f.ready("a"); after.UID != before.UID || after.Restarts != 2 {
		f.Errorf("it was %+v, is %+v", before, after)
	}
}

// A pod is removed and another one started though a source does not answer.
func unreachableSource(f *fixture) {
	f.options.Sources = append(f.options.Sources, &source.URL{Address: "http://127.0.0.1:1/", NodeName: "node1"})
	f.supervise()
	f.put(f.pod("a", polite("a")))
	f.said("a begin", 1)
	f.remove("a")
	f.put(f.pod("b", polite("b")))
	f.said("a end", 1)
	f.said("b begin", 1)
	f.gone("a")
	if status := f.status(); status.Ready || len(status.Problems) != 1 || status.Problems[0].Source != "http://127.0.0.1:1/" {
		f.Errorf("ready %t, problems %+v", status.Ready, status.Problems)
	}
}

// What a kubelet refuses for good is tried again.
func refusalsAreRetried(f *fixture) {
	f.options.BackOff = supervisor.BackOffLimits{Initial: 200 * time.Millisecond, Max: 200 * time.Millisecond}
	f.supervise()
	missing, directory := filepath.Join(f.shared, "missing"), corev1.HostPathDirectory
	f.put(f.pod("a", polite("main"), func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "missing", VolumeSource: corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: missing, Type: &directory}}})
		p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "missing", MountPath: missing})
	}))
	f.becomes("a", "refused", func(p runtime.PodStatus) bool { return strings.Contains(p.LastError, missing) })
	f.order()
	f.must(makeDir(missing))
	f.said("main begin", 1)
	f.ready("a")
}
