package source

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// web answers every request with what a test has set.
type web struct {
	mu      sync.Mutex
	code    int
	body    string
	headers []http.Header
	hosts   []string
}

func (s *web) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headers, s.hosts = append(s.headers, r.Header), append(s.hosts, r.Host)
	w.WriteHeader(s.code)
	fmt.Fprint(w, s.body)
}

func (s *web) set(code int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code, s.body = code, body
}

// fetched runs a URL source with a short period.
func fetched(t *testing.T, s *web) *watched {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	w := &watched{t: t, ch: make(chan Update, 1000)}
	src := &URL{Address: server.URL + "/pods?token=hidden", NodeName: "node1", Period: 20 * time.Millisecond,
		Header: http.Header{"X-Token": {"one", "two"}, "Host": {"other.example"}}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- src.Run(ctx, w.ch) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

func list(items ...string) string {
	all := "apiVersion: v1\nkind: PodList\nitems:\n"
	for _, item := range items {
		all += "- " + strings.ReplaceAll(strings.TrimSuffix(item, "\n"), "\n", "\n  ") + "\n"
	}
	return all
}

// Statements 33, 34, 35, 36, 37, 39: what comes is used if all of it is good, and nothing is lost otherwise.
func TestStatic_033_034_035_036_037_039_URL(t *testing.T) {
	t.Parallel()
	s := &web{code: 200, body: manifest("a", "one")}
	w := fetched(t, s)
	u, _ := w.until("a one")
	if u.Incomplete || u.Pods[0].Source != FromHTTP || !strings.HasSuffix(u.Pods[0].Origin, "/pods") || u.Pods[0].Annotations[ConfigSeenAnnotation] == "" {
		t.Errorf("%+v", u.Pods[0])
	}
	seen := u.Pods[0].Annotations[ConfigSeenAnnotation]
	w.quiet(100 * time.Millisecond) // statement 37: unchanged, no update
	s.set(200, list(manifest("a", "one"), manifest("b", "two"), manifest("a", "three")))
	u, _ = w.until("a one", "b two")
	if got := u.Pods[0].Annotations[ConfigSeenAnnotation]; got != seen {
		t.Errorf("seen %s, then %s", seen, got)
	}
	if len(u.Problems) != 1 || !u.Problems[0].Warning { // statement 25: the first of two wins
		t.Errorf("problems %+v", u.Problems)
	}
	for _, test := range []struct {
		code       int
		body, want string
	}{
		{404, "gone", "404 Not Found"},
		{500, manifest("x", "i"), "500 Internal Server Error"},
		{204, "", "204 No Content"},
		{200, "", "zero-length data received"},
		{200, "garbage", "couldn't parse as pod("},
		{200, list(manifest("a", "one"), manifest("b", "''")), "invalid pod: [spec.containers[0].image: Required value]"},
		{200, list(manifest("a", "one"), manifest("c", "i")+"  serviceAccountName: s\n"), "static pods may not reference serviceaccounts"},
		{200, "apiVersion: v1\nkind: List\nitems: []\n", "it is a List of v1"},
		{200, manifest("a", strings.Repeat("x", MaxManifest)), "the read limit is reached"},
	} {
		s.set(test.code, test.body)
		u, _ := w.untilAll([]string{"a one", "b two"}, nil)
		if len(u.Problems) != 2 || !strings.Contains(u.Problems[0].Message, test.want) || u.Problems[0].Warning || u.Incomplete {
			t.Errorf("%d %.20q: %+v, want %q", test.code, test.body, u.Problems, test.want)
		}
		// Statement 39: the same content after all brings the same pods, without the problem.
		s.set(200, list(manifest("a", "one"), manifest("b", "two"), manifest("a", "three")))
		for len(u.Problems) != 1 {
			if u = w.next(); !slices.Equal(podsOf(u), []string{"a one", "b two"}) {
				t.Errorf("then %q", podsOf(u))
			}
		}
	}
	s.set(200, list())
	w.until()
}

// Statement 32: the first request is at once, the next ones every 20 s; the configured headers are sent, and
// shown nowhere. Statement 38: 10 s for an answer.
func TestStatic_032_038_Requests(t *testing.T) {
	t.Parallel()
	s := &web{code: 403, body: "no"}
	w := fetched(t, s)
	u := w.next()
	if !u.Incomplete || len(u.Problems) != 1 {
		t.Errorf("%+v", u)
	}
	s.mu.Lock()
	if got := s.headers[0]["X-Token"]; !slices.Equal(got, []string{"one", "two"}) || s.hosts[0] != "other.example" {
		t.Errorf("headers %v, host %s", s.headers[0], s.hosts[0])
	}
	s.mu.Unlock()
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Duration
		begun := time.Now()
		client := &http.Client{Timeout: requestTimeout, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, time.Since(begun))
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		ch := make(chan Update, 10)
		ctx, cancel := context.WithCancel(t.Context())
		src := &URL{Address: "http://user:secret@x/p", NodeName: "n", Client: client}
		go func() {
			if err := src.Run(ctx, ch); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(75 * time.Second)
		cancel()
		synctest.Wait()
		if want := []time.Duration{0, 30 * time.Second, 60 * time.Second}; !slices.Equal(asked, want) { // 10 s of waiting, 20 s between
			t.Errorf("asked at %v, want %v", asked, want)
		}
		if u := <-ch; !u.Incomplete || strings.Contains(u.Problems[0].Message+u.Problems[0].Source+src.String(), "secret") {
			t.Errorf("%+v", u)
		}
	})
	if (&URL{}).Period != 0 || requestTimeout != 10*time.Second {
		t.Error("not the kubelet's figures")
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A server that is not there, an address that is none: a problem each, and no secrets in it.
func TestURLProblems(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"http://127.0.0.1:1/p?token=hidden", "http://user:hidden@127.0.0.1:1/", "nonsense://x?hidden", "http://x y/?hidden", "%zz"} {
		ch := make(chan Update, 1)
		ctx, cancel := context.WithCancel(t.Context())
		src := &URL{Address: address, NodeName: "n"}
		done := make(chan error)
		go func() { done <- src.Run(ctx, ch) }()
		u := <-ch
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !u.Incomplete || len(u.Problems) != 1 || strings.Contains(u.Problems[0].Message+u.Problems[0].Source, "hidden") {
			t.Errorf("%s: %+v", address, u)
		}
	}
}
