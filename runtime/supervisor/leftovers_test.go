package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/source"
)

// leftover is what a runtime says while a process that a container started does not die.
func leftover() error { return fmt.Errorf("process 42 (sh) does not end: %w", runtime.ErrLeftovers) }

// A container whose own process has ended is never "1/1 Running", whatever it left: the exit is published, what is left is
// told, and it starts again when that is gone.
func TestExitIsPublishedBeforeLeftoversAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stuck atomic.Bool // the runtime's goroutines read it
		stuck.Store(true)
		rt := &fakeRuntime{sweep: func(*fakeContainer) error {
			time.Sleep(5 * time.Second)
			if stuck.Load() {
				return leftover()
			}
			return nil
		}}
		b := newBench(t, rt, nil)
		b.set(newPod("a"))
		b.state("a", "Running", true)
		b.rt.end(t, "a/main", 3)
		for _, wait := range []time.Duration{0, time.Hour} {
			b.sleep(wait)
			b.state("a", runtime.PodCleaningUp, false)
			c := b.pod("a").Containers[0]
			if c.State != "Terminated" || c.Reason != runtime.ReasonCleaningUp || c.ExitCode == nil || *c.ExitCode != 3 || c.PID != 0 ||
				!strings.HasPrefix(c.Message, "ended, cleaning up") {
				t.Errorf("after %s the container is %+v", wait, c)
			}
		}
		if p := b.pod("a"); !strings.Contains(p.Message, "container main: ended, cleaning up: process 42 (sh) does not end") {
			t.Errorf("the pod's message is %q", p.Message)
		}
		if !slices.Contains(b.events("a"), runtime.ReasonExited) || !slices.Contains(b.events("a"), runtime.ReasonFailedKill) {
			t.Errorf("the events are %v", b.events("a"))
		}
		b.did("start a/main 0")
		stuck.Store(false)
		b.sleep(20 * time.Second)
		b.did("start a/main 1")
		b.state("a", "Running", true)
	})
}

// A supervisor that comes while something is left waits for the same.
func TestAdoptedLeftoversGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stuck atomic.Bool // the runtime's goroutines read it
		stuck.Store(true)
		rt := &fakeRuntime{sweep: func(*fakeContainer) error {
			if stuck.Load() {
				return leftover()
			}
			return nil
		}}
		b := newBench(t, rt, nil)
		b.set(newPod("a"))
		b.rt.end(t, "a/main", 1)
		b = b.succeed(nil)
		b.set(newPod("a"))
		b.sleep(time.Minute)
		b.did()
		b.state("a", runtime.PodCleaningUp, false)
		stuck.Store(false)
		b.sleep(20 * time.Second)
		b.did("start a/main 1")
	})
}

// A stop ends though a container does not, stops what waited for that one, and says what has not ended.
func TestStopHasAnEnd(t *testing.T) {
	for name, rt := range map[string]*fakeRuntime{
		"leftovers do not die": {sweep: func(c *fakeContainer) error {
			if c.pod == "b" {
				time.Sleep(5 * time.Second)
				return leftover()
			}
			return nil
		}},
		"the process does not die": {stop: func(c *fakeContainer, grace time.Duration) (time.Duration, error) {
			if c.pod == "b" {
				time.Sleep(grace + 5*time.Second)
				return 0, errors.New("process 7 (b) does not end, its state is D")
			}
			return 0, nil
		}},
		"the sandbox cannot be closed": {close: func(pod *runtime.Pod) error {
			if shortName(pod) == "b" {
				return leftover()
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, rt, nil)
				b.set(newPod("a"), newPod("b", after("a")))
				began := time.Now()
				b.s.requestStop()
				select {
				case <-b.done:
				case <-time.After(10 * time.Minute):
					t.Fatal("the stop does not return")
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("it took %s", took)
				}
				if !slices.Contains(b.rt.did(), "stop a/main 30s") {
					t.Error("a waits for b for ever")
				}
				e := b.s.lastEvent()
				if e.Reason != runtime.ReasonStopIncomplete || !strings.HasPrefix(e.Message, "pod b: ") || strings.Contains(e.Message, "pod a") {
					t.Errorf("it says %s: %s", e.Reason, e.Message)
				}
			})
		})
	}
}

