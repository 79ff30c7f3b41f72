package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// action is a probe of a test server.
func action(t testing.TB, server *httptest.Server, path string, headers ...corev1.HTTPHeader) *corev1.HTTPGetAction {
	t.Helper()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.HTTPGetAction{
		Scheme: corev1.URIScheme(strings.ToUpper(u.Scheme)), Host: u.Hostname(), Port: intstr.Parse(u.Port()),
		Path: path, HTTPHeaders: headers,
	}
}

func check(t testing.TB, handler corev1.ProbeHandler, target Target) error {
	t.Helper()
	c, err := New(handler, target)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return c(ctx)
}

// Statement 74, with the table of pkg/probe/http/http_test.go (TestHTTPProbeChecker): what is sent. The server answers with the request's headers.
func TestStatic_074_HTTPHeaders(t *testing.T) {
	t.Setenv("http_proxy", "http://127.0.0.1:1") // pkg/probe/http/http_test.go: TestHTTPProbeProxy
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	agent, all := "kube-probe/1.36", "*/*"
	requests := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests <- r.Clone(context.Background())
	}))
	defer server.Close()
	for _, tc := range []struct {
		name    string
		headers []corev1.HTTPHeader
		want    http.Header
		host    string
	}{
		{"none", nil, http.Header{"User-Agent": {agent}, "Accept": {all}}, ""},
		{"own", []corev1.HTTPHeader{{Name: "X-Muffins-Or-Cupcakes", Value: "muffins"}, {Name: "x-muffins-or-cupcakes", Value: "both"}},
			http.Header{"User-Agent": {agent}, "Accept": {all}, "X-Muffins-Or-Cupcakes": {"muffins", "both"}}, ""},
		{"user agent", []corev1.HTTPHeader{{Name: "user-agent", Value: "foo/1.0"}},
			http.Header{"User-Agent": {"foo/1.0"}, "Accept": {all}}, ""},
		{"no user agent", []corev1.HTTPHeader{{Name: "User-Agent", Value: ""}}, http.Header{"Accept": {all}}, ""},
		{"accept", []corev1.HTTPHeader{{Name: "Accept", Value: "text/html"}},
			http.Header{"User-Agent": {agent}, "Accept": {"text/html"}}, ""},
		{"no accept", []corev1.HTTPHeader{{Name: "Accept", Value: ""}}, http.Header{"User-Agent": {agent}}, ""},
		{"accept encoding", []corev1.HTTPHeader{{Name: "Accept-Encoding", Value: "gzip"}},
			http.Header{"User-Agent": {agent}, "Accept": {all}, "Accept-Encoding": {"gzip"}}, ""},
		{"host", []corev1.HTTPHeader{{Name: "Host", Value: "muffins.cupcakes.org"}},
			http.Header{"User-Agent": {agent}, "Accept": {all}}, "muffins.cupcakes.org"},
	} {
		a := action(t, server, "/healthz?verbose=1", tc.headers...)
		if err := check(t, corev1.ProbeHandler{HTTPGet: a}, Target{}); err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		got := <-requests
		tc.want.Set("Connection", "close")
		if fmt.Sprint(got.Header) != fmt.Sprint(tc.want) {
			t.Errorf("%s: sent %v, want %v", tc.name, got.Header, tc.want)
		}
		if tc.host == "" {
			tc.host = net.JoinHostPort(a.Host, a.Port.String())
		}
		if got.Host != tc.host || got.Method != http.MethodGet || got.URL.String() != "/healthz?verbose=1" {
			t.Errorf("%s: host %s, %s %s", tc.name, got.Host, got.Method, got.URL)
		}
	}
}

func TestStatic_074_HTTPStatus(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "the body")
	}))
	defer server.Close()
	for code, healthy := range map[int]bool{
		200: true, 204: true, 299: true, 304: true, 399: true, 400: false, 401: false, 404: false, 500: false, 503: false,
	} {
		err := check(t, corev1.ProbeHandler{HTTPGet: action(t, server, fmt.Sprint("/", code))}, Target{})
		switch {
		case healthy && Failed(err) || !Known(err):
			t.Errorf("%d: %v", code, err)
		case healthy && (code >= 300) != Warned(err): // a 3xx that leads nowhere, as upstream has it
			t.Errorf("%d: warned %v", code, err)
		case !healthy:
			var f *Failure
			if !errors.As(err, &f) || f.Message != fmt.Sprintf("HTTP probe failed with statuscode: %d", code) || f.Detail != "the body" {
				t.Errorf("%d: %#v", code, err)
			}
		}
	}
}

