package timeline

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

var update = flag.Bool("update", false, "write the goldens again")

var began = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// record is a bring-up written by hand: times in milliseconds since init began.
type record struct {
	lines  []Line
	events []runtime.Event
	since  int // ms: when the present supervisor began
}

const (
	upAtInit       = time.Hour // since boot
	supervisorsLag = 700       // ms after init
)

func newRecord() *record {
	return &record{since: supervisorsLag, lines: []Line{{What: RunBegan, Run: &Run{Verb: "init", Time: began, Node: "node-1", Boot: "b1", Uptime: upAtInit}}}}
}

func (r *record) line(ms int, what What, phase, rest string) {
	l := Line{At: time.Duration(ms) * time.Millisecond, What: what, Phase: phase}
	switch what {
	case StepStarted, StepEnded:
		l.Step, l.State = rest, "new"
	default:
		l.Detail = rest
	}
	r.lines = append(r.lines, l)
}

func (r *record) phase(name string, after []string, start, prepared, end int) {
	l := Line{At: time.Duration(start) * time.Millisecond, What: PhaseStarted, Phase: name, After: after, Detail: "does " + name}
	r.lines = append(r.lines, l)
	r.line(prepared, PhasePrepared, name, "")
	r.line(end, PhaseEnded, name, "")
}

// event is one of a supervisor whose clock on the wall was set back by an hour meanwhile.
func (r *record) event(ms int, pod, container string, reason runtime.Reason, message string) {
	offset := time.Duration(ms-r.since) * time.Millisecond
	wall := began.Add(-time.Hour).Add(time.Duration(ms) * time.Millisecond)
	e := runtime.Event{Time: wall, Offset: offset, Pod: pod, Container: container, Type: "Normal", Reason: reason, Message: message}
	if pod != "" {
		e.Namespace = "kube-system"
	}
	r.events = append(r.events, e)
}

func (r *record) session() { r.sessionAt(supervisorsLag, 7) }

func (r *record) sessionAt(ms, pid int) {
	r.since = ms
	r.event(ms, "", "", "SupervisorStarted", "")
	e := &r.events[len(r.events)-1]
	e.Message = fmt.Sprintf("Supervisor started (PID %d)", pid)
	e.Session = &runtime.Session{PID: pid, Version: "v0", Boot: "b1", Uptime: upAtInit + time.Duration(ms)*time.Millisecond}
}

// bringUpRecord is a whole bring-up; wicked is the text of a failure.
func bringUpRecord(wicked string) *record {
	r := newRecord()
	r.phase("preflight", nil, 20, 25, 26)
	r.phase("components", []string{"preflight"}, 26, 30, 640)
	r.line(30, StepStarted, "components", "make /var/lib/kubecrank")
	r.line(35, StepEnded, "components", "make /var/lib/kubecrank")
	r.line(35, StepStarted, "components", "unpack the components below /var/lib/kubecrank/components")
	r.line(640, StepEnded, "components", "unpack the components below /var/lib/kubecrank/components")
	r.phase("certs", []string{"preflight"}, 26, 320, 440)
	for _, name := range []string{"make certificate authority ca", "issue certificate apiserver, for 7 names", "issue certificate etcd/peer"} {
		r.line(321, StepStarted, "certs", name)
	}
	for _, name := range []string{"make certificate authority ca", "issue certificate apiserver, for 7 names", "issue certificate etcd/peer"} {
		r.line(439, StepEnded, "certs", name)
	}
	r.phase("kubeconfig", []string{"certs"}, 440, 480, 485)
	r.phase("control-plane", []string{"components", "kubeconfig"}, 640, 642, 650)
	r.phase("supervise", []string{"control-plane"}, 650, 651, 720)
	r.line(720, PhaseStarted, "wait-control-plane", "wait until all components are ready")
	r.lines[len(r.lines)-1].After = []string{"supervise"}
	r.session()
	r.event(725, "kube-scheduler", "", "Waiting", "Waiting for kube-apiserver to start")
	r.event(725, "kube-controller-manager", "", "Waiting", "Waiting for kube-apiserver to start")
	r.event(740, "etcd", "etcd", "Started", "Started container etcd (PID 10)")
	r.event(745, "kube-apiserver", "kube-apiserver", "Started", "Started container kube-apiserver (PID 11)")
	for ms := 770; ms < 900; ms += 25 {
		r.event(ms, "etcd", "etcd", "EarlyProbe", "Startup probe failed: connection refused")
	}
	for ms := 770; ms < 2800; ms += 25 {
		r.event(ms, "kube-apiserver", "kube-apiserver", "EarlyProbe", "Startup probe failed: "+wicked)
	}
	r.event(910, "etcd", "etcd", "StartupSucceeded", "Startup probe succeeded")
	r.event(920, "etcd", "etcd", "ReadinessSucceeded", "Readiness probe succeeded")
	r.event(920, "etcd", "", "Ready", "All containers are ready")
	r.event(2800, "kube-apiserver", "kube-apiserver", "StartupSucceeded", "Startup probe succeeded")
	r.event(2805, "kube-scheduler", "kube-scheduler", "Started", "Started container kube-scheduler (PID 12)")
	r.event(2806, "kube-controller-manager", "kube-controller-manager", "Started", "Started container kube-controller-manager (PID 13)")
	r.event(2950, "kube-apiserver", "kube-apiserver", "ReadinessSucceeded", "Readiness probe succeeded")
	r.event(2950, "kube-apiserver", "", "Ready", "All containers are ready")
	r.event(3100, "kube-controller-manager", "kube-controller-manager", "Exited", "Container kube-controller-manager ended with exit code 1")
	r.event(3105, "kube-controller-manager", "kube-controller-manager", "Started", "Started container kube-controller-manager (PID 14)")
	r.event(3180, "kube-scheduler", "kube-scheduler", "StartupSucceeded", "Startup probe succeeded")
	r.event(3180, "kube-scheduler", "", "Ready", "All containers are ready")
	r.event(3400, "kube-controller-manager", "kube-controller-manager", "StartupSucceeded", "Startup probe succeeded")
	r.event(3400, "kube-controller-manager", "", "Ready", "All containers are ready")
	r.event(9000, "etcd", "etcd", "Unhealthy", "Liveness probe failed: much later") // not of the bring-up
	r.line(3410, PhaseEnded, "wait-control-plane", "")
	r.phase("admin-rbac", []string{"wait-control-plane"}, 3410, 3411, 3450)
	r.line(3455, RunEnded, "", "")
	return r
}

