package steps

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/runtime"
)

// scriptedSupervisor answers with what a function of the time since the start says.
type scriptedSupervisor struct {
	start  time.Time
	status func(since time.Duration) (runtime.Status, error)
}

// restartingSupervisor can restart pods, too.
type restartingSupervisor struct {
	scriptedSupervisor
	restarted []string
}

func (s *restartingSupervisor) Restart(_ context.Context, pod string) error {
	s.restarted = append(s.restarted, pod)
	return nil
}

func (s *scriptedSupervisor) Start(context.Context) (int, error) { return 1, nil }

func (s *scriptedSupervisor) Status(context.Context) (runtime.Status, error) {
	return s.status(time.Since(s.start))
}

func (s *scriptedSupervisor) Stop(context.Context, func(runtime.Event)) error { return nil }

func podStatus(name string, state runtime.PodState, ready bool, containers ...runtime.ContainerStatus) runtime.PodStatus {
	return runtime.PodStatus{Name: name, State: state, Ready: ready, Containers: containers}
}

func container(name string, restarts, code int, logPath string) runtime.ContainerStatus {
	return runtime.ContainerStatus{Name: name, RestartCount: restarts, ExitCode: &code, LogPath: logPath,
		LastProbe: "Get https://127.0.0.1:6443/livez: connection refused"}
}

func looping(c runtime.ContainerStatus) runtime.ContainerStatus {
	c.Reason = runtime.ReasonCrashLoop
	return c
}

