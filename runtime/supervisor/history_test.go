package supervisor

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// What repeats is counted, what begins and ends something is kept apart, and the history has a limit.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		h := newHistory(slog.New(slog.NewTextHandler(&log, nil)))
		add := func(reason runtime.Reason, message string) {
			time.Sleep(time.Second)
			h.add("a", runtime.Event{Pod: "a", Type: runtime.Warning, Reason: reason, Message: message})
		}
		add(runtime.ReasonReady, "ready")
		for range 10 {
			add(runtime.ReasonUnhealthy, "Liveness probe failed: no")
			add(runtime.ReasonUnhealthy, "Readiness probe failed: no")
		}
		add(runtime.ReasonReady, "ready")
		var got []string
		for _, e := range h.all() {
			got = append(got, fmt.Sprintf("%s %s x%d +%s %s", e.Reason, e.Message, e.Count, e.Offset, e.Time.Sub(h.begin)))
		}
		want := []string{
			"Ready ready x0 +1s 1s",
			"Unhealthy Liveness probe failed: no x10 +2s 20s",
			"Unhealthy Readiness probe failed: no x10 +3s 21s",
			"Ready ready x0 +22s 22s",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("the history is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if n := strings.Count(log.String(), "Liveness"); n != 4 { // 1, 2, 4, 8
			t.Errorf("a repetition of ten is logged %d times", n)
		}
		for i := range 1000 {
			add(runtime.ReasonStarted, fmt.Sprint(i))
		}
		if all := h.all(); len(all) != eventsPerPod || all[0].Message != "900" {
			t.Errorf("%d events are kept, from %s on", len(all), all[0].Message)
		}
		for i := range podsInHistory + 10 {
			h.add(fmt.Sprint(i), runtime.Event{Reason: runtime.ReasonStarted})
		}
		if n := len(h.pods); n != podsInHistory {
			t.Errorf("%d pods are remembered", n)
		}
	})
}

// One who follows and does not read is cut off, and holds nobody up.
func TestHistorySlowFollower(t *testing.T) {
	h := newHistory(slog.New(slog.NewTextHandler(io.Discard, nil)))
	slow, stopSlow := h.follow()
	defer stopSlow()
	for i := range subscriberBuffer + 1 {
		h.add("a", runtime.Event{Message: fmt.Sprint(i)})
	}
	n := 0
	for range slow {
		n++
	}
	if n != subscriberBuffer {
		t.Errorf("%d events came before the end", n)
	}
	quick, stopQuick := h.follow()
	h.add("a", runtime.Event{Message: "last"})
	if e := <-quick; e.Message != "last" {
		t.Errorf("%+v", e)
	}
	stopQuick()
	stopQuick()
	if _, open := <-quick; open {
		t.Error("it goes on after the end")
	}
}
