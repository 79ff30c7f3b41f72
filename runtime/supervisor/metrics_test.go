package supervisor

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/source"
)

// The metrics tell what the status tells, count probes and events, and forget pods that are gone.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.probes["a/main Readiness"] = (&script{answers: []outcome{failed, unknown, warned, passed}}).ask
		b.send(source.Update{Pods: []*runtime.Pod{newPod("a", withReadiness(), func(p *corev1.Pod) { p.Namespace = "n" }), newPod("b", policy(corev1.RestartPolicyNever))},
			Problems: []runtime.Problem{{Source: "x", Warning: true}}})
		b.rt.end(t, "b/main", 3)
		b.sleep(31 * time.Second)
		var out strings.Builder
		b.s.writeMetrics(&out)
		for _, want := range []string{
			"# TYPE kubecrank_ready gauge\nkubecrank_ready 0\n",
			"kubecrank_manifest_problems{severity=\"error\"} 0\nkubecrank_manifest_problems{severity=\"warning\"} 1\n",
			"kubecrank_pod_ready{namespace=\"default\",pod=\"b\"} 0\nkubecrank_pod_ready{namespace=\"n\",pod=\"a\"} 1\n",
			"kubecrank_pod_state{namespace=\"default\",pod=\"b\",state=\"Failed\"} 1\n",
			"kubecrank_container_exit_code{namespace=\"default\",pod=\"b\",container=\"main\"} 3\n",
			"kubecrank_container_running{namespace=\"n\",pod=\"a\",container=\"main\"} 1\n",
			"kubecrank_container_start_time_seconds{namespace=\"n\",pod=\"a\",container=\"main\"} 9.466848e+08\n",
			"# HELP kubecrank_probe_total Probes by result, early ones included.\n# TYPE kubecrank_probe_total counter\n",
			"kubecrank_probe_total{namespace=\"n\",pod=\"a\",container=\"main\",probe_type=\"Readiness\",result=\"failed\"} 1\n",
			"kubecrank_probe_total{namespace=\"n\",pod=\"a\",container=\"main\",probe_type=\"Readiness\",result=\"successful\"} 2\n",
			"kubecrank_probe_total{namespace=\"n\",pod=\"a\",container=\"main\",probe_type=\"Readiness\",result=\"unknown\"} 1\n",
			"kubecrank_events_total{type=\"Normal\",reason=\"Started\"} 2\n",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the metrics lack %s", want)
			}
		}
		if t.Failed() {
			t.Log(out.String())
		}
		b.set(newPod("b", policy(corev1.RestartPolicyNever)))
		out.Reset()
		if b.s.writeMetrics(&out); strings.Contains(out.String(), `pod="a"`) {
			t.Error("a pod that is gone is in the metrics")
		}
	})
}

// On a port of its own only loopback addresses are served.
func TestMetricsAddress(t *testing.T) {
	t.Parallel()
	s, err := newSupervisor(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "localhost:0", "nonsense"} {
		if stop, err := s.serveMetrics(address); err == nil {
			stop()
			t.Errorf("metrics are served on %s", address)
		}
	}
	const address = "127.0.0.1:39471"
	stop, err := s.serveMetrics(address)
	if err != nil {
		t.Skipf("the port is taken: %v", err)
	}
	defer stop()
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "kubecrank_ready 0") {
		t.Errorf("%s, %v", body, err)
	}
}