// A runtime that cannot say what runs does not keep a stop from ending.
func TestStopWithoutAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &fakeRuntime{list: func() ([]runtime.Found, error) { return nil, errTest }}, nil)
		b.s.requestStop()
		<-b.done
		if e := b.s.lastEvent(); e.Reason != runtime.ReasonStopIncomplete {
			t.Errorf("it says %s: %s", e.Reason, e.Message)
		}
	})
}

// What the last event of an incomplete stop says reaches the caller as an error with a remedy.
func TestClientOfAnIncompleteStop(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSupervisor(Options{SocketPath: socket})
	if err != nil {
		t.Fatal(err)
	}
	s.unended = []string{"pod b: container main (PID 7)"}
	close(s.stopped)
	stop := s.serve(l)
	defer stop()
	err = NewClient(socket).Stop(t.Context(), nil)
	var unended *UnendedError
	if !errors.As(err, &unended) || unended.Left != s.unended[0] || unended.Hint() == "" {
		t.Errorf("%v", err)
	}
}

// Logs hold neither threads nor places for clients that are gone, though the container has its log locked; and there are
// not more of them than can be.
func TestAbandonedLogRequests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := runLive(t, dir)
	l.rt.logPath = filepath.Join(dir, "0.log")
	if err := os.WriteFile(l.rt.logPath, []byte("text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(l.rt.logPath, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	l.src.ch <- source.Update{Pods: []*runtime.Pod{newPod("a")}}
	l.await(t, func(s runtime.Status) bool { return s.Ready })
	before := threads(t)
	for round := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, mostStreams)
		for range mostStreams {
			out, in := io.Pipe()
			go func() {
				ended <- NewClient(l.opts.SocketPath).Logs(ctx, runtime.LogRequest{Pod: "a", Follow: true, Tail: -1}, in)
			}()
			if _, err := io.ReadFull(out, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
		}
		err := l.client.Logs(t.Context(), runtime.LogRequest{Pod: "a", Tail: -1}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "there can be no more") {
			t.Errorf("round %d: one more than there can be: %v", round, err)
		}
		cancel()
		for range mostStreams {
			<-ended
		}
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) { // a place is free when the server has noticed
			if err = l.client.Logs(t.Context(), runtime.LogRequest{Pod: "a", Tail: -1}, io.Discard); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("round %d: the places are still taken: %v", round, err)
			}
		}
	}
	if now := threads(t); now > before+mostStreams { // of three times as many clients; the test itself starts some
		t.Errorf("%d threads, before %d", now, before)
	}
}

func threads(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A rotation that cannot be done is one event that counts, and stands in the status until it works again. It makes nobody
// unready.
func TestHousekeepingFailureIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &failingHouse{fakeRuntime: &fakeRuntime{}}
		rt.fails.Store(true)
		b := newBench(t, rt.fakeRuntime, func(o *Options) { o.Runtime = rt })
		b.set(newPod("a"))
		b.sleep(time.Hour)
		st := b.s.statusNow()
		if !st.Ready || len(st.Problems) != 1 || !st.Problems[0].Warning || !strings.Contains(st.Problems[0].Message, "cannot look after the logs") {
			t.Errorf("the status is %+v", st)
		}
		told := 0
		for _, e := range b.s.history.all() {
			if e.Reason == runtime.ReasonFailed {
				told++
			}
		}
		if told != 1 {
			t.Errorf("%d events", told)
		}
		rt.fails.Store(false)
		b.sleep(time.Minute)
		if st := b.s.statusNow(); len(st.Problems) != 0 {
			t.Errorf("the status is %+v", st)
		}
	})
}

type failingHouse struct {
	*fakeRuntime
	fails atomic.Bool
}

func (h *failingHouse) Housekeep(context.Context) error {
	if h.fails.Load() {
		return errTest
	}
	return nil
}