// Statement 75 (pkg/probe/http/http_test.go: TestHTTPProbeChecker_NonLocalRedirects): followed on the same host, else healthy with a warning.
func TestStatic_075_Redirects(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			w.Header().Set("Location", r.URL.Query().Get("loc"))
			w.WriteHeader(http.StatusFound)
			_, _ = io.WriteString(w, "moved")
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/success":
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	for _, tc := range []struct{ path, want string }{
		{"/redirect?loc=/success", "<nil>"},
		{"/redirect?loc=/fail", "HTTP probe failed with statuscode: 500"},
		{"/redirect?loc=" + url.QueryEscape(server.URL+"/success"), "<nil>"},
		{"/redirect?loc=" + url.QueryEscape("http://0.0.0.0/fail"), "Probe terminated redirects, Response body: moved"},
		{"/redirect?loc=" + url.QueryEscape("//elsewhere.invalid/x"), "Probe terminated redirects, Response body: moved"},
		{"/redirect?loc=" + url.QueryEscape("http://%zz"), `failed to parse Location header "http://%zz"`},
		{"/loop", `Get "/loop": stopped after 10 redirects`},
	} {
		err := check(t, corev1.ProbeHandler{HTTPGet: action(t, server, tc.path)}, Target{})
		if !strings.Contains(fmt.Sprint(err), tc.want) || !Known(err) {
			t.Errorf("%s: %v, want %s", tc.path, err, tc.want)
		}
		if Warned(err) != strings.HasPrefix(tc.want, "Probe terminated") {
			t.Errorf("%s: warned %v", tc.path, err)
		}
	}
}

// Statement 76 (pkg/probe/http/http_test.go: TestHTTPProbeChecker_PayloadTruncated).
func TestStatic_076_LongBody(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	}))
	defer server.Close()
	if err := check(t, corev1.ProbeHandler{HTTPGet: action(t, server, "/good")}, Target{}); err != nil {
		t.Error(err)
	}
	var f *Failure
	err := check(t, corev1.ProbeHandler{HTTPGet: action(t, server, "/bad")}, Target{})
	if !errors.As(err, &f) || len(f.Detail) != 10<<10 {
		t.Errorf("%.100v", err)
	}
}

// https: nobody verifies the certificate, and every probe has a connection of its own. A server that speaks HTTP/2 gets it.
func TestStatic_074_HTTPS(t *testing.T) {
	t.Parallel()
	requests := make(chan [2]string, 3)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests <- [2]string{r.RemoteAddr, r.Proto}
	}))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{ServerName: "somebody-else"}
	server.StartTLS()
	defer server.Close()
	c, err := New(corev1.ProbeHandler{HTTPGet: action(t, server, "")}, Target{})
	if err != nil {
		t.Fatal(err)
	}
	connections := map[string]bool{}
	for range 3 {
		if err := c(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := <-requests
		connections[r[0]] = true
		if r[1] != "HTTP/2.0" {
			t.Errorf("protocol %s", r[1])
		}
	}
	if len(connections) != 3 {
		t.Errorf("%d connections", len(connections))
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	a := action(t, plain, "/")
	a.Scheme = "HTTPS"
	err = check(t, corev1.ProbeHandler{HTTPGet: a}, Target{})
	if !Failed(err) || !strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		t.Errorf("plain server: %v", err)
	}
}

// A probe offers the cheaper key exchanges, and all that the kubelet offers to a server that refuses those; that is remembered.
func TestHTTPSKeyExchange(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		takes   []tls.CurveID
		want    tls.CurveID
		refused int32 // handshakes that fail
	}{
		{nil, tls.X25519, 0},
		{[]tls.CurveID{tls.CurveP384}, tls.CurveP384, 0},
		{[]tls.CurveID{tls.X25519MLKEM768}, tls.X25519MLKEM768, 1},
	} {
		got := make(chan tls.CurveID, 1)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.TLS.CurveID }))
		var hellos atomic.Int32
		server.TLS = &tls.Config{CurvePreferences: tc.takes, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			hellos.Add(1)
			return nil, nil
		}}
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
		server.StartTLS()
		c, err := New(corev1.ProbeHandler{HTTPGet: action(t, server, "/")}, Target{})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := c(t.Context()); err != nil {
				t.Fatalf("a server that takes %v: %v", tc.takes, err)
			}
			if curve := <-got; curve != tc.want {
				t.Errorf("a server that takes %v: %v was agreed on", tc.takes, curve)
			}
		}
		if n := hellos.Load(); n != 3+tc.refused {
			t.Errorf("a server that takes %v: %d handshakes", tc.takes, n)
		}
		server.Close()
	}
}

