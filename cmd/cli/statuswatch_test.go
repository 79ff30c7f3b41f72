package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// answers is a supervisor that gives one answer after the other, and then ends the watch.
type answers struct {
	list []runtime.Status // one without a runtime stands for no answer
	end  context.CancelFunc
}

func (s *answers) Status(context.Context) (runtime.Status, error) {
	if len(s.list) == 0 {
		s.end()
		return runtime.Status{}, context.Canceled
	}
	st := s.list[0]
	s.list = s.list[1:]
	if st.Runtime == "" {
		return st, runtime.ErrNotRunning
	}
	return st, nil
}

func statusOf(ready bool, pods ...runtime.PodStatus) runtime.Status {
	return runtime.Status{Ready: ready, Runtime: "process", Pods: pods}
}

func watched(t *testing.T, opts statusOptions, list ...runtime.Status) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs strings.Builder
	synctest.Test(t, func(t *testing.T) {
		a := &app{stdio: Stdio{Out: &out, Err: &errs}}
		ctx, cancel := context.WithCancel(t.Context())
		err = a.watch(ctx, &answers{list: list, end: cancel}, opts)
	})
	return out.String(), errs.String(), err
}

// In a pipe, watching writes a line for each pod that has changed, and nothing for what stays as it is.
func TestWatchLines(t *testing.T) {
	t.Parallel()
	etcd := runtime.PodStatus{Name: "etcd", Namespace: "kube-system", State: "Running", Ready: true, PID: 7,
		Containers: []runtime.ContainerStatus{{Name: "etcd", Ready: true}}}
	waiting := runtime.PodStatus{Name: "web", Namespace: "default", State: "Waiting", Message: "waiting for etcd to start",
		Containers: []runtime.ContainerStatus{{Name: "web"}}}
	failed := waiting
	failed.Message, failed.State, failed.LastError, failed.Restarts = "", "BackOff", "exited with 1\nits last words", 1
	out, errs, err := watched(t, statusOptions{format: "table"},
		statusOf(false, etcd, waiting), statusOf(false, etcd, waiting), statusOf(false, etcd, failed), runtime.Status{}, statusOf(true, etcd))
	want := `TIME      POD                       READY  STATE       RESTARTS      PID  MESSAGE
00:00:00  etcd                      1/1    Running            0        7
00:00:00  web                       0/1    Waiting            0        -  waiting for etcd to start
00:00:00  web                       0/1    BackOff            1        -  exited with 1
00:00:01  web                       -      Gone
`
	if out != want {
		t.Errorf("got:\n%s\nwant:\n%s", out, want)
	}
	if !strings.Contains(errs, "no supervisor is running") || exitCode(err) != ExitInterrupted {
		t.Errorf("stderr %q, error %v", errs, err)
	}
}

// As JSON there is one whole object on each line, and the exit code is that of an interrupted program.
func TestWatchJSON(t *testing.T) {
	t.Parallel()
	a, b := runtime.PodStatus{Name: "a", Ready: true}, runtime.PodStatus{Name: "b"}
	out, _, err := watched(t, statusOptions{format: "json", pod: "b"}, statusOf(false, a, b), statusOf(false, b), statusOf(true, a))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 { // the second answer says the same of b
		t.Fatalf("%d lines: %s", len(lines), out)
	}
	for i, want := range []string{"b", ""} {
		var st runtime.Status
		if err := json.Unmarshal([]byte(lines[i]), &st); err != nil {
			t.Fatal(err)
		}
		names := ""
		for _, p := range st.Pods {
			names += p.Name
		}
		if names != want || st.Ready {
			t.Errorf("line %d has the pods %q, ready %v", i, names, st.Ready)
		}
	}
	if exitCode(err) != ExitInterrupted {
		t.Errorf("it ends with %v", err)
	}
}

// What does not fit the terminal is cut: else the next drawing would begin in the wrong line.
func TestFit(t *testing.T) {
	t.Parallel()
	if got, want := fit("äbcdef\nab\nc\nd\n", 4, 3), "äbc…\nab\n...…\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := fit("a\nb\n", 80, 24); got != "a\nb\n" {
		t.Errorf("%q", got)
	}
}

// All that is known of a pod, with its events and how often each happened.
func TestPrintPod(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.Local)
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	code := 3
	p := podDetails{
		PodStatus: runtime.PodStatus{Name: "etcd", Namespace: "kube-system", UID: "u", Source: "/m/etcd.yaml", State: "BackOff", Restarts: 2,
			LastError: "exited with code 3\nboom",
			Containers: []runtime.ContainerStatus{
				{Name: "init", Init: true, Image: "i", State: "Terminated", Reason: "Completed", ExitCode: new(int), FinishedAt: ago(time.Hour)},
				{Name: "etcd", Image: "e", State: "Waiting", Reason: "CrashLoopBackOff", RestartCount: 2, ExitCode: &code, FinishedAt: ago(time.Minute),
					Message: "back-off 20s", LastProbe: "Liveness probe failed: no", LogPath: "/l/1.log"},
				{Name: "side", Image: "s", State: "Running", PID: 9, Started: true, StartedAt: ago(2 * time.Hour)},
			}},
		Events: []runtime.Event{
			{Time: *ago(time.Hour), Offset: 0, Pod: "etcd", Container: "etcd", Type: "Normal", Reason: "Started", Message: "Started"},
			{Time: *ago(time.Minute), Offset: 30 * time.Minute, Count: 7, Pod: "etcd", Container: "side", Type: "Warning", Reason: "BackOff", Message: "a\nb"},
		},
	}
	var b strings.Builder
	if err := printPod(&b, p, *ago(time.Hour), now); err != nil {
		t.Fatal(err)
	}
	want := `Pod:         etcd
Namespace:   kube-system
UID:         u
Source:      /m/etcd.yaml
State:       BackOff, not ready
Restarts:    2
Last error:  exited with code 3
             boom
Init container init:
  Image:     i
  State:     Terminated (Completed), exit code 0, since 2026-11-21 11:00:00 (60m)
  Restarts:  0
Container etcd:
  Image:              e
  State:              Waiting (CrashLoopBackOff), exit code 3, since 2026-11-21 11:59:00 (60s)
  Restarts:           2
  Message:            back-off 20s
  Last failed probe:  Liveness probe failed: no
  Log:                /l/1.log
Container side:
  Image:     s
  State:     Running, PID 9, not ready, since 2026-11-21 10:00:00 (120m)
  Restarts:  0
Events:
  AGE                 TYPE      REASON    OBJECT      MESSAGE
  60m                 Normal    Started   etcd        Started
  60s (x7 over 29m)   Warning   BackOff   etcd/side   a …
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

// What is on disk one by one is shown as the supervisor would: the last of a row, with its count.
func TestFolded(t *testing.T) {
	t.Parallel()
	e := func(reason runtime.Reason, count int) runtime.Event {
		return runtime.Event{Pod: "a", Reason: reason, Count: count}
	}
	got := folded([]runtime.Event{e("A", 0), e("B", 0), e("A", 2), e("A", 3), e("A", 0), e("A", 2), e("B", 0)})
	var text []string
	for _, e := range got {
		text = append(text, string(e.Reason)+strings.Repeat("x", e.Count))
	}
	if s := strings.Join(text, " "); s != "B Axxx Axx B" {
		t.Error(s)
	}
}