func TestWaitHealthy(t *testing.T) {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	// The logs of a container that finds its port taken: by this test, and by somebody who is gone.
	log, freed := filepath.Join(t.TempDir(), "2.log"), filepath.Join(t.TempDir(), "2.log")
	for path, address := range map[string]string{log: held.Addr().String(), freed: "127.0.0.1:1"} {
		lines := "2026-01-02T03:04:05Z stdout F starting\n" +
			"2026-01-02T03:04:06Z stderr F listen tcp " + address + ": bind: address already in use\n"
		if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, port, _ := net.SplitHostPort(held.Addr().String())
	both := func(etcd, api runtime.PodStatus) (runtime.Status, error) {
		return runtime.Status{Pods: []runtime.PodStatus{etcd, api}}, nil
	}
	starting := podStatus("kube-apiserver", "Starting", false,
		runtime.ContainerStatus{Name: "kube-apiserver", LastProbe: "connection refused"})
	for name, test := range map[string]struct {
		status func(time.Duration) (runtime.Status, error)
		within time.Duration // of the fake clock
		want   []string      // in the error; none: healthy
		hint   string
	}{
		"ready after a while": {
			status: func(d time.Duration) (runtime.Status, error) {
				return both(podStatus("etcd", "Running", d > time.Second), podStatus("kube-apiserver", "Running", d > 3*time.Second))
			},
			within: 3*time.Second + 2*pollPeriod,
		},
		"a supervisor that answers late": {
			status: func(d time.Duration) (runtime.Status, error) {
				if d < time.Second {
					return runtime.Status{}, fmt.Errorf("cannot ask: %w", runtime.ErrNotRunning)
				}
				return both(podStatus("etcd", "Running", true), podStatus("kube-apiserver", "Running", true))
			},
			within: time.Second + 2*pollPeriod,
		},
		"one that was ready and is not any more does not count": {
			status: func(d time.Duration) (runtime.Status, error) {
				return both(podStatus("etcd", "Running", d < time.Second || d > 4*time.Second),
					podStatus("kube-apiserver", "Running", d > 2*time.Second))
			},
			within: 4*time.Second + 2*pollPeriod,
		},
		"a crash loop ends the wait": {
			status: func(d time.Duration) (runtime.Status, error) {
				if d < 2*time.Second {
					return both(podStatus("etcd", "Running", false, container("etcd", 1, 0, log)), starting)
				}
				return both(podStatus("etcd", "BackOff", false, looping(container("etcd", 2, 1, log))), starting)
			},
			within: 2*time.Second + 2*pollPeriod,
			want: []string{"etcd did not become healthy in 2.0 s", "keeps exiting", "code 1, restarts: 2", "address already in use",
				"livez: connection refused", log},
			hint: fmt.Sprintf("kill %d", os.Getpid()),
		},
		"a program that cannot be started ends it": {
			status: func(d time.Duration) (runtime.Status, error) {
				if d == 0 {
					return both(podStatus("etcd", "Pending", false, runtime.ContainerStatus{Name: "etcd"}), starting)
				}
				etcd := podStatus("etcd", "BackOff", false, looping(runtime.ContainerStatus{Name: "etcd", Message: "back-off 10s"}))
				etcd.LastError = "container etcd cannot be started: exec format error"
				return both(etcd, starting)
			},
			within: 2 * pollPeriod,
			want:   []string{"etcd: it cannot be started", "exec format error"},
			hint:   "kubecrank logs",
		},
		"a back-off of an earlier run does not: its user may have mended the cause": {
			status: func(d time.Duration) (runtime.Status, error) {
				if d < time.Second {
					return both(podStatus("etcd", "BackOff", false, looping(container("etcd", 2, 1, log))), starting)
				}
				return both(podStatus("etcd", "Running", true), podStatus("kube-apiserver", "Running", true))
			},
			within: time.Second + 2*pollPeriod,
		},
		"but one more exit does": {
			status: func(d time.Duration) (runtime.Status, error) {
				return both(podStatus("etcd", "BackOff", false, looping(container("etcd", 2+int(d/(10*time.Second)), 1, log))), starting)
			},
			within: 10*time.Second + 2*pollPeriod,
			want:   []string{"etcd: it keeps exiting", "restarts: 3"},
		},
		"the first exit does not: it is started again at once": {
			status: func(d time.Duration) (runtime.Status, error) {
				if d < time.Second {
					return both(podStatus("etcd", "BackOff", false, container("etcd", 0, 1, log)), starting)
				}
				return both(podStatus("etcd", "Running", true), podStatus("kube-apiserver", "Running", true))
			},
			within: time.Second + 2*pollPeriod,
		},
		"one exit ends it when the cause is certain": {
			status: func(d time.Duration) (runtime.Status, error) {
				etcd := podStatus("etcd", "Starting", false, runtime.ContainerStatus{Name: "etcd", PID: 1})
				if d >= time.Second {
					etcd = podStatus("etcd", "BackOff", false, container("etcd", 1, 1, log))
				}
				return both(etcd, starting)
			},
			within: time.Second + 2*pollPeriod,
			want:   []string{"etcd: it keeps exiting", fmt.Sprintf("cause: port %s is taken by steps.test (PID %d)", port, os.Getpid())},
			hint:   fmt.Sprintf("kill %d", os.Getpid()),
		},
		"a crash loop whose cause has passed does not": {
			status: func(d time.Duration) (runtime.Status, error) {
				if d < 8*time.Second {
					return both(podStatus("etcd", "BackOff", false, looping(container("etcd", 2+int(d/time.Second), 1, freed))), starting)
				}
				return both(podStatus("etcd", "Running", true), podStatus("kube-apiserver", "Running", true))
			},
			within: 8*time.Second + 2*pollPeriod,
		},
		"many exits end it too": {
			status: func(d time.Duration) (runtime.Status, error) {
				return both(podStatus("etcd", "Running", true),
					podStatus("kube-apiserver", "Starting", false, container("kube-apiserver", int(d/time.Second), 2, "")))
			},
			within: 3*time.Second + 2*pollPeriod,
			want:   []string{"kube-apiserver did not become healthy", "code 2, restarts: 3"},
		},
		"exits of a pod that is ready again do not": {
			status: func(d time.Duration) (runtime.Status, error) {
				return both(podStatus("etcd", "Running", true, container("etcd", 5, 1, log)),
					podStatus("kube-apiserver", "Running", d > 2*time.Second))
			},
			within: 2*time.Second + 2*pollPeriod,
		},
		"a refused manifest ends it": {
			status: func(time.Duration) (runtime.Status, error) {
				return runtime.Status{Problems: []runtime.Problem{{Source: "/m/etcd.yaml", Message: "line 3: no such field"},
					{Source: "/m/other.yaml", Message: "bad"}}}, nil
			},
			within: pollPeriod,
			want:   []string{"/m/etcd.yaml", "line 3: no such field"},
		},
		"somebody else's manifest, and a warning, do not": {
			status: func(time.Duration) (runtime.Status, error) {
				return runtime.Status{
					Problems: []runtime.Problem{{Source: "/m/other.yaml", Message: "bad"},
						{Source: "/m/etcd.yaml", Message: "twice", Warning: true}},
					Pods: []runtime.PodStatus{podStatus("etcd", "Running", true), podStatus("kube-apiserver", "Running", true)},
				}, nil
			},
			within: pollPeriod,
		},
		"a supervisor that died": {
			status: func(d time.Duration) (runtime.Status, error) {
				if d < time.Second {
					return both(starting, starting)
				}
				return runtime.Status{}, runtime.ErrNotRunning
			},
			within: time.Second + silence + 2*pollPeriod,
			want:   []string{"the supervisor is not running any more", "address already in use"}, // the log it is given here
		},
		"the time is over": {
			status: func(time.Duration) (runtime.Status, error) {
				return runtime.Status{Pods: []runtime.PodStatus{starting}}, nil
			},
			within: 4*time.Minute + 2*pollPeriod,
			want: []string{"etcd, kube-apiserver did not become healthy in 240.0 s", "etcd: the supervisor does not know it",
				"probe: connection refused"},
			hint: "kubecrank logs",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				step := WaitHealthy{Pods: []string{"etcd", "kube-apiserver"}, Timeout: Span(4 * time.Minute), Log: log}
				start := time.Now()
				var told []string
				n := &plan.Node{Supervisor: &scriptedSupervisor{start: start, status: test.status},
					News: func(s string) { told = append(told, s) }}
				_, err := step.Compare(plan.Host{}).Do(t.Context(), n)
				if took := time.Since(start); took > test.within {
					t.Errorf("it took %s, want at most %s", took, test.within)
				}
				if len(test.want) == 0 {
					if err != nil || len(told) < 2 {
						t.Errorf("error %v, told %q", err, told)
					}
					return
				}
				var failed *NotHealthyError
				if !errors.As(err, &failed) {
					t.Fatalf("error is %v", err)
				}
				for _, want := range test.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q is not in:\n%v", want, err)
					}
				}
				if !strings.Contains(failed.Hint(), test.hint) {
					t.Errorf("hint is %q", failed.Hint())
				}
			})
		})
	}
}

