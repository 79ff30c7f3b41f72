package supervisor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// Whatever is asked for, the control socket answers: with a result or an error, in time, and without a crash.
func FuzzControlSocket(f *testing.F) {
	for _, seed := range [][2]string{
		{"GET", "/v1/status"}, {"GET", "/v1/events?follow=false"}, {"GET", "/v1/logs?pod=a&tail=5&since=2026-01-02T03:04:05Z"},
		{"POST", "/v1/restart?pod=a"}, {"GET", "/metrics"}, {"POST", "/v1/stop?x=%00"}, {"GET", "/v1/logs?pod=..%2f..&container=%ff"},
		{"PUT", "//v1//status/../stop"}, {"GET", "/v1/logs?previous=true&follow=1&pod=a-node1_default"},
	} {
		f.Add(seed[0], seed[1])
	}
	s, err := newSupervisor(Options{Runtime: &fakeRuntime{}})
	if err != nil {
		f.Fatal(err)
	}
	p := &pod{shared: s.shared, fullName: "a-node1_default", in: newMailbox[event](), state: podIdle, want: newPod("a")}
	p.status.Store(&runtime.PodStatus{Name: "a", Containers: []runtime.ContainerStatus{{Name: "main", LogPath: f.TempDir() + "/a/0.log"}}})
	s.view.Store(&view{pods: []*pod{p}, known: true})
	s.history.add(p.fullName, runtime.Event{Pod: "a", Type: runtime.Normal, Reason: runtime.ReasonStarted})
	handler := s.handler()
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, (&http.Request{Method: method, URL: u, Body: http.NoBody, Header: http.Header{}}).WithContext(ctx))
		if w.Code >= 500 {
			t.Errorf("%s %q: %d %s", method, target, w.Code, w.Body)
		}
	})
}

// Garbage in a record is an error or a record that can be used, and never a crash.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"hash":"x","pod":{"metadata":{"name":"a","namespace":"b"}},"containers":{"main":{"restarts":-5}}}`))
	f.Add([]byte(`{"version":1,"hash":"x","pod":{"metadata":{"name":"a","namespace":"b"},"spec":{"containers":[{}]}},"containers":null}`))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := parseRecord(data)
		if err != nil {
			return
		}
		pod := rec.pod()
		newOrder(map[string]*runtime.Pod{pod.FullName(): pod})
		newContainers(pod, nil)
		eagerPeriod(pod)
		if !rec.same(rec) {
			t.Error("a record differs from itself")
		}
	})
}
