package restart

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/runtime"
)

// restarting is a supervisor under which a restart takes its time, and which
// writes down what it was asked for. An API server ends in time only when its clients have gone
// and etcd is there, and is ready only with a new etcd, as where all certificates had expired.
type restarting struct {
	asked []string
	began map[string]time.Time
	lost  bool   // the API server has lost etcd before it ended
	dies  string // the pod whose restart is the last thing it does
	sick  string // a pod that does not become ready
}

const (
	stopTakes  = 2 * time.Second
	grace      = 30 * time.Second
	readyTakes = 5 * time.Second // from the beginning of the stop on
)

func (r *restarting) Status(context.Context) (runtime.Status, error) {
	var st runtime.Status
	if r.dies != "" && slices.Contains(r.asked, r.dies) {
		return st, fmt.Errorf("cannot get the status: %w", runtime.ErrNotRunning)
	}
	for i, name := range []string{manifests.Etcd, manifests.APIServer, manifests.ControllerManager, manifests.Scheduler} {
		pod := runtime.PodStatus{Name: name, PID: 100 + i, Ready: true}
		if began, ok := r.began[name]; ok {
			past, stop := time.Since(began), stopTakes
			if _, alone := r.began[manifests.ControllerManager]; name == manifests.APIServer && !alone || r.lost {
				stop = grace
			}
			if past >= stop {
				pod.PID += 100
			}
			_, etcdToo := r.began[manifests.Etcd]
			pod.Ready = past >= stop+readyTakes && (name != manifests.APIServer || etcdToo) && name != r.sick
		}
		st.Pods = append(st.Pods, pod)
	}
	return st, nil
}

func (r *restarting) Restart(_ context.Context, pod string) error {
	r.asked, r.began[pod] = append(r.asked, pod), time.Now()
	if began, ok := r.began[manifests.APIServer]; ok && pod == manifests.Etcd {
		r.lost = time.Since(began) < stopTakes
	}
	return nil
}

func (r *restarting) run(t *testing.T, pods ...string) (restarted []string, took time.Duration, err error) {
	t.Helper()
	if r.began == nil {
		r.began = map[string]time.Time{}
	}
	show := func(string) func(bool) { return func(bool) {} }
	start := time.Now()
	restarted, err = Restarter{Client: r, Timeout: time.Minute, Show: show}.All(t.Context(), pods)
	return restarted, time.Since(start), err
}

// No component waits for another in vain: the API server not for its clients and not for etcd when it ends,
// and nobody for an API server that has no etcd.
func TestRestartOrder(t *testing.T) {
	for _, tc := range []struct{ pods, asked, restarted string }{
		{"etcd kube-apiserver kube-controller-manager kube-scheduler", "kube-apiserver kube-controller-manager kube-scheduler etcd",
			"etcd kube-apiserver kube-controller-manager kube-scheduler"},
		{"kube-apiserver", "kube-apiserver kube-controller-manager kube-scheduler",
			"kube-apiserver kube-controller-manager kube-scheduler"},
		{"etcd", "etcd", "etcd"},
		{"kube-scheduler", "kube-scheduler", "kube-scheduler"},
		{"", "", ""},
	} {
		t.Run(tc.pods, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &restarting{}
				if tc.pods == "kube-apiserver" { // its etcd is new already
					r.began = map[string]time.Time{manifests.Etcd: time.Now().Add(-time.Hour)}
				}
				restarted, took, err := r.run(t, strings.Fields(tc.pods)...)
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(r.asked, " "); got != tc.asked {
					t.Errorf("asked for %s", got)
				}
				if got := strings.Join(restarted, " "); got != tc.restarted {
					t.Errorf("restarted %s", got)
				}
				if took > 2*(stopTakes+readyTakes) {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// A supervisor that ends meanwhile, and a pod that does not become ready, are errors, and not waited for without end.
func TestRestartEnds(t *testing.T) {
	for _, tc := range []struct {
		supervisor restarting
		within     time.Duration
		want       string
	}{
		{restarting{dies: manifests.APIServer}, time.Second, "cannot restart kube-apiserver: cannot get the status: no supervisor"},
		{restarting{dies: manifests.Scheduler}, time.Second, "cannot restart kube-apiserver: cannot get the status"},
		{restarting{sick: manifests.Etcd}, 65 * time.Second, "cannot restart etcd: it is not ready after 1m0s"},
	} {
		t.Run(tc.want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, took, err := tc.supervisor.run(t, manifests.Etcd, manifests.APIServer, manifests.Scheduler)
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%v, want %q", err, tc.want)
				}
				if took > tc.within || len(hint.Of(err)) == 0 {
					t.Errorf("it took %s; hints: %q", took, hint.Of(err))
				}
			})
		})
	}
}
