package conformance

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func (f *fixture) execHook(script string) *corev1.LifecycleHandler {
	return &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: f.sh(script)}}
}

// The preStop hook runs before the signal, within the grace period, and its failure stops nothing.
func preStop(f *fixture) {
	f.supervise()
	f.put(f.pod("a", stubborn("main"), withGrace(4), func(p *corev1.Pod) {
		p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: f.execHook("say bye begin; sleep 1; say bye end; exit 3")}
	}))
	f.said("main begin", 1)
	f.remove("a")
	began := f.said("bye begin", 1)
	f.gone("a")
	f.between("the end, with its hook,", began, f.uptime(), 4*time.Second)
	f.order("main begin", "bye begin", "bye end", "main asked")
	f.happened("FailedPreStopHook")
}

// A failed postStart hook kills the container, which starts again; later containers wait for the hook.
func postStart(f *fixture) {
	f.options.BackOff = quick
	f.supervise()
	f.put(f.pod("a", polite("main"), func(p *corev1.Pod) {
		p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: f.execHook(
			"await /proc/self; sleep 0.5; say hook; [ -e once ] && exit 0; touch once; exit 1")}
		p.Spec.Containers = append(p.Spec.Containers, f.container("second", polite("second")))
	}))
	f.said("hook", 2)
	f.said("main begin", 2)
	f.ready("a")
	f.happened("FailedPostStartHook")
	said := f.events()
	hook := slices.IndexFunc(said, func(e event) bool { return e.words == "hook" })
	second := slices.IndexFunc(said, func(e event) bool { return e.words == "second begin" })
	if second < hook {
		f.Errorf("the second container did not wait: %v", said)
	}
}

// Any answer to an HTTP hook is a success, and a server without TLS is asked again without it.
func httpHook(f *fixture) {
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		w.WriteHeader(http.StatusInternalServerError)
	}))
	f.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	f.must(err)
	f.supervise()
	f.put(f.pod("a", polite("main"), func(p *corev1.Pod) {
		p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{
			Scheme: corev1.URISchemeHTTPS, Host: address.Hostname(), Port: intstr.Parse(address.Port()), Path: "/hello"}}}
	}))
	if p := f.ready("a"); p.Restarts != 0 {
		f.Errorf("it is %+v", p)
	}
	if path := <-asked; path != "/hello" || len(asked) != 0 {
		f.Errorf("asked for %s and %d more", path, len(asked))
	}
}
