package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/source"
)

// live runs a whole supervisor, socket and lock included, on a made-up runtime.
type live struct {
	opts   Options
	client *Client
	rt     *fakeRuntime
	src    *fakeSource
	cancel context.CancelFunc
	stop   chan struct{} // Options.Stop
	done   chan error
}

func runLive(t *testing.T, dir string) *live {
	t.Helper()
	l := &live{rt: &fakeRuntime{}, src: &fakeSource{"/m", make(chan source.Update)}, done: make(chan error, 1), stop: make(chan struct{})}
	l.opts = Options{Runtime: l.rt, Stop: l.stop, RuntimeName: "fake", Sources: []source.Source{l.src}, Version: "v0",
		SocketPath: filepath.Join(dir, "run", "supervisor.sock"), LockPath: filepath.Join(dir, "run", "supervisor.lock"), StateDir: filepath.Join(dir, "state"),
		EventsPath: filepath.Join(dir, "state", "events.jsonl")}
	l.client = NewClient(l.opts.SocketPath)
	ready := make(chan struct{})
	l.opts.Ready = func() { close(ready) }
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(t.Context())
	go func() {
		defer close(l.done)
		l.done <- Run(ctx, l.opts)
	}()
	t.Cleanup(func() { // it writes into the test's directory
		l.cancel()
		for range l.done {
		}
	})
	select {
	case <-ready:
	case err := <-l.done:
		t.Fatal(err)
	}
	return l
}

// await asks for the status until it fits.
func (l *live) await(t *testing.T, fits func(runtime.Status) bool) runtime.Status {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		status, err := l.client.Status(t.Context())
		if err == nil && fits(status) {
			return status
		}
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %+v, %v", status, err)
		}
	}
}

