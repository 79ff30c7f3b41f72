package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/runtime"
)

// hostile is what a container, a probe's answer or a file's name may hold: each of these a terminal obeys.
const hostile = "\x1b]0;owned\x07\x1b[2J\u009b2J\x7f\r"

// Status and events show what is of others, and no terminal obeys it.
func TestStatusIsPrintable(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := runtime.PodStatus{Name: "a" + hostile, Namespace: "n" + hostile, State: "Running", Message: hostile, LastError: hostile,
		Source: "/m/" + hostile, Containers: []runtime.ContainerStatus{{Name: "c" + hostile, Image: hostile, Message: hostile, LastProbe: hostile}}}
	e := runtime.Event{Time: now, Pod: "a", Container: "c" + hostile, Type: "Warning", Reason: "Unhealthy", Message: "probe: " + hostile}
	st := runtime.Status{Pods: []runtime.PodStatus{p}, Problems: []runtime.Problem{{Source: "/m/" + hostile, Message: hostile}}}
	for name, show := range map[string]func(w io.Writer) error{
		"table": func(w io.Writer) error {
			return printStatus(w, examined{Status: st, diagnoses: [][]containerDiagnosis{nil}}, "table", now)
		},
		"pod": func(w io.Writer) error {
			return printPod(w, podDetails{PodStatus: p, Events: []runtime.Event{e}}, now, now)
		},
		"events": func(w io.Writer) error { return printEvents(w, "", []runtime.Event{e}, nil, now) },
		"json":   func(w io.Writer) error { return writeJSON(w, st) },
		"yaml":   func(w io.Writer) error { return writeYAML(w, st) },
	} {
		var b bytes.Buffer
		if err := show(&b); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\x1b\a\u009b\x7f\r") || !strings.Contains(b.String(), "owned") {
			t.Errorf("%s: %q", name, b.String())
		}
	}
}

// What is escaped in JSON is the same text for those who decode it.
func TestJSONKeepsItsText(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := writeJSON(&b, hostile+"größe"); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got != hostile+"größe" {
		t.Errorf("%q, %v", got, err)
	}
}

// A log goes to a pipe byte by byte, and to a terminal escaped, whatever TERM says.
func TestLogOutput(t *testing.T) {
	t.Parallel()
	master, slave := openTerminal(t)
	for _, to := range []io.Writer{slave, &bytes.Buffer{}} {
		a := &app{stdio: Stdio{Out: to, Env: []string{"TERM=dumb"}}}
		out, flush := a.logOutput()
		fmt.Fprint(out, "log "+hostile+"\xff\n")
		flush()
		got, want := "", "log "+hostile+"\xff\n"
		if b, ok := to.(*bytes.Buffer); ok {
			got = b.String()
		} else {
			buf := make([]byte, 1000)
			n, err := master.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got, want = string(buf[:n]), `log \x1b]0;owned\x07\x1b[2J\u009b2J\x7f\x0d\xff`+"\r\n" // the terminal's own \r
		}
		if got != want {
			t.Errorf("%T: %q, want %q", to, got, want)
		}
	}
}

// openTerminal makes a pseudo-terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}