// One record, all three ways to see it. The picture must be XML whatever the texts in it are.
func TestGolden(t *testing.T) {
	t.Parallel()
	r := bringUpRecord(`Get "https://127.0.0.1:6443/livez?a&b": <refused>`)
	tl, ok := Build(r.lines, r.events)
	if !ok {
		t.Fatal("there is no timeline")
	}
	for name, write := range map[string]func(io.Writer) error{
		"init.txt": func(w io.Writer) error { return Text(w, tl, 110) },
		"init.svg": func(w io.Writer) error { return SVG(w, tl) },
		"init.json": func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetIndent("", " ")
			return enc.Encode(tl)
		},
	} {
		var got strings.Builder
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".svg") {
			wellFormed(t, got.String())
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s differs; go test ./runtime/timeline -update writes it again. It is:\n%s", path, got.String())
		}
	}
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		_, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Errorf("the picture is no XML: %v", err)
			return
		}
	}
}

// What happened is on one axis whatever the wall clock did, what came later is no part of it, and the chain is found.
func TestBuild(t *testing.T) {
	t.Parallel()
	r := bringUpRecord("no")
	tl, _ := Build(r.lines, r.events)
	if tl.Result != "ready" || tl.Ready == nil || *tl.Ready != 3.4 || tl.End != 3.455 || tl.Supervisor == nil || tl.Supervisor.Start != 0.7 {
		t.Errorf("%s, ready %v, end %v, supervisor %+v", tl.Result, tl.Ready, tl.End, tl.Supervisor)
	}
	var names []string
	for _, p := range tl.Pods {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "etcd kube-apiserver kube-scheduler kube-controller-manager" {
		t.Errorf("the pods are %s", got)
	}
	api := tl.Pods[1].Containers[0]
	if n := len(api.Probes); n != 84 || !api.Probes[n-1].OK || api.Probes[0].OK || !api.Probes[0].Early || api.Probes[0].At != 0.77 {
		t.Errorf("%d probes of the API server, from %+v to %+v", n, api.Probes[0], api.Probes[n-1])
	}
	if g := api.Runs[0]; g.Start != 0.745 || *g.Started != 2.8 || *g.Ready != 2.95 || g.End != nil {
		t.Errorf("the API server ran from %+v", g)
	}
	manager := tl.Pods[3].Containers[0]
	if len(manager.Runs) != 2 || manager.Runs[0].End == nil || *manager.Runs[0].End != 3.1 || manager.Runs[0].Ready != nil ||
		*manager.Runs[1].Ready != 3.4 {
		t.Errorf("the controller manager ran %+v", manager.Runs)
	}
	var chain []string
	for _, l := range tl.Critical {
		chain = append(chain, l.Name)
	}
	if got := strings.Join(chain, " "); got != "preflight components control-plane supervise kube-apiserver kube-controller-manager wait-control-plane admin-rbac" {
		t.Errorf("the chain is %s", got)
	}
}

// Which bring-up is the last one: a later supervisor counts only if it had nothing to adopt.
func TestBuildChooses(t *testing.T) {
	t.Parallel()
	later := func(reason runtime.Reason) []runtime.Event {
		r := newRecord()
		r.event(supervisorsLag, "", "", "SupervisorStarted", "")
		r.events[0].Session = &runtime.Session{PID: 9, Boot: "b2", Uptime: time.Minute}
		r.event(1000, "web", "web", reason, "")
		r.event(1500, "web", "", "Ready", "")
		for i := range r.events {
			r.events[i].Time = r.events[i].Time.Add(48 * time.Hour)
		}
		return r.events
	}
	r := bringUpRecord("no")
	for _, tt := range []struct {
		name, verb, result string
		lines              []Line
		events             []runtime.Event
	}{
		{"init", "init", "ready", r.lines, r.events},
		{"adopted later", "init", "ready", r.lines, append(r.events[:len(r.events):len(r.events)], later("Adopted")...)},
		{"started after a reboot", "supervise", "ready", r.lines, append(r.events[:len(r.events):len(r.events)], later("Started")...)},
		{"no init at all", "supervise", "ready", nil, later("Started")},
		{"killed", "init", "unfinished", r.lines[:len(r.lines)-6], r.events},
		{"events lost", "init", "unfinished", r.lines, nil},
		{"the head of the events lost", "init", "unfinished", r.lines, r.events[20:]}, // by the wall clock, which is an hour off
	} {
		tl, ok := Build(tt.lines, tt.events)
		if !ok || tl.Verb != tt.verb || tl.Result != tt.result || tl.Began.IsZero() {
			t.Errorf("%s: %v %s %s, began %s", tt.name, ok, tl.Verb, tl.Result, tl.Began)
		}
		for name, write := range map[string]func(io.Writer, Timeline) error{
			"svg": SVG, "text": func(w io.Writer, t Timeline) error { return Text(w, t, 40) },
		} {
			if err := write(io.Discard, tl); err != nil {
				t.Errorf("%s as %s: %v", tt.name, name, err)
			}
		}
	}
	if _, ok := Build(nil, later("Adopted")); ok {
		t.Error("a supervisor that adopted everything has brought something up")
	}
	if _, ok := Build(nil, nil); ok {
		t.Error("there is a timeline of nothing")
	}
}

// A run that failed says so, and what was not ready ends open.
func TestFailed(t *testing.T) {
	t.Parallel()
	r := newRecord()
	r.phase("supervise", nil, 20, 25, 600)
	r.line(600, PhaseStarted, "wait-control-plane", "")
	r.session()
	r.event(800, "etcd", "etcd", "Started", "")
	r.event(900, "etcd", "etcd", "Exited", "Container etcd ended with exit code 1")
	r.line(60000, PhaseEnded, "wait-control-plane", "")
	r.lines[len(r.lines)-1].Error = "etcd did not become healthy"
	r.line(60001, RunEnded, "", "")
	r.lines[len(r.lines)-1].Error = "etcd did not become healthy\nits last words"
	tl, _ := Build(r.lines, r.events)
	if tl.Result != "failed" || tl.Ready != nil || tl.End != 60.001 {
		t.Errorf("%s, ready %v, end %v", tl.Result, tl.Ready, tl.End)
	}
	var text, svg strings.Builder
	if err := errors.Join(Text(&text, tl, 100), SVG(&svg, tl)); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, svg.String())
	for _, want := range []string{"failed after 1m0s", "✗ 59.40 s", "×", "etcd did not become healthy\n", "Critical path: etcd 59.20 s\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, text.String())
		}
	}
	if !strings.Contains(svg.String(), ">not ready<") || !strings.Contains(svg.String(), "did not become healthy") {
		t.Error("the picture does not tell of the failure")
	}
}

