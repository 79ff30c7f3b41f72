package supervisor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime/source"
)

// keptHouse is a runtime that also wants housekeeping, which is where an eviction would come from.
type keptHouse struct {
	*fakeRuntime
	kept int
}

func (k *keptHouse) Housekeep(context.Context) error { k.kept++; return errTest }

// Statement 64: nobody evicts a static pod: not one without a toleration (those from a URL get none), nor of the
// lowest priority, nor one that others would preempt; for a month, with a disk that is full all the time.
func TestStatic_064_NeverEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		low, seconds := int32(-2147483648), int64(1)
		preempts := corev1.PreemptLowerPriority
		rt := &keptHouse{fakeRuntime: &fakeRuntime{}}
		b := newBench(t, rt.fakeRuntime, func(o *Options) { o.Runtime = rt })
		fromURL := newPod("url")
		fromURL.Source = source.FromHTTP
		b.set(fromURL,
			newPod("low", func(p *corev1.Pod) { p.Spec.Priority = &low }),
			newPod("brief", func(p *corev1.Pod) {
				p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds}}
			}),
			newPod("critical", func(p *corev1.Pod) {
				p.Spec.PriorityClassName, p.Spec.PreemptionPolicy = "system-node-critical", &preempts
			}))
		b.didUnordered("start url/main 0", "start low/main 0", "start brief/main 0", "start critical/main 0")
		b.sleep(30 * 24 * time.Hour)
		b.did()
		if !b.s.statusNow().Ready || rt.kept < 10000 {
			t.Errorf("ready %t after %d rounds of housekeeping", b.s.statusNow().Ready, rt.kept)
		}
	})
}
