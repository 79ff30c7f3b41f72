package steps

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubecrank/kubecrank/phases/cluster"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/runtime"
)

// scriptedAPI answers with what functions of the time since the start say.
type scriptedAPI struct {
	start   time.Time
	lease   func(since time.Duration) (cluster.Lease, error)
	account func(since time.Duration) (bool, error)
}

func (a *scriptedAPI) Apply(context.Context, plan.Endpoint, cluster.Object) (bool, error) {
	return false, errors.New("nothing is applied")
}

func (a *scriptedAPI) Bootstrap(context.Context, plan.Endpoint, []json.RawMessage, []string) (int, error) {
	return 0, nil
}

func (a *scriptedAPI) Open(plan.Endpoint) (plan.Reader, error) { return a, nil }

func (a *scriptedAPI) Lease(context.Context, string) (cluster.Lease, error) {
	return a.lease(time.Since(a.start))
}

func (a *scriptedAPI) Exists(context.Context, cluster.Object) (bool, error) {
	return a.account(time.Since(a.start))
}

// A component that is ready does not count before it does its work, and not if it is another instance by then.
func TestWaitHealthyProofs(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	const manager = "kube-controller-manager"
	never := func(time.Duration) (bool, error) { return false, nil }
	after := func(limit time.Duration) func(time.Duration) (bool, error) {
		return func(d time.Duration) (bool, error) { return d >= limit, nil }
	}
	refusal := func(err error) error { return &cluster.Error{Object: "x", Err: err} }
	forbidden := refusal(apierrors.NewForbidden(schema.GroupResource{}, "x", errors.New("no")))
	unauthorized := refusal(apierrors.NewUnauthorized("no"))
	for name, test := range map[string]struct {
		// restartedAt is when the container ends and is started again at once; 0: never.
		restartedAt time.Duration
		lease       func(start time.Time, d time.Duration) (cluster.Lease, error)
		account     func(time.Duration) (bool, error)
		atLeast     time.Duration
		want        string // in the error; "": healthy
	}{
		"it leads, and then has made its first object": {account: after(3 * time.Second), atLeast: 3 * time.Second},
		"it never makes one":                           {account: never, atLeast: time.Minute, want: "does not work: it has not made ServiceAccount default/default"},
		"the lease is of the instance before it": {
			lease: func(start time.Time, d time.Duration) (cluster.Lease, error) {
				if d < 15*time.Second {
					return cluster.Lease{Holder: host + "_old", Renewed: start.Add(-time.Second)}, nil
				}
				return cluster.Lease{Holder: host + "_new", Renewed: start.Add(d)}, nil
			}, account: after(0), atLeast: 15 * time.Second,
		},
		"nobody leads": {
			lease:   func(time.Time, time.Duration) (cluster.Lease, error) { return cluster.Lease{}, nil },
			account: after(0), atLeast: time.Minute, want: "nobody holds its lease",
		},
		// All is there until two seconds, when it is another container, whose lease is still the first one's.
		"it has restarted meanwhile": {
			restartedAt: 2 * time.Second,
			lease: func(start time.Time, d time.Duration) (cluster.Lease, error) {
				if d < 17*time.Second {
					return cluster.Lease{Holder: host + "_1", Renewed: start.Add(min(d, 2*time.Second))}, nil
				}
				return cluster.Lease{Holder: host + "_2", Renewed: start.Add(d)}, nil
			}, account: after(3 * time.Second), atLeast: 17 * time.Second,
		},
		"who may not read learns nothing": {
			lease:   func(time.Time, time.Duration) (cluster.Lease, error) { return cluster.Lease{}, forbidden },
			account: never, atLeast: 0,
		},
		"a user that the server does not know is an error": {
			lease:   func(time.Time, time.Duration) (cluster.Lease, error) { return cluster.Lease{}, unauthorized },
			account: never, want: "401",
		},
		"a server that is busy is asked again": {
			lease: func(start time.Time, d time.Duration) (cluster.Lease, error) {
				if d < 2*time.Second {
					return cluster.Lease{}, refusal(apierrors.NewTooManyRequests("later", 1))
				}
				return cluster.Lease{Holder: host + "_1", Renewed: start.Add(d)}, nil
			}, account: after(0), atLeast: 2 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			kubeconfig := filepath.Join(t.TempDir(), "super-admin.conf")
			if err := os.WriteFile(kubeconfig, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				status := func(d time.Duration) (runtime.Status, error) {
					c := runtime.ContainerStatus{Name: manager, PID: 7, Ready: true, StartedAt: &start}
					if test.restartedAt != 0 && d >= test.restartedAt {
						again := start.Add(test.restartedAt)
						c.PID, c.RestartCount, c.StartedAt = 8, 1, &again
					}
					return runtime.Status{Pods: []runtime.PodStatus{podStatus(manager, "Running", true, c)}}, nil
				}
				lease := test.lease
				if lease == nil {
					lease = func(start time.Time, d time.Duration) (cluster.Lease, error) {
						return cluster.Lease{Holder: host + "_1", Renewed: start.Add(d + 1)}, nil
					}
				}
				n := &plan.Node{Supervisor: &scriptedSupervisor{start: start, status: status}, API: &scriptedAPI{start: start,
					lease: func(d time.Duration) (cluster.Lease, error) { return lease(start, d) }, account: test.account}}
				_, err := WaitHealthy{Pods: []string{manager}, Timeout: Span(time.Minute), Proofs: Proofs{
					Kubeconfigs: []string{"/no/such/file", kubeconfig},
					Of:          []Proof{{Pod: manager, Lease: manager, Objects: []cluster.Object{cluster.DefaultServiceAccount()}}},
				}}.Compare(plan.Host{}).Do(t.Context(), n)
				took := time.Since(start)
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Fatalf("after %s: %v", took, err)
				}
				if took < test.atLeast || took > test.atLeast+time.Second {
					t.Errorf("it took %s, want %s", took, test.atLeast)
				}
			})
		})
	}
}

// The controller manager's health lists its controllers once it has built them all: not before it leads.
func TestListsController(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		"[+]leaderElection ok\nhealthz check passed\n":                                                      false,
		"[+]leaderElection ok\n[+]serviceaccount-token-controller ok\n[+]namespace-controller ok\npassed\n": true,
		"": false,
	} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !r.URL.Query().Has("verbose") {
				t.Errorf("it was asked for %s", r.URL)
			}
			_, _ = w.Write([]byte(body))
		}))
		p, err := newProver(&plan.Node{}, Proofs{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got := p.listsController(t.Context(), server.URL+"/healthz"); got != want {
			t.Errorf("%q: %t", body, got)
		}
		p.close()
		server.Close()
	}
}
