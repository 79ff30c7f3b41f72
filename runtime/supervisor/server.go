package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The control API, on the unix socket. Errors are {"error":"..."} with a 4xx or 5xx code.
//
//	GET  /v1/status                    runtime.Status
//	GET  /v1/events?follow=true        runtime.Event, one JSON object per line, oldest first
//	GET  /v1/logs?pod=P&container=C&previous=true&follow=true&tail=N&since=RFC3339   the log
//	POST /v1/stop                      stops all pods in order, then the supervisor; the events meanwhile
//	POST /v1/restart?pod=P             restarts the pod's containers
//	GET  /metrics                      Prometheus metrics
const (
	pathStatus  = "/v1/status"
	pathEvents  = "/v1/events"
	pathLogs    = "/v1/logs"
	pathStop    = "/v1/stop"
	pathRestart = "/v1/restart"
	pathMetrics = "/metrics"
)

// handler is the control API.
func (s *supervisor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathStatus, s.getStatus)
	mux.HandleFunc("GET "+pathEvents, s.getEvents)
	mux.HandleFunc("GET "+pathLogs, s.getLogs)
	mux.HandleFunc("POST "+pathStop, s.postStop)
	mux.HandleFunc("POST "+pathRestart, s.postRestart)
	mux.HandleFunc("GET "+pathMetrics, s.getMetrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, mostBytes)
		mux.ServeHTTP(w, r)
	})
}

// mostBytes is all that a request may have, in its head and in its body.
const mostBytes = 8 << 10

// serve answers on the listener until the returned function is called, which waits for what is being answered.
func (s *supervisor) serve(l net.Listener) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background()) // of streams: they end with the server
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: mostBytes,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the control socket is closed", "error", err)
		}
	}()
	return func() {
		// A stop request has its last lines to write; others are cut off.
		timeout, done := context.WithTimeout(context.Background(), time.Second)
		defer done()
		time.AfterFunc(100*time.Millisecond, cancel)
		if err := server.Shutdown(timeout); err != nil {
			_ = server.Close() // what does not end in time is cut off
		}
		cancel()
		_ = os.Remove(s.opts.SocketPath) // a socket that stays is replaced by the next supervisor
	}
}

func fail(w http.ResponseWriter, code int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": fmt.Sprintf(format, args...)}) // the client may be gone
}

func (s *supervisor) getStatus(w http.ResponseWriter, r *http.Request) {
	if _, err := query(r); err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.statusNow()) // the client may be gone
}

func (s *supervisor) getEvents(w http.ResponseWriter, r *http.Request) {
	q, err := query(r, "follow")
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	follow, err := boolean(q, "follow")
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	if follow {
		leave, ok := s.enter(w)
		if !ok {
			return
		}
		defer leave()
	}
	live, end := s.history.follow() // before the past is read, so that nothing is missed between
	defer end()
	past := s.history.all()
	out := newStream(w)
	for _, e := range past {
		if !out.send(e) {
			return
		}
	}
	if !follow {
		return
	}
	out.flush()
	var last time.Duration
	if len(past) > 0 {
		last = past[len(past)-1].Offset
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case <-s.stopped:
			return
		case e, ok := <-live:
			if !ok || e.Offset > last && !out.send(e) {
				return
			}
			out.flush()
		}
	}
}

// mostStreams bounds the logs and followed events that are being sent: each holds a goroutine and some files, for as
// long as its client likes.
const mostStreams = 64

// enter takes a place among the streams, or answers that there is none. Call leave when the stream has ended.
func (s *supervisor) enter(w http.ResponseWriter) (leave func(), ok bool) {
	select {
	case s.streams <- struct{}{}:
		return func() { <-s.streams }, true
	default:
		fail(w, http.StatusServiceUnavailable, "%d logs and events are being followed already, and there can be no more: end one of them",
			mostStreams)
		return nil, false
	}
}

// stream writes JSON lines.
type stream struct {
	enc *json.Encoder
	rc  *http.ResponseController
}

func newStream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "application/jsonlines")
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // it may last; a connection without deadlines is one already
	return &stream{json.NewEncoder(w), rc}
}

func (s *stream) send(v any) bool { return s.enc.Encode(v) == nil }
func (s *stream) flush()          { _ = s.rc.Flush() } // an error shows at the next send

func (s *supervisor) postStop(w http.ResponseWriter, r *http.Request) {
	if _, err := query(r); err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	live, end := s.history.follow()
	defer end()
	out := newStream(w)
	s.requestStop()
	out.flush()
	for {
		select {
		case e, ok := <-live:
			if !ok {
				live = nil // more at once than a reader can follow; the end is what counts
				continue
			}
			if !out.send(e) {
				return // the stop goes on
			}
			out.flush()
		case <-s.stopped:
			for len(live) > 0 {
				out.send(<-live)
			}
			out.send(s.lastEvent())
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (s *supervisor) postRestart(w http.ResponseWriter, r *http.Request) {
	q, err := query(r, "pod")
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	p, err := s.find(q.Get("pod"))
	if err != nil {
		fail(w, http.StatusNotFound, "%v", err)
		return
	}
	p.in.put(evRestart{})
	w.WriteHeader(http.StatusAccepted)
}

// find looks a pod up by its name, with or without the node's suffix, or by its full name.
func (s *supervisor) find(name string) (*pod, error) {
	var found []*pod
	for _, p := range s.view.Load().pods {
		status := p.status.Load()
		withSuffix, _ := splitFullName(p.fullName)
		if p.fullName == name || withSuffix == name || status != nil && status.Name == name {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("there is no static pod %q", name)
	case 1:
		return found[0], nil
	default:
		return nil, fmt.Errorf("there are several static pods %q: use one of their full names, like %s", name, found[0].fullName)
	}
}

// query parses the query and allows each of these names once and no others.
func query(r *http.Request, allowed ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("cannot parse the query: %w", err)
	}
	for name, values := range q {
		if !slices.Contains(allowed, name) || len(values) != 1 {
			return nil, fmt.Errorf("%q is no parameter of this, or given twice; it takes [%s]", name, strings.Join(allowed, " "))
		}
	}
	return q, nil
}

func boolean(q url.Values, name string) (bool, error) {
	value := q.Get(name)
	if value == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%s must be true or false, not %q", name, value)
	}
	return b, nil
}

func pid() int { return os.Getpid() }
