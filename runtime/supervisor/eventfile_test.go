package supervisor

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/source"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// What one supervisor told, the next one knows, each under its own session; every early probe is on disk.
func TestEventsOutliveSupervisor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := runLive(t, dir)
	first.src.ch <- source.Update{Pods: []*runtime.Pod{newPod("a")}}
	first.await(t, func(s runtime.Status) bool { return s.Ready && len(s.Pods) == 1 })
	first.cancel()
	if err := <-first.done; err != nil {
		t.Fatal(err)
	}
	second := runLive(t, dir)
	var told []string
	var offsets []bool // negative?
	if err := second.client.Events(t.Context(), false, func(e runtime.Event) {
		told, offsets = append(told, e.Pod+" "+string(e.Reason)), append(offsets, e.Offset < 0)
	}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(told, offsets); got != "[ SupervisorStarted a Started a Ready  SupervisorStarted] [true true true false]" {
		t.Errorf("the next supervisor tells %s", got)
	}
	second.cancel()
	if err := <-second.done; err != nil {
		t.Fatal(err)
	}
	events, bad, err := ReadEvents(second.opts.EventsPath)
	if err != nil || bad != 0 || len(events) != 4 {
		t.Fatalf("on disk are %+v, %d bad lines, %v", events, bad, err)
	}
	if s := events[3].Session; s == nil || s.PID != os.Getpid() || s.Boot == "" || s.Uptime <= events[0].Session.Uptime || events[3].Offset < 0 {
		t.Errorf("the second session is %+v", s)
	}
	if info, err := os.Stat(second.opts.EventsPath); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// A full file is put aside, and the next one says again whose events they are.
func TestEventFileTurns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	f := newEventFile(path, quiet())
	f.limit = 2000
	f.put(runtime.Event{Reason: runtime.ReasonSupervisorStarted, Session: &runtime.Session{PID: 1, Boot: "b"}})
	for i := range 40 {
		f.put(runtime.Event{Reason: runtime.ReasonStarted, Message: fmt.Sprint(i)})
		f.flush()
	}
	f.close()
	for _, p := range []string{path, path + oldSuffix} {
		if info, err := os.Stat(p); err != nil || info.Size() > f.limit || info.Size() == 0 {
			t.Errorf("%s: %v, %v", p, info, err)
		}
		if events, _, err := readEvents(p, 1<<20); err != nil || events[0].Session == nil {
			t.Errorf("%s begins with %+v, %v", p, events[0], err)
		}
	}
	events, bad, err := ReadEvents(path)
	if last := events[len(events)-1]; err != nil || bad > 0 || last.Message != "39" {
		t.Errorf("the last event is %+v, %d bad lines, %v", last, bad, err)
	}
}

// What was torn or spoilt is left out, the rest is kept, and writing goes on behind it.
func TestEventFileDamaged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(path, []byte(`{"reason":"A"}`+"\nnonsense\n\x00\x00\n{}\n"+`{"reason":"torn"`), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newEventFile(path, quiet())
	f.put(runtime.Event{Reason: "B"})
	f.close()
	events, bad, err := ReadEvents(path)
	if err != nil || bad != 4 || len(events) != 2 || events[0].Reason != "A" || events[1].Reason != "B" {
		t.Errorf("%+v, %d bad lines, %v", events, bad, err)
	}
	h := newHistory(quiet())
	h.load(path)
	if all := h.all(); len(all) != 2 {
		t.Errorf("remembered are %+v", all)
	}
}

// Without a place to write, the supervisor says so once and goes on.
func TestEventFileNowhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "events.jsonl")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	f := newEventFile(path, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		f.put(runtime.Event{Reason: "A"})
		f.flush()
	}
	f.close()
	if n := strings.Count(log.String(), "cannot keep events on disk"); n != 1 {
		t.Errorf("it was said %d times: %s", n, log.String())
	}
	if _, _, err := ReadEvents(path); err == nil {
		t.Error("a directory was read")
	}
}

// Of what happens in a row each one is on disk, until there are too many.
func TestEventFileRepetitions(t *testing.T) {
	t.Parallel()
	h := newHistory(quiet())
	h.file = newEventFile(filepath.Join(t.TempDir(), "events.jsonl"), quiet())
	for range 2000 {
		h.add("a", runtime.Event{Pod: "a", Reason: runtime.ReasonEarlyProbe, Message: "no"})
	}
	h.file.close()
	events, _, err := ReadEvents(h.file.path)
	if err != nil || len(events) != eachKept+2 || events[len(events)-1].Count != 1024 || events[1].Count != 2 {
		t.Errorf("%d events, the last %+v, %v", len(events), events[len(events)-1], err)
	}
}

// After a write that failed, as on a full disk, the next one goes on behind a line's end: only what was torn is lost.
func TestEventFileDiskFull(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	f := newEventFile(path, quiet())
	for i, reason := range []runtime.Reason{"One", "Two", "Three"} {
		if i == 1 { // half of a line goes in, and then nothing more
			if _, err := f.file.WriteString(`{"reason":"To`); err != nil {
				t.Fatal(err)
			}
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Skip(err)
			}
			_ = f.file.Close()
			f.file = full
		}
		f.put(runtime.Event{Reason: reason})
		f.flush()
		if f.failed != (i == 1) {
			t.Errorf("%s: failed is %t", reason, f.failed)
		}
	}
	f.close()
	events, bad, err := ReadEvents(path)
	if err != nil || bad != 1 || len(events) != 2 || events[1].Reason != "Three" {
		t.Errorf("on disk are %+v, %d bad lines, %v", events, bad, err)
	}
}
