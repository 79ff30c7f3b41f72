package supervisor

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

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
