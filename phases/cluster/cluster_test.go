package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/pki"
)

// What kubeadm binds, object by object, and that the data is comparable and consistent.
func TestAdminRBACIsKubeadms(t *testing.T) {
	t.Parallel()
	want := []string{
		"kubeadm:cluster-admins cluster-admin Group kubeadm:cluster-admins",
		"kubeadm:apiserver-kubelet-client system:kubelet-api-admin User kube-apiserver-kubelet-client",
	}
	for i, o := range AdminRBAC() {
		if o != AdminRBAC()[i] {
			t.Errorf("%s is not the same twice", o)
		}
		if _, err := o.decode(); err != nil {
			t.Error(err)
		}
		var b struct {
			APIVersion, Kind string
			Metadata         struct{ Name string }
			RoleRef          struct{ APIGroup, Kind, Name string }
			Subjects         []struct{ APIGroup, Kind, Name string }
		}
		if err := yaml.UnmarshalStrict([]byte(o.YAML), &b); err != nil {
			t.Fatal(err)
		}
		const group = "rbac.authorization.k8s.io"
		if b.APIVersion != group+"/v1" || b.Kind != "ClusterRoleBinding" ||
			b.RoleRef.APIGroup != group || b.RoleRef.Kind != "ClusterRole" || len(b.Subjects) != 1 || b.Subjects[0].APIGroup != group {
			t.Errorf("%s is\n%s", o, o.YAML)
		}
		if got := fmt.Sprintln(b.Metadata.Name, b.RoleRef.Name, b.Subjects[0].Kind, b.Subjects[0].Name); strings.TrimSpace(got) != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
	}
	if len(AdminRBAC()) != len(want) {
		t.Errorf("%d objects", len(AdminRBAC()))
	}
}

// apiServer is an API server with really issued certificates that knows how
// to get and apply cluster role bindings.
type apiServer struct {
	*httptest.Server
	kubeconfig []byte // of super-admin.conf

	mu       sync.Mutex
	objects  map[string]map[string]any
	version  int
	requests []string
	// answers are sent before anything else is done, one per request: status codes, 0 for a connection that is cut.
	answers []int
}

type identity struct {
	spec   pki.Spec
	serves pki.Pair // what the server shows
	ca     pki.Pair // what the kubeconfig trusts
}

func params() pki.Params {
	return pki.Params{Algorithm: config.ECDSAP256, Validity: time.Hour, CAValidity: time.Hour, Now: time.Now()}
}

// identify issues a CA, and a server certificate for 127.0.0.1 which change may spoil.
func identify(t *testing.T, change func(*pki.Spec, *pki.Params)) identity {
	t.Helper()
	caSpec := pki.Spec{Name: "ca", CommonName: "kubernetes"}
	ca, err := pki.NewCA(caSpec, params())
	if err != nil {
		t.Fatal(err)
	}
	id := identity{ca: ca, spec: pki.Spec{
		Name: "apiserver", CommonName: "kube-apiserver", Signer: "ca",
		IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Usages: pki.Usages{x509.ExtKeyUsageServerAuth},
	}}
	p := params()
	change(&id.spec, &p)
	if id.serves, err = pki.Issue(id.spec, ca, p); err != nil {
		t.Fatal(err)
	}
	return id
}

func sound(*pki.Spec, *pki.Params) {}