// A torn last line is left out, garbage is counted, and neither is fatal.
func TestParseLines(t *testing.T) {
	t.Parallel()
	lines, bad := ParseLines([]byte(`{"at":1,"what":"phase-started","phase":"a"}` + "\nnonsense\n{}\n\x00\x00\n" + `{"at":2,"what":"phase-ended"`))
	if len(lines) != 1 || lines[0].Phase != "a" || bad != 3 {
		t.Errorf("%+v, %d bad", lines, bad)
	}
}

// Whatever is in the files, a timeline is made of it, or none.
func FuzzBuild(f *testing.F) {
	r := bringUpRecord("no")
	var lines, events strings.Builder
	for _, l := range r.lines {
		data, _ := json.Marshal(l)
		lines.Write(append(data, '\n'))
	}
	for _, e := range r.events {
		data, _ := json.Marshal(e)
		events.Write(append(data, '\n'))
	}
	f.Add(lines.String(), events.String())
	f.Add(`{"at":-5,"what":"run-began","run":{}}`+"\n"+`{"at":9223372036854775807,"what":"phase-started","phase":"\u0000<&","after":["x"]}`+"\n", "")
	f.Fuzz(func(t *testing.T, lines, events string) {
		parsed, _ := ParseLines([]byte(lines))
		var all []runtime.Event
		for line := range strings.Lines(events) {
			var e runtime.Event
			if json.Unmarshal([]byte(line), &e) == nil {
				all = append(all, e)
			}
		}
		tl, ok := Build(parsed, all)
		if !ok {
			return
		}
		var svg strings.Builder
		if err := errors.Join(Text(io.Discard, tl, 80), SVG(&svg, tl)); err != nil {
			t.Fatal(err)
		}
		wellFormed(t, svg.String())
		if _, err := json.Marshal(tl); err != nil {
			t.Fatal(err)
		}
	})
}
