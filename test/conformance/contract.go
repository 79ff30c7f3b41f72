package conformance

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/source"
)

// open decodes a pod as a source does, and opens it, without a supervisor. The end of the test closes it.
func (f *fixture) open(pod *corev1.Pod) (runtime.Sandbox, *runtime.Pod) {
	f.Helper()
	f.put(pod)
	data, err := os.ReadFile(f.path(pod.Name))
	f.must(err)
	decoded, err := source.Decoder{NodeName: "node1", Source: source.FromFile}.Pod(data, f.path(pod.Name))
	f.must(err)
	rt := f.target.Open(f.T, f.root)
	sandbox, err := rt.OpenPod(f.Context(), decoded)
	f.must(err)
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		found, err := rt.List(ctx)
		f.must(err)
		for _, c := range found {
			f.must(c.Stop(ctx, 0))
		}
		f.must(sandbox.Close(ctx))
	})
	return sandbox, decoded
}

func (f *fixture) start(sandbox runtime.Sandbox, pod *runtime.Pod, restarts int) runtime.Container {
	f.Helper()
	c, err := sandbox.Start(f.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0], RestartCount: restarts})
	f.must(err)
	return c
}

// wait waits for the end of a container and of all that it left, which is near.
func (f *fixture) wait(c runtime.Container) runtime.Exit {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	exit, err := c.Wait(ctx)
	f.must(err)
	f.must(c.Stop(ctx, 0))
	return exit
}

// Info says what was started.
func contractInfo(f *fixture) {
	sandbox, pod := f.open(f.pod("a", "echo hello; "+polite("main")))
	before := time.Now().Add(-time.Second)
	info := f.start(sandbox, pod, 0).Info()
	f.saidBy("main begin")
	if info.PodUID != string(pod.UID) || info.PodFullName != "a-node1_default" || info.Name != "main" || info.SpecHash != pod.Hash ||
		info.RestartCount != 0 || info.ID == "" || info.PID <= 1 || info.StartedAt.Before(before) || info.StartedAt.After(time.Now()) {
		f.Errorf("%+v", info)
	}
	if log, err := os.ReadFile(info.LogPath); err != nil || !strings.HasSuffix(string(log), "hello\n") {
		f.Errorf("log %q, %v", log, err)
	}
}

// saidBy is said without a supervisor.
func (f *fixture) saidBy(words string) {
	f.Helper()
	for end := time.Now().Add(patience); len(f.times(words)) == 0; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			f.Fatalf("never said: %q", words)
		}
	}
}

// A container's end is told with its exit code or the signal, its last words if they are asked for, and the log of each
// start is its own.
func contractExit(f *fixture) {
	sandbox, pod := f.open(f.pod("a", "[ -e once ] && kill -9 $$$$; touch once; echo last words >&2; exit 3", func(p *corev1.Pod) {
		p.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	}))
	began := time.Now()
	first := f.start(sandbox, pod, 0)
	exit := f.wait(first)
	if exit.Code != 3 || exit.Signal != "" || exit.OOMKilled || exit.FinishedAt.Before(began.Add(-time.Second)) || !strings.Contains(exit.Message, "last words") {
		f.Errorf("%+v", exit)
	}
	second := f.start(sandbox, pod, 1)
	if exit := f.wait(second); exit.Code != 137 || exit.Signal != "SIGKILL" {
		f.Errorf("%+v", exit)
	}
	a, b := first.Info(), second.Info()
	if a.ID == b.ID || a.LogPath == b.LogPath || b.RestartCount != 1 {
		f.Errorf("%+v, then %+v", a, b)
	}
}

// Wait may be called by several, and again; the end of its context ends it alone.
func contractWait(f *fixture) {
	sandbox, pod := f.open(f.pod("a", "await go; exit 4"))
	c := f.start(sandbox, pod, 0)
	ctx, cancel := context.WithTimeout(f.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("a wait that was given up: %v", err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if exit := f.wait(c); exit.Code != 4 {
				f.Errorf("%+v", exit)
			}
		})
	}
	f.touch("go")
	all.Wait()
	if exit := f.wait(c); exit.Code != 4 {
		f.Errorf("%+v", exit)
	}
}