func (id identity) kubeconfig(t *testing.T, server string) []byte {
	t.Helper()
	data, err := pki.NewKubeconfig(pki.KubeconfigSpec{
		Name: "super-admin.conf", User: "kubernetes-super-admin", CommonName: "kubernetes-super-admin",
		Organizations: []string{"system:masters"}, Server: server, ClusterName: "kubernetes",
	}, id.ca, params())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func startServer(t *testing.T, id identity, answers ...int) *apiServer {
	t.Helper()
	s := &apiServer{objects: map[string]map[string]any{}, answers: answers}
	s.Server = httptest.NewUnstartedServer(s)
	s.listen(t, id)
	return s
}

func (s *apiServer) listen(t *testing.T, id identity) {
	t.Helper()
	cert, err := tls.X509KeyPair(id.serves.CertPEM, id.serves.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // some handshakes are to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	s.kubeconfig = id.kubeconfig(t, s.URL)
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user := "nobody"
	if len(r.TLS.PeerCertificates) > 0 {
		user = r.TLS.PeerCertificates[0].Subject.String()
	}
	s.requests = append(s.requests, fmt.Sprintf("%s %s %s %s", user, r.Method, r.URL, r.Header.Get("Content-Type")))
	if len(s.answers) > 0 {
		code := s.answers[0]
		s.answers = s.answers[1:]
		if code == 0 {
			panic(http.ErrAbortHandler)
		}
		s.status(w, code)
		return
	}
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	switch stored, found := s.objects[name]; {
	case r.Method == http.MethodGet && !found:
		s.status(w, http.StatusNotFound)
	case r.Method == http.MethodGet:
		s.send(w, http.StatusOK, stored)
	case r.Method == http.MethodPatch:
		s.apply(w, r, name)
	default:
		s.status(w, http.StatusMethodNotAllowed)
	}
}

// apply stores what is sent, with a new resourceVersion if it differs from what was stored.
func (s *apiServer) apply(w http.ResponseWriter, r *http.Request, name string) {
	body, _ := io.ReadAll(r.Body)
	var obj map[string]any
	if err := yaml.Unmarshal(body, &obj); err != nil {
		s.status(w, http.StatusBadRequest)
		return
	}
	code := http.StatusCreated
	if old, found := s.objects[name]; found {
		code = http.StatusOK
		if fmt.Sprint(old["roleRef"], old["subjects"]) == fmt.Sprint(obj["roleRef"], obj["subjects"]) {
			s.send(w, code, old)
			return
		}
	}
	s.version++
	obj["metadata"].(map[string]any)["resourceVersion"] = fmt.Sprint(s.version)
	s.objects[name] = obj
	s.send(w, code, obj)
}

func (s *apiServer) status(w http.ResponseWriter, code int) {
	s.send(w, code, map[string]any{
		"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
		"reason":  map[int]string{403: "Forbidden", 401: "Unauthorized", 404: "NotFound", 422: "Invalid"}[code],
		"message": fmt.Sprintf("the server's own words about %d", code),
	})
}

func (s *apiServer) send(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func (s *apiServer) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

func connect(t *testing.T, kubeconfig []byte) *Client {
	t.Helper()
	c, err := Connect(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func binding() Object { return AdminRBAC()[0] }

// An object is created, then left alone, then changed back after somebody has changed it; and what goes over the
// wire is server-side apply by our field manager, authenticated with the kubeconfig's certificate.
func TestApply(t *testing.T) {
	t.Parallel()
	s := startServer(t, identify(t, sound))
	c := connect(t, s.kubeconfig)
	for _, want := range []bool{true, false, true} {
		if want && len(s.seen()) > 0 {
			s.mu.Lock()
			s.objects[binding().Name]["subjects"] = []any{}
			s.mu.Unlock()
		}
		changed, err := c.Apply(t.Context(), binding())
		if err != nil || changed != want {
			t.Errorf("changed %t, error %v; want %t", changed, err, want)
		}
	}
	const user = "CN=kubernetes-super-admin,O=system:masters"
	const path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeadm:cluster-admins"
	want := []string{
		user + " GET " + path + "?timeout=10s ",
		user + " PATCH " + path + "?fieldManager=kubecrank&force=true&timeout=10s application/apply-patch+yaml",
	}
	if got := s.seen(); len(got) != 6 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("requests are %q, want %q and so on", got, want)
	}
	if roleRef := fmt.Sprint(s.objects[binding().Name]["roleRef"]); !strings.Contains(roleRef, "name:cluster-admin") {
		t.Errorf("stored roleRef is %s", roleRef)
	}
}

// While the API server comes up it refuses connections, cuts them and answers 5xx and 429: Apply goes on.
func TestApplyWaitsForTheServer(t *testing.T) {
	t.Parallel()
	id := identify(t, sound)
	s := &apiServer{objects: map[string]map[string]any{}, answers: []int{503, 0, 500, 429, 504}}
	s.Server = httptest.NewUnstartedServer(s)
	address := s.Listener.Addr().String()
	s.Listener.Close()
	c := connect(t, id.kubeconfig(t, "https://"+address))
	done := make(chan error, 1)
	go func() {
		_, err := c.Apply(t.Context(), binding())
		done <- err
	}()
	time.Sleep(120 * time.Millisecond) // a few refused connections; sockets know no synctest
	var err error
	if s.Listener, err = net.Listen("tcp", address); err != nil {
		t.Skipf("the port was taken in between: %v", err)
	}
	s.listen(t, id)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s.objects[binding().Name] == nil {
		t.Error("nothing was applied")
	}
}

// An answer that will not change is final, is quoted, and has a hint where there is something to do.
func TestApplyTakesNoForAnAnswer(t *testing.T) {
	t.Parallel()
	for code, tc := range map[int]struct{ text, hint string }{
		403: {"the API server answers 403 Forbidden: the server's own words about 403", "super-admin.conf may"},
		401: {"the API server answers 401 Unauthorized: the server's own words about 401", "another CA signed it, or it has expired"},
		422: {"the API server answers 422 Unprocessable Entity: the server's own words about 422", ""},
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, identify(t, sound), code)
			_, err := connect(t, s.kubeconfig).Apply(t.Context(), binding())
			wantError(t, err, tc.hint, "cannot apply ClusterRoleBinding kubeadm:cluster-admins at "+s.URL+": ", tc.text)
			if n := len(s.seen()); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func wantError(t *testing.T, err error, hint string, texts ...string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v (%T)", err, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error is %q, want %q in it", err, text)
		}
	}
	if !strings.Contains(e.Hint(), hint) || (hint == "") != (e.Hint() == "") {
		t.Errorf("hint of %q is %q, want %q in it", err, e.Hint(), hint)
	}
}

// A server whose certificate does not fit is told from one that is not up yet: no use in waiting.
func TestApplyAndCertificates(t *testing.T) {
	t.Parallel()
	stranger := identify(t, sound)
	for name, tc := range map[string]struct {
		change func(*pki.Spec, *pki.Params)
		ca     *pki.Pair // of the kubeconfig, nil: the right one
		text   string
		hint   string
	}{
		"another CA": {sound, &stranger.ca, "unknown authority", "another CA than the kubeconfig's signed the API server's certificate"},
		"another name": {
			func(s *pki.Spec, _ *pki.Params) { s.IPs = []netip.Addr{netip.MustParseAddr("192.0.2.1")} }, nil,
			"valid for 192.0.2.1, not 127.0.0.1", "lacks the name 127.0.0.1: remove apiserver.crt",
		},
		"expired": {func(_ *pki.Spec, p *pki.Params) { p.Validity = -time.Minute }, nil, "expired", "has expired or is not yet valid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := identify(t, tc.change)
			if tc.ca != nil {
				id.ca = *tc.ca
			}
			s := startServer(t, id)
			began := time.Now()
			_, err := connect(t, s.kubeconfig).Apply(t.Context(), binding())
			wantError(t, err, tc.hint, tc.text)
			if len(s.seen()) > 0 || time.Since(began) > 5*time.Second {
				t.Errorf("requests %q, after %s", s.seen(), time.Since(began))
			}
		})
	}
}

// When time is up the error is what was wrong, not that time is up.
func TestApplyGivesUp(t *testing.T) {
	t.Parallel()
	id := identify(t, sound)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	hung, err := net.Listen("tcp", "127.0.0.1:0") // accepts nothing, but the kernel does
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hung.Close() })
	busy := startServer(t, id, 503, 503, 503, 503, 503, 503, 503, 503, 503, 503, 503, 503, 503, 503, 503, 503, 503, 503, 503, 503)
	for name, tc := range map[string]struct{ server, text, hint string }{
		"refused": {"https://" + free.Addr().String(), "connection refused (gave up: context deadline exceeded)", "nothing listens there"},
		"hung":    {"https://" + hung.Addr().String(), "context deadline exceeded", "kubecrank logs kube-apiserver"},
		"busy":    {busy.URL, "503 Service Unavailable: the server's own words about 503 (gave up", "kubecrank logs kube-apiserver"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Long enough for one answer on a machine that is busy with other tests.
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := connect(t, id.kubeconfig(t, tc.server)).Apply(ctx, binding())
			wantError(t, err, tc.hint, tc.text)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v does not say that the deadline is over", err)
			}
		})
	}
}

