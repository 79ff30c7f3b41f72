package supervisor

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/source"
)

// newCtr makes a container; change may alter it.
func newCtr(name string, change ...func(*corev1.Container)) corev1.Container {
	c := corev1.Container{Name: name, Image: "example.org/" + name + ":v1"}
	for _, f := range change {
		f(&c)
	}
	return c
}

func sidecar(name string, change ...func(*corev1.Container)) corev1.Container {
	c := newCtr(name, change...)
	always := corev1.ContainerRestartPolicyAlways
	c.RestartPolicy = &always
	return c
}

// probe is a probe with the defaults of the API.
func probe(change ...func(*corev1.Probe)) *corev1.Probe {
	p := &corev1.Probe{TimeoutSeconds: 1, PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3,
		ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{}}}
	for _, f := range change {
		f(p)
	}
	return p
}

// newPod makes a pod with one container "main" unless change says otherwise. Its hash and UID come from
// its content, as the source's do.
func newPod(name string, change ...func(*corev1.Pod)) *runtime.Pod {
	grace := int64(30)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name + "-node1", Namespace: "default", Annotations: map[string]string{}}}
	pod.Spec = corev1.PodSpec{NodeName: "node1", RestartPolicy: corev1.RestartPolicyAlways, TerminationGracePeriodSeconds: &grace,
		Containers: []corev1.Container{newCtr("main")}}
	for _, f := range change {
		f(pod)
	}
	data, err := pod.Marshal()
	if err != nil {
		panic(err)
	}
	hash := fmt.Sprintf("%x", fnv1(data))
	if pod.UID == "" {
		pod.UID = types.UID(hash)
	}
	return &runtime.Pod{Pod: pod, Source: source.FromFile, Origin: "/m/" + name + ".yaml", Hash: hash}
}

func fnv1(data []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range data {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}

func annotate(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations[key] = value }
}

func image(tag string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].Image = "example.org/main:" + tag }
}

func policy(policy corev1.RestartPolicy) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.RestartPolicy = policy }
}

var errTest = errors.New("made up")
