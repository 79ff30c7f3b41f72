package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/runtime"
)

// Client talks to a supervisor through its control socket.
type Client struct {
	path    string
	timeout time.Duration // for an answer that needs no work
	http    *http.Client
}

// SilentError is a supervisor that is there and does not answer.
type SilentError struct {
	Path   string // of its socket
	PID    int    // 0 if that is not known
	Waited time.Duration
}

func (e *SilentError) Error() string {
	who := "the supervisor"
	if e.PID > 0 {
		who = fmt.Sprintf("the supervisor (PID %d)", e.PID)
	}
	return fmt.Sprintf("%s has not answered on %s for %s", who, e.Path, e.Waited)
}

// Hint is the remedy.
func (e *SilentError) Hint() string {
	if e.PID == 0 {
		return "its process may be stopped, or the machine overloaded"
	}
	return fmt.Sprintf("if it was stopped, 'kill -CONT %d' lets it go on; after 'kill -9 %d' its pods run on, and the next one adopts them",
		e.PID, e.PID)
}

// NewClient makes a client; it connects when it is used.
func NewClient(socketPath string) *Client {
	const timeout = 15 * time.Second // an answer takes milliseconds
	return &Client{path: socketPath, timeout: timeout, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, socketPath) },
	}}}
}

// Status asks for the state of all pods. Like all methods it returns an error that wraps
// runtime.ErrNotRunning when nobody answers.
func (c *Client) Status(ctx context.Context) (runtime.Status, error) {
	var status runtime.Status
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body, err := c.do(limited, http.MethodGet, pathStatus, nil)
	if err != nil {
		return status, fmt.Errorf("cannot get the status: %w", c.silent(ctx, limited, err))
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&status); err != nil {
		return status, fmt.Errorf("cannot read the status: %w", c.silent(ctx, limited, c.lost(err)))
	}
	return status, nil
}

// silent makes a *SilentError of an error that only says that the timeout is over.
func (c *Client) silent(ctx, limited context.Context, err error) error {
	if ctx.Err() != nil || limited.Err() == nil {
		return err
	}
	e := &SilentError{Path: c.path, Waited: c.timeout}
	conn, err := dial(ctx, c.path) // the kernel says who listens, also when it does nothing else
	if err != nil {
		return e
	}
	defer conn.Close()
	if raw, err := conn.(*net.UnixConn).SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
				e.PID = int(peer.Pid)
			}
		})
	}
	return e
}

// Events calls tell for each event in the history, and with follow for each that comes, until ctx or the supervisor ends.
func (c *Client) Events(ctx context.Context, follow bool, tell func(runtime.Event)) error {
	body, err := c.do(ctx, http.MethodGet, pathEvents, url.Values{"follow": {strconv.FormatBool(follow)}})
	if err != nil {
		return fmt.Errorf("cannot get the events: %w", err)
	}
	defer body.Close()
	if err := eachEvent(body, tell); err != nil && ctx.Err() == nil {
		return fmt.Errorf("cannot read the events: %w", c.lost(err))
	}
	return nil
}

// Logs writes a container's log to w. With Follow it ends with ctx.
func (c *Client) Logs(ctx context.Context, req runtime.LogRequest, w io.Writer) error {
	q := url.Values{"pod": {req.Pod}, "previous": {strconv.FormatBool(req.Previous)}, "follow": {strconv.FormatBool(req.Follow)}}
	if req.Container != "" {
		q.Set("container", req.Container)
	}
	if req.Tail >= 0 {
		q.Set("tail", strconv.Itoa(req.Tail))
	}
	if !req.Since.IsZero() {
		q.Set("since", req.Since.Format(time.RFC3339Nano))
	}
	body, err := c.do(ctx, http.MethodGet, pathLogs, q)
	if err != nil {
		return fmt.Errorf("cannot get the log of %s: %w", req.Pod, err)
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	if errors.Is(err, io.ErrUnexpectedEOF) { // not ErrNotRunning: a part of the log was written
		err = errors.New("the supervisor has ended")
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("cannot read the log of %s: %w", req.Pod, err)
	}
	return nil
}

// Stop stops all pods in order, and then the supervisor, and tells of each event meanwhile. When it
// returns nil all of them are gone, and the supervisor writes nothing any more; its process ends in a moment. If some
// do not end in time, the supervisor ends without them, and the error is an *UnendedError.
func (c *Client) Stop(ctx context.Context, tell func(runtime.Event)) error {
	body, err := c.do(ctx, http.MethodPost, pathStop, nil)
	if err != nil {
		return fmt.Errorf("cannot stop the supervisor: %w", err)
	}
	defer body.Close()
	complete := false
	var unended *UnendedError
	err = eachEvent(body, func(e runtime.Event) {
		switch {
		case e.Pod == "" && e.Message == allStopped:
			complete = true
			return
		case e.Pod == "" && e.Reason == runtime.ReasonStopIncomplete:
			unended = &UnendedError{Left: e.Message}
			return
		}
		if tell != nil {
			tell(e)
		}
	})
	switch {
	case complete:
		c.awaitEnd(ctx)
		return nil
	case unended != nil:
		c.awaitEnd(ctx)
		return fmt.Errorf("cannot stop everything: %w", unended)
	case ctx.Err() != nil:
		return fmt.Errorf("cannot wait for the supervisor's end: %w", ctx.Err())
	case err != nil:
		return fmt.Errorf("cannot follow the supervisor's end: %w", err)
	default:
		return errors.New("cannot follow the supervisor's end: it broke off before all pods were stopped")
	}
}

// awaitEnd gives the supervisor the moment that it needs to take its socket away and let go of its lock.
func (c *Client) awaitEnd(ctx context.Context) {
	end := time.Now().Add(2 * time.Second)
	for time.Now().Before(end) {
		conn, err := dial(ctx, c.path)
		if err != nil {
			return
		}
		conn.Close()
		if !sleepUntil(ctx, time.Now().Add(5*time.Millisecond)) {
			return
		}
	}
}

// Restart restarts the containers of a pod, in the order of a start.
func (c *Client) Restart(ctx context.Context, pod string) error {
	body, err := c.do(ctx, http.MethodPost, pathRestart, url.Values{"pod": {pod}})
	if err != nil {
		return fmt.Errorf("cannot restart %s: %w", pod, err)
	}
	return body.Close()
}

func eachEvent(r io.Reader, tell func(runtime.Event)) error {
	dec := json.NewDecoder(r)
	for {
		var e runtime.Event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		tell(e)
	}
}

// lost says what an error of the connection means. Its own text names the socket by a path of this process (socket.go).
func (c *Client) lost(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%w (nobody listens on %s)", runtime.ErrNotRunning, c.path)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE):
		return fmt.Errorf("%w (it ended before it had answered on %s)", runtime.ErrNotRunning, c.path)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Errorf("%s: %w", c.path, op.Err)
	}
	return err
}

// do returns the body of a successful answer.
func (c *Client) do(ctx context.Context, method, path string, q url.Values) (io.ReadCloser, error) {
	u := url.URL{Scheme: "http", Host: "supervisor", Path: path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(err)
	}
	if resp.StatusCode < 300 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var answer struct {
		Error string `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer); err != nil || answer.Error == "" {
		return nil, fmt.Errorf("the supervisor answers %s", resp.Status)
	}
	return nil, errors.New(answer.Error)
}