// During init the control plane endpoint may be a load balancer that knows no server yet.
func TestConnectToTheLocalServer(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // nothing listens there
	id := identify(t, sound)
	s := startServer(t, id)
	c, err := ConnectTo(id.kubeconfig(t, "https://load-balancer.invalid:6443"), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := c.Apply(t.Context(), binding()); err != nil || !changed {
		t.Errorf("changed %t, %v", changed, err)
	}
}

// Nothing is sent that is not what the plan showed, and a broken kubeconfig is an error at once.
func TestMalformedInput(t *testing.T) {
	t.Parallel()
	s := startServer(t, identify(t, sound))
	for _, change := range []func(*Object){
		func(o *Object) { o.Name = "other" },
		func(o *Object) { o.Kind = "ClusterRole" },
		func(o *Object) { o.Group = "" },
		func(o *Object) { o.Namespace = "kube-system" },
		func(o *Object) { o.YAML = "a: [" },
		func(o *Object) { o.YAML += "roleRef: {}\n" },
	} {
		o := binding()
		change(&o)
		_, err := connect(t, s.kubeconfig).Apply(t.Context(), o)
		wantError(t, err, "", "the object is malformed: ")
	}
	if got := s.seen(); len(got) > 0 {
		t.Errorf("sent %q", got)
	}
	for _, data := range []string{"", "a: [", "kind: Pod\napiVersion: v1\n"} {
		if _, err := Connect([]byte(data)); err == nil || !strings.HasPrefix(err.Error(), "cannot connect to the API server: ") {
			t.Errorf("kubeconfig %q: %v", data, err)
		}
	}
}