// What cannot be reached, or does not answer in time, has failed; with the kubelet's words.
func TestHTTPTransportErrors(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := closed.Addr().(*net.TCPAddr).Port
	_ = closed.Close()
	a := &corev1.HTTPGetAction{Port: intstr.FromInt(port), Path: "/healthz"}
	want := fmt.Sprintf("Get \"http://127.0.0.1:%d/healthz\": dial tcp 127.0.0.1:%d: connect: connection refused", port, port)
	if err := check(t, corev1.ProbeHandler{HTTPGet: a}, Target{}); !Failed(err) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// roundTripper stands for the network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestHTTPTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		c, err := HTTP(&corev1.HTTPGetAction{Port: intstr.FromInt(80), Host: "h"}, Target{}, hang)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		want := `Get "http://h:80": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`
		if err := c(ctx); !Failed(err) || err.Error() != want || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := c(ctx); Known(err) || !errors.Is(err, context.Canceled) { // the supervisor stops: no fault of the container
			t.Errorf("cancelled: %v", err)
		}
	})
}

// Statement 79 (TestProbe in pkg/kubelet/prober/prober_test.go): what cannot be carried out is tried three times, and then nothing is known.
func TestStatic_079_ThreeTries(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		errs []error
		want string
		runs int
	}{
		{[]error{nil}, "<nil>", 1},
		{[]error{errors.New("a"), errors.New("b"), nil}, "<nil>", 3},
		{[]error{errors.New("a"), &Failure{Message: "f"}}, "f", 2},
		{[]error{&Warning{Message: "w"}}, "w", 1},
		{[]error{errors.New("a"), errors.New("b"), errors.New("c"), nil}, "c", 3},
	} {
		runs := 0
		c := retried(func(context.Context) error { runs++; return tc.errs[runs-1] })
		if err := c(t.Context()); fmt.Sprint(err) != tc.want || runs != tc.runs {
			t.Errorf("%v: got %v after %d", tc.errs, err, runs)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	runs := 0
	if err := retried(func(context.Context) error { runs++; return errors.New("x") })(ctx); err == nil || runs != 1 {
		t.Errorf("cancelled: %v after %d", err, runs)
	}
}

// An answer that breaks off is no answer: nothing is known (DoHTTPProbe returns an error then).
func TestHTTPBrokenBody(t *testing.T) {
	t.Parallel()
	calls := 0
	broken := roundTripper(func(*http.Request) (*http.Response, error) {
		calls++
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(io.MultiReader(strings.NewReader("x"), badReader{}))}, nil
	})
	c, err := HTTP(&corev1.HTTPGetAction{Port: intstr.FromInt(80)}, Target{}, broken)
	if err != nil {
		t.Fatal(err)
	}
	if err := retried(c)(t.Context()); err == nil || Known(err) || calls != 3 {
		t.Errorf("%v after %d", err, calls)
	}
}

type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

// URLs and ports as in upstream's pkg/probe/http/request_test.go and pkg/probe/util_test.go.
func TestRequest(t *testing.T) {
	t.Parallel()
	ports := []corev1.ContainerPort{{Name: "probe-port", ContainerPort: 6443}, {Name: "80", ContainerPort: 90}}
	container := &corev1.Container{Ports: ports}
	for _, tc := range []struct {
		action corev1.HTTPGetAction
		want   string
	}{
		{corev1.HTTPGetAction{Port: intstr.FromString("probe-port"), Scheme: "HTTPS", Path: "/livez"}, "https://10.0.0.1:6443/livez"},
		{corev1.HTTPGetAction{Port: intstr.FromInt(93), Host: "::1"}, "http://[::1]:93"},
		{corev1.HTTPGetAction{Port: intstr.FromString("93"), Path: "path"}, "http://10.0.0.1:93/path"},
		{corev1.HTTPGetAction{Port: intstr.FromString("80")}, "http://10.0.0.1:90"},
		{corev1.HTTPGetAction{Port: intstr.FromInt(93), Path: "?foo=bar"}, "http://10.0.0.1:93?foo=bar"},
		{corev1.HTTPGetAction{Port: intstr.FromInt(93), Path: "/path%2Fx?foo#frag"}, "http://10.0.0.1:93/path%2Fx?foo#frag"},
		{corev1.HTTPGetAction{Port: intstr.FromInt(93), Path: "/%"}, "http://10.0.0.1:93/%25"},
		{corev1.HTTPGetAction{Port: intstr.FromString("other")}, `the container has no port named "other"`},
		{corev1.HTTPGetAction{Port: intstr.FromInt(0)}, "invalid port number: 0"},
		{corev1.HTTPGetAction{Port: intstr.FromInt(65536)}, "invalid port number: 65536"},
	} {
		req, err := newRequest(&tc.action, Target{Host: "10.0.0.1", Container: container})
		got := fmt.Sprint(err)
		if err == nil {
			got = req.URL.String()
		}
		if got != tc.want {
			t.Errorf("%+v: got %s, want %s", tc.action, got, tc.want)
		}
	}
	if _, err := New(corev1.ProbeHandler{}, Target{}); err == nil || !strings.Contains(err.Error(), "missing probe handler") {
		t.Errorf("%v", err)
	}
}
