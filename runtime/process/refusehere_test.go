package process

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kubecrank/kubecrank/runtime"
)

// Guards: what OpenPod would refuse for this user is told beforehand, each with its container; a pod that asks for nothing
// special is refused nowhere.
func TestRefuseHere(t *testing.T) {
	t.Parallel()
	pod := func(change func(*corev1.Container)) *runtime.Pod {
		c := corev1.Container{Name: "c", Command: []string{"/bin/true"}}
		change(&c)
		p := &corev1.Pod{Spec: corev1.PodSpec{HostNetwork: true, Containers: []corev1.Container{c}}}
		p.Name, p.Namespace, p.UID = "p", "default", "u"
		return &runtime.Pod{Pod: p}
	}
	if p := pod(func(*corev1.Container) {}); RefuseAnywhere(p) != nil || RefuseHere(p) != nil {
		t.Errorf("a plain pod: %v, %v", RefuseAnywhere(p), RefuseHere(p))
	}
	yes, uid := true, int64(0)
	for want, change := range map[string]func(*corev1.Container){
		"container c: container has runAsNonRoot and would run as root": func(c *corev1.Container) {
			c.SecurityContext = &corev1.SecurityContext{RunAsNonRoot: &yes, RunAsUser: &uid}
		},
	} {
		if err := RefuseHere(pod(change)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := RefuseAnywhere(pod(change)); err != nil {
			t.Errorf("on every machine: %v", err)
		}
	}
	// Whether there are cgroups is the machine's business; OpenPod and RefuseHere must agree on it.
	limited := pod(func(c *corev1.Container) {
		c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
	})
	rt := newRuntime(t)
	sandbox, err := rt.OpenPod(t.Context(), limited)
	if err == nil {
		err = sandbox.Close(t.Context())
	}
	if here := RefuseHere(limited); (here == nil) != (err == nil) {
		t.Errorf("before: %v; when it is opened: %v", here, err)
	}
}
