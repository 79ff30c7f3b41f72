package supervisor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/logs"
)

func (s *supervisor) getLogs(w http.ResponseWriter, r *http.Request) {
	q, err := query(r, "pod", "container", "previous", "follow", "tail", "since")
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	opts, err := logOptions(q)
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	p, err := s.find(q.Get("pod"))
	if err != nil {
		fail(w, http.StatusNotFound, "%v", err)
		return
	}
	dir, err := logDir(p.status.Load(), q.Get("container"))
	if err != nil {
		fail(w, http.StatusNotFound, "%v", err)
		return
	}
	leave, ok := s.enter(w)
	if !ok {
		return
	}
	defer leave()
	out := &logWriter{w: w, rc: http.NewResponseController(w), follow: opts.Follow}
	_ = out.rc.SetReadDeadline(time.Time{}) // a followed log has no end
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if opts.Follow {
		out.start()
	}
	if err := logs.Copy(r.Context(), out, dir, opts); err != nil && !out.started {
		code := http.StatusInternalServerError
		if errors.Is(err, fs.ErrNotExist) {
			code = http.StatusNotFound
		}
		fail(w, code, "%v", err)
	}
}

// logWriter sends what it gets at once when it is followed.
type logWriter struct {
	w       io.Writer
	rc      *http.ResponseController
	follow  bool
	started bool
}

func (l *logWriter) start() {
	l.started = true
	_ = l.rc.Flush() // an error shows at the first write
}

func (l *logWriter) Write(b []byte) (int, error) {
	l.started = true
	n, err := l.w.Write(b)
	if err == nil && l.follow {
		err = l.rc.Flush()
	}
	return n, err
}

// logDir is where the logs of a container lie.
func logDir(status *runtime.PodStatus, name string) (string, error) {
	if status == nil {
		return "", errors.New("the pod has not been started")
	}
	for _, c := range status.Containers {
		if c.Name == name || name == "" && !c.Init {
			if c.LogPath == "" {
				return "", fmt.Errorf("container %s has not been started", c.Name)
			}
			return filepath.Dir(c.LogPath), nil
		}
	}
	return "", fmt.Errorf("pod %s has no container %q", status.Name, name)
}

func logOptions(q url.Values) (logs.Options, error) {
	opts := logs.Options{Tail: -1}
	var err error
	if opts.Previous, err = boolean(q, "previous"); err != nil {
		return opts, err
	}
	if opts.Follow, err = boolean(q, "follow"); err != nil {
		return opts, err
	}
	if t := q.Get("tail"); t != "" {
		if opts.Tail, err = strconv.Atoi(t); err != nil {
			return opts, fmt.Errorf("tail must be a number, not %q", t)
		}
	}
	if t := q.Get("since"); t != "" {
		if opts.Since, err = time.Parse(time.RFC3339Nano, t); err != nil {
			return opts, fmt.Errorf("since must be a time like 2006-01-02T15:04:05Z, not %q", t)
		}
	}
	return opts, nil
}

// lastLogLines is the end of a container's log, "" when it cannot be read.
func lastLogLines(path string, lines int) string {
	const most = 4 << 10
	text, err := logs.LastLines(path, lines, most)
	if err != nil {
		return ""
	}
	return strings.TrimRight(text, "\n")
}
