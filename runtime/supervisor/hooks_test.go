package supervisor

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Statement 61: any answer to an HTTP hook is a success; a server that speaks plain HTTP where HTTPS was asked
// for is asked again, without what was meant for an encrypted connection; nobody there is a failure.
func TestStatic_061_HTTPHooks(t *testing.T) {
	t.Parallel()
	var seen *http.Request
	answer := func(w http.ResponseWriter, r *http.Request) {
		seen = r
		w.WriteHeader(http.StatusInternalServerError)
	}
	plain, secure := httptest.NewServer(http.HandlerFunc(answer)), httptest.NewTLSServer(http.HandlerFunc(answer))
	defer plain.Close()
	defer secure.Close()
	secure.Config.ErrorLog = nil
	for name, test := range map[string]struct {
		server        *httptest.Server
		scheme        corev1.URIScheme
		authorization string
	}{
		"http":                        {plain, corev1.URISchemeHTTP, "secret"},
		"https":                       {secure, corev1.URISchemeHTTPS, "secret"},
		"https asked for, http there": {plain, corev1.URISchemeHTTPS, ""},
	} {
		host, port, err := net.SplitHostPort(test.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		spec := newCtr("main")
		spec.Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: int32(number)}}
		hook := &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Scheme: test.scheme, Host: host, Port: intstr.FromString("web"),
			Path: "/bye?now=true", HTTPHeaders: []corev1.HTTPHeader{{Name: "Authorization", Value: "secret"}, {Name: "Host", Value: "x.example"}}}}
		seen = nil
		if err := runHook(t.Context(), hookTarget{newPod("a"), &spec, nil}, hook); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if seen.URL.String() != "/bye?now=true" || seen.Host != "x.example" || seen.Header.Get("Authorization") != test.authorization ||
			!strings.HasPrefix(seen.Header.Get("User-Agent"), "kube-lifecycle/") {
			t.Errorf("%s: %s of %s, %v", name, seen.URL, seen.Host, seen.Header)
		}
	}
	gone := httptest.NewServer(nil)
	_, port, err := net.SplitHostPort(gone.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	spec := newCtr("main")
	for want, hook := range map[string]*corev1.LifecycleHandler{
		`container main has no port named "no"`: {HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromString("no")}},
		"only exec, httpGet and sleep":          {TCPSocket: &corev1.TCPSocketAction{}},
		"connection refused":                    {HTTPGet: &corev1.HTTPGetAction{Scheme: "HTTP", Port: intstr.Parse(port)}},
	} {
		if err := runHook(t.Context(), hookTarget{newPod("a"), &spec, nil}, hook); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Statement 60: a failed postStart hook kills the container, which is started again.
func TestStatic_060_PostStartFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{exec: func(*fakeContainer, []string) (int, error) { return 1, nil }}
		b := newBench(t, rt, nil)
		b.set(newPod("a", hooks([]string{"hook"}, nil)))
		b.did("start a/main 0", "exec a/main hook", "stop a/main 30s", "gone a/main", "start a/main 1", "exec a/main hook", "stop a/main 30s", "gone a/main")
		b.state("a", "BackOff", false)
		if got := b.pod("a").LastError; !strings.Contains(got, `postStart hook failed: command ["hook"] exited with 1: output`) {
			t.Errorf("the status says %q", got)
		}
	})
}

// Statement 60: while a postStart hook runs the container is not running yet, and later ones wait.
func TestStatic_060_PostStartHoldsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &fakeRuntime{exec: func(*fakeContainer, []string) (int, error) { time.Sleep(time.Minute); return 0, nil }}
		b := newBench(t, rt, nil)
		b.set(newPod("a", hooks([]string{"hook"}, nil), func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, newCtr("second")) }))
		b.sleep(59 * time.Second)
		b.did("start a/main 0", "exec a/main hook")
		b.state("a", "Starting", false)
		b.sleep(time.Second)
		b.did("start a/second 0")
		b.state("a", "Running", true)
	})
}

// Statement 59: the preStop hook runs before the signal and uses up the grace period, down to two seconds;
// its failure stops nothing.
func TestStatic_059_PreStop(t *testing.T) {
	for took, left := range map[time.Duration]string{10 * time.Second: "20s", 29 * time.Second: "2s", time.Hour: "2s"} {
		synctest.Test(t, func(t *testing.T) {
			rt := &fakeRuntime{exec: func(*fakeContainer, []string) (int, error) {
				time.Sleep(min(took, 30*time.Second)) // a real Exec ends with its context
				return 3, nil
			}}
			b := newBench(t, rt, nil)
			b.set(newPod("a", hooks(nil, []string{"bye"})))
			b.set()
			b.sleep(time.Minute)
			b.did("start a/main 0", "exec a/main bye", "stop a/main "+left, "gone a/main")
		})
	}
}

// Statement 59: a container that has ended by itself gets no preStop hook.
func TestStatic_059_NoPreStopAfterExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{}, nil)
		b.set(newPod("a", hooks(nil, []string{"bye"}), policy(corev1.RestartPolicyNever)))
		b.rt.end(t, "a/main", 0)
		b.set()
		b.did("start a/main 0")
	})
}

func hooks(postStart, preStop []string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		l := &corev1.Lifecycle{}
		if postStart != nil {
			l.PostStart = &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: postStart}}
		}
		if preStop != nil {
			l.PreStop = &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: preStop}}
		}
		p.Spec.Containers[0].Lifecycle = l
	}
}