// What an earlier run left in a back-off is started again at once, and once.
func TestWaitHealthyStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sup := &restartingSupervisor{}
		sup.status = func(time.Duration) (runtime.Status, error) {
			if len(sup.restarted) == 0 {
				return runtime.Status{Pods: []runtime.PodStatus{
					podStatus("etcd", "BackOff", false, looping(container("etcd", 9, 1, ""))),
					podStatus("theirs", "BackOff", false, looping(container("theirs", 9, 1, ""))),
				}}, nil
			}
			return runtime.Status{Pods: []runtime.PodStatus{podStatus("etcd", "Running", true)}}, nil
		}
		if _, err := (WaitHealthy{Pods: []string{"etcd"}, Timeout: Span(time.Minute)}).Compare(plan.Host{}).Do(t.Context(),
			&plan.Node{Supervisor: sup}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(sup.restarted, []string{"etcd"}) {
			t.Errorf("restarted are %v", sup.restarted)
		}
	})
}

// One that cannot be started after that either, whose count stays the same, ends the wait.
func TestWaitHealthyStartsAgainInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sup := &restartingSupervisor{}
		sup.status = func(time.Duration) (runtime.Status, error) {
			c := looping(runtime.ContainerStatus{Name: "etcd", Message: "no such program"})
			return runtime.Status{Pods: []runtime.PodStatus{podStatus("etcd", "BackOff", false, c)}}, nil
		}
		start := time.Now()
		step := WaitHealthy{Pods: []string{"etcd"}, Timeout: Span(time.Minute)}
		_, err := step.Compare(plan.Host{}).Do(t.Context(), &plan.Node{Supervisor: sup})
		var failed *NotHealthyError
		if !errors.As(err, &failed) || time.Since(start) > settle+2*pollPeriod || len(sup.restarted) != 1 {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

// A cancelled wait says so, and not that something is unhealthy.
func TestWaitHealthyCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := &plan.Node{Supervisor: &scriptedSupervisor{status: func(time.Duration) (runtime.Status, error) { return runtime.Status{}, nil }}}
		_, err := WaitHealthy{Pods: []string{"etcd"}, Timeout: Span(time.Minute)}.Compare(plan.Host{}).Do(ctx, n)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
	})
}