// Stop asks first and kills then, with all that the container started, and is safe afterwards.
func contractStop(f *fixture) {
	sandbox, pod := f.open(f.pod("a", "(trap '' TERM; say child; while :; do sleep 0.05; echo >>alive; done) & "+stubborn("main")))
	c := f.start(sandbox, pod, 0)
	f.saidBy("main begin")
	f.saidBy("child")
	began := time.Now()
	f.must(c.Stop(f.Context(), time.Second))
	if took := time.Since(began); took < time.Second {
		f.Errorf("killed after %s", took)
	}
	f.saidBy("main asked")
	if exit := f.wait(c); exit.Signal != "SIGKILL" {
		f.Errorf("%+v", exit)
	}
	size := func() int64 {
		info, err := os.Stat(f.shared + "/alive")
		f.must(err)
		return info.Size()
	}
	was := size()
	<-time.After(300 * time.Millisecond)
	if is := size(); is != was {
		f.Error("a child of the container still runs")
	}
	f.must(c.Stop(f.Context(), time.Hour)) // it has ended: nothing to wait for
}

// Exec runs a command in the container, and a non-zero exit code is no error.
func contractExec(f *fixture) {
	sandbox, pod := f.open(f.pod("a", polite("main"), func(p *corev1.Pod) {
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "GREETING", Value: "hello"}}
	}))
	execer, ok := f.start(sandbox, pod, 0).(runtime.Execer)
	if !ok {
		f.Fatal("no commands can be run in a container")
	}
	out, code, err := execer.Exec(f.Context(), []string{"sh", "-c", "echo $GREETING; echo and more >&2; exit 7"})
	if string(out) != "hello\nand more\n" || code != 7 || err != nil {
		f.Errorf("%q, %d, %v", out, code, err)
	}
	out, code, err = execer.Exec(f.Context(), []string{"sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo 0123456789; i=$((i+1)); done"})
	if len(out) != 10<<10 || code != 0 || err != nil {
		f.Errorf("%d bytes, %d, %v", len(out), code, err)
	}
	ctx, cancel := context.WithTimeout(f.Context(), 200*time.Millisecond)
	defer cancel()
	if _, _, err := execer.Exec(ctx, []string{"sleep", "1000"}); !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("a command that takes too long: %v", err)
	}
}

// Another Runtime of the same root finds what runs and what has ended, can wait for it and stop it, and forgets it
// when the pod is closed. Opening a pod again changes nothing.
func contractList(f *fixture) {
	sandbox, pod := f.open(f.pod("a", polite("main")))
	c := f.start(sandbox, pod, 2)
	f.saidBy("main begin")
	next := f.target.Open(f.T, f.root)
	only := func(rt runtime.Runtime) runtime.Found {
		f.Helper()
		found, err := rt.List(f.Context())
		f.must(err)
		if len(found) != 1 {
			f.Fatalf("found %d containers", len(found))
		}
		return found[0]
	}
	found := only(next)
	a, b := c.Info(), found.Info()
	if !a.StartedAt.Round(time.Second).Equal(b.StartedAt.Round(time.Second)) && a.StartedAt.Sub(b.StartedAt).Abs() > time.Second {
		f.Errorf("started at %s, then at %s", a.StartedAt, b.StartedAt)
	}
	a.StartedAt = b.StartedAt
	if found.Exited || a != b {
		f.Errorf("it is %+v, found %+v", a, b)
	}
	again, err := next.OpenPod(f.Context(), pod)
	f.must(err)
	if now := only(next); now.Info().ID != a.ID || now.Exited {
		f.Errorf("opened again it is %+v", now.Info())
	}
	if err := again.Close(f.Context()); err == nil {
		f.Error("a pod was closed in which a container runs")
	}
	f.must(found.Stop(f.Context(), patience))
	f.wait(c)
	ended := only(f.target.Open(f.T, f.root))
	if !ended.Exited || ended.Info().RestartCount != 2 {
		f.Errorf("exited %t, %+v", ended.Exited, ended.Info())
	}
	f.wait(ended)
	f.must(ended.Stop(f.Context(), patience))
	f.must(ended.Pod.Close(f.Context()))
	if found, err := f.target.Open(f.T, f.root).List(f.Context()); err != nil || len(found) != 0 {
		f.Errorf("found %d, %v", len(found), err)
	}
	if _, err := os.Stat(a.LogPath); err != nil {
		f.Errorf("its log: %v", err)
	}
	f.must(again.Close(f.Context()))
}