// One supervisor's whole life, as its clients see it.
func TestSocket(t *testing.T) {
	t.Parallel()
	l := runLive(t, t.TempDir())
	status, err := l.client.Status(t.Context())
	if err != nil || status.Ready || status.Runtime != "fake" || status.Supervisor.PID != os.Getpid() || status.Supervisor.Version != "v0" {
		t.Errorf("the first status is %+v, %v", status, err)
	}
	for path, mode := range map[string]os.FileMode{l.opts.SocketPath: 0o600, filepath.Dir(l.opts.SocketPath): 0o700, l.opts.LockPath: 0o600, l.opts.StateDir: 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, want %v (%v)", path, info.Mode(), mode, err)
		}
	}
	l.src.ch <- source.Update{Pods: []*runtime.Pod{newPod("a"), newPod("b", after("a"))}}
	status = l.await(t, func(s runtime.Status) bool { return s.Ready && len(s.Pods) == 2 })
	if status.Pods[0].Name != "a" || status.Pods[0].State != "Running" || status.Pods[0].PID == 0 {
		t.Errorf("the status is %+v", status)
	}
	var past []string
	if err := l.client.Events(t.Context(), false, func(e runtime.Event) { past = append(past, e.Pod+" "+string(e.Reason)) }); err != nil {
		t.Error(err)
	}
	if want := []string{" SupervisorStarted", "b Waiting", "a Started", "a Ready", "b Started", "b Ready"}; !sameSet(past, want) {
		t.Errorf("the events are %q, want %q", past, want)
	}

	following, followed := make(chan string, 100), make(chan error)
	go func() {
		followed <- l.client.Events(t.Context(), true, func(e runtime.Event) { following <- e.Pod + " " + string(e.Reason) })
	}()
	if err := l.client.Restart(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	for e := range following {
		if e == "a Killing" {
			break
		}
	}
	l.await(t, func(s runtime.Status) bool { return s.Ready && s.Pods[0].Restarts == 1 })

	var told []string
	if err := l.client.Stop(t.Context(), func(e runtime.Event) { told = append(told, e.Pod+" "+string(e.Reason)) }); err != nil {
		t.Error(err)
	}
	if b, a := slices.Index(told, "b Stopped"), slices.Index(told, "a Killing"); b < 0 || a < b {
		t.Errorf("stopped in the wrong order: %q", told)
	}
	if err := <-followed; err != nil {
		t.Error(err)
	}
	if err := <-l.done; err != nil {
		t.Error(err)
	}
	if n := len(l.rt.running()); n != 0 {
		t.Errorf("%d containers are left", n)
	}
	if _, err := l.client.Status(t.Context()); !errors.Is(err, runtime.ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := os.Lstat(l.opts.SocketPath); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// The end of the context leaves everything running, and the next supervisor takes the socket over even if
// the file of a killed one is still there.
func TestContextEndLeavesPods(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := runLive(t, dir)
	l.src.ch <- source.Update{Pods: []*runtime.Pod{newPod("a")}}
	l.await(t, func(s runtime.Status) bool { return s.Ready })
	l.cancel()
	if err := <-l.done; err != nil {
		t.Error(err)
	}
	if n := len(l.rt.running()); n != 1 {
		t.Errorf("%d containers run", n)
	}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: l.opts.SocketPath, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	if _, err := l.client.Status(t.Context()); !errors.Is(err, runtime.ErrNotRunning) {
		t.Errorf("with a stale socket: %v", err)
	}
	runLive(t, dir)
	if _, err := l.client.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// A second supervisor names the first one, touches neither socket nor lock, and works once that has gone.
func TestSecondSupervisor(t *testing.T) {
	t.Parallel()
	l := runLive(t, t.TempDir())
	second := l.opts
	err := Run(t.Context(), second)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() || !strings.Contains(err.Error(), "PID "+strconv.Itoa(os.Getpid())) || locked.Hint() == "" {
		t.Errorf("the second one says: %v", err)
	}
	if _, err := l.client.Status(t.Context()); err != nil {
		t.Errorf("the first one does not answer any more: %v", err)
	}
}

// Garbage in the lock file, or a directory in its place: an error that tells, or no harm.
func TestLockGarbage(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"":           "another one holds",
		"garbage\n":  "another one holds",
		"-1\n":       "another one holds",
		"123\n":      "another one runs with PID 123",
		"\x00\xff\n": "another one holds",
	} {
		path := filepath.Join(t.TempDir(), "lock")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := takeLock(path)
		if err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != strconv.Itoa(os.Getpid())+"\n" {
			t.Errorf("the lock holds %q, %v", data, err)
		}
		if _, err := f.WriteAt([]byte(content), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(int64(len(content))); err != nil {
			t.Fatal(err)
		}
		if _, err := takeLock(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
		f.Close()
	}
	dir := t.TempDir()
	if _, err := takeLock(dir); err == nil {
		t.Error("a directory can be locked")
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(link); err == nil {
		t.Error("a link is followed")
	}
}

// A root may be deeper than a socket's address is long.
func TestLongSocketPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120), strings.Repeat("e", 120))
	l := runLive(t, dir)
	if _, err := l.client.Status(t.Context()); err != nil {
		t.Error(err)
	}
	l.cancel()
	<-l.done
}

// What is no request gets a 4xx and does no harm.
func TestSocketGarbage(t *testing.T) {
	t.Parallel()
	l := runLive(t, t.TempDir())
	l.src.ch <- source.Update{Pods: []*runtime.Pod{newPod("a")}}
	l.await(t, func(s runtime.Status) bool { return s.Ready })
	for _, request := range []struct {
		method, path, body string
		code               int
	}{
		{"GET", "/", "", 404},
		{"GET", "/v1/nothing", "", 404},
		{"POST", "/v1/status", "", 405},
		{"GET", "/v1/stop", "", 405},
		{"DELETE", "/v1/logs", "", 405},
		{"GET", "/v1/status?x=y", "", 400},
		{"GET", "/v1/status?%zz", "", 400},
		{"GET", "/v1/events?follow=perhaps", "", 400},
		{"GET", "/v1/events?follow=true&follow=false", "", 400},
		{"POST", "/v1/stop?now=true", "", 400},
		{"GET", "/v1/logs", "", 404},
		{"GET", "/v1/logs?pod=nobody", "", 404},
		{"GET", "/v1/logs?pod=../../etc", "", 404},
		{"GET", "/v1/logs?pod=a&container=nobody", "", 404},
		{"GET", "/v1/logs?pod=a&tail=many", "", 400},
		{"GET", "/v1/logs?pod=a&since=yesterday", "", 400},
		{"GET", "/v1/logs?pod=a", "", 404}, // this runtime writes no logs
		{"POST", "/v1/restart", "", 404},
		{"POST", "/v1/restart?pod=nobody", "", 404},
		{"GET", "/v1/logs?pod=" + strings.Repeat("a", 100<<10), "", 431},
	} {
		req, err := http.NewRequestWithContext(t.Context(), request.method, "http://s"+request.path, strings.NewReader(request.body))
		if err != nil {
			req = &http.Request{Method: request.method, URL: req.URL}
		}
		resp, err := l.client.http.Do(req)
		if err != nil {
			t.Errorf("%s %.60s: %v", request.method, request.path, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != request.code {
			t.Errorf("%s %.60s: %s %s, want %d", request.method, request.path, resp.Status, body, request.code)
		}
	}
	for _, raw := range []string{"", "\x00\x01\x02", "GET", "GET / HTTP/9.9\r\n\r\n", "GET /v1/status HTTP/1.1\r\nContent-Length: -1\r\n\r\n", strings.Repeat("A", 1<<20)} {
		conn, err := dial(t.Context(), l.opts.SocketPath)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(conn, strings.NewReader(raw)) // the server may hang up at any byte
		conn.Close()
	}
	if status, err := l.client.Status(t.Context()); err != nil || !status.Ready {
		t.Errorf("afterwards: ready %t, %v", status.Ready, err)
	}
	for path, want := range map[string]string{"/v1/logs?pod=nobody": `there is no static pod "nobody"`} {
		if _, err := l.client.do(t.Context(), "GET", strings.Split(path, "?")[0], map[string][]string{"pod": {"nobody"}}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// Logs come from the container's directory: the last one, the one before, followed.
func TestSocketLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := runLive(t, dir)
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(n int, text string) {
		if err := os.WriteFile(filepath.Join(logs, fmt.Sprintf("%d.log", n)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(0, "zero\n")
	write(1, "one\ntwo\nthree\n")
	l.rt.logPath = filepath.Join(logs, "1.log")
	l.src.ch <- source.Update{Pods: []*runtime.Pod{newPod("a")}}
	l.await(t, func(s runtime.Status) bool { return s.Ready })
	for want, req := range map[string]runtime.LogRequest{
		"one\ntwo\nthree\n": {Pod: "a", Tail: -1},
		"three\n":           {Pod: "a-node1", Container: "main", Tail: 1},
		"zero\n":            {Pod: "a-node1_default", Previous: true, Tail: -1},
	} {
		var got bytes.Buffer
		if err := l.client.Logs(t.Context(), req, &got); err != nil || got.String() != want {
			t.Errorf("%+v: %q, %v; want %q", req, got.String(), err, want)
		}
	}
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.client.Logs(ctx, runtime.LogRequest{Pod: "a", Follow: true, Tail: 1}, w) }()
	expect := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
			t.Errorf("followed %q, %v; want %q", got, err, want)
		}
	}
	expect("three\n")
	f, err := os.OpenFile(filepath.Join(logs, "1.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("four\n"); err != nil {
		t.Fatal(err)
	}
	expect("four\n")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the end of a followed log: %v", err)
	}
}

// A stop goes on when the one who asked for it has hung up.
func TestStopOutlivesItsClient(t *testing.T) {
	t.Parallel()
	l := runLive(t, t.TempDir())
	l.rt.stop = func(*fakeContainer, time.Duration) (time.Duration, error) { return 300 * time.Millisecond, nil }
	l.src.ch <- source.Update{Pods: []*runtime.Pod{newPod("a")}}
	l.await(t, func(s runtime.Status) bool { return s.Ready })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.client.Stop(ctx, nil); err == nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the client says: %v", err)
	}
	if err := <-l.done; err != nil {
		t.Error(err)
	}
	if n := len(l.rt.running()); n != 0 {
		t.Errorf("%d containers are left", n)
	}
}

// A stop with more events than its client can follow is followed to its end all the same.
func TestStopOfMany(t *testing.T) {
	t.Parallel()
	l := runLive(t, t.TempDir())
	pods := make([]*runtime.Pod, subscriberBuffer)
	for i := range pods {
		pods[i] = newPod(fmt.Sprintf("p%d", i))
	}
	l.src.ch <- source.Update{Pods: pods}
	l.await(t, func(s runtime.Status) bool { return s.Ready && len(s.Pods) == len(pods) })
	told := 0
	err := l.client.Stop(t.Context(), func(runtime.Event) {
		for told == 0 && len(l.rt.running()) > 0 {
			time.Sleep(time.Millisecond) // a client that has other things to do
		}
		told++
	})
	if err != nil || told == 0 {
		t.Errorf("%d events, and then: %v", told, err)
	}
}

// With nothing there, or something else in the socket's place, the error tells.
func TestClientWithoutSupervisor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "no", "such", "dir", "s")} {
		_, err := NewClient(path).Status(t.Context())
		if !errors.Is(err, runtime.ErrNotRunning) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
		if err := NewClient(path).Stop(t.Context(), nil); !errors.Is(err, runtime.ErrNotRunning) {
			t.Errorf("%s: %v", path, err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(file); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a file in its place: %v", err)
	}
}

// A supervisor that hangs is named, instead of hanging with it.
func TestClientOfSilentSupervisor(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := NewClient(path)
	c.timeout = 20 * time.Millisecond
	_, err = c.Status(t.Context())
	var silent *SilentError
	if !errors.As(err, &silent) || silent.PID != os.Getpid() || !strings.Contains(silent.Hint(), "kill -CONT") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ctx); errors.As(err, &silent) || !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has lost interest gets %v", err)
	}
}
