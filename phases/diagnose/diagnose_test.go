package diagnose

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/phases/ports"
)

var update = flag.Bool("update", false, "rewrite what Diagnose says of the recorded evidence")

// recorded is one file of testdata: what a real failure left, and what is said of it. The end-to-end
// tests make the evidence: go test -tags e2e ./test/e2e -run TestDiagnose -record ../../phases/diagnose/testdata
type recorded struct {
	Evidence  Evidence  `json:"evidence"`
	Diagnosis Diagnosis `json:"diagnosis"`
}

// What real components left behind leads to the same diagnosis as on the day it was recorded.
func TestRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("there are %d recorded failures, %v", len(files), err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want recorded
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			got := want
			got.Diagnosis, _ = Diagnose(want.Evidence)
			got.Diagnosis.Holds = 0 // not for programs
			seen[got.Diagnosis.Cause] = true
			if strings.ContainsAny(got.Diagnosis.Explanation+got.Diagnosis.Remedy, "{}") {
				t.Errorf("a value is missing: %s", got.Diagnosis.Explanation+"; "+got.Diagnosis.Remedy)
			}
			if *update {
				writeJSON(t, file, got)
				return
			}
			if g, w := fmt.Sprintf("%+v", got.Diagnosis), fmt.Sprintf("%+v", want.Diagnosis); g != w {
				t.Errorf("got\n%s\nwant\n%s", g, w)
			}
		})
	}
	if len(seen) < 20 {
		t.Errorf("only %d causes are recorded", len(seen))
	}
}

func writeJSON(t *testing.T, file string, v any) {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// No recorded failure is explained without its evidence: a log line alone, from a component that is
// well by now, is not certain wherever the machine can be looked at.
func TestStaleSigns(t *testing.T) {
	for name, e := range map[string]Evidence{
		"a port that is free again": {Log: []string{"listen tcp 127.0.0.1:2379: bind: address already in use"}},
		"a port that it has itself": {Log: []string{"listen tcp 127.0.0.1:2379: bind: address already in use"},
			Process: &Process{PID: 7}, Listeners: map[int]ports.Holder{2379: {PID: 7}}},
		"an address that has come": {Log: []string{"listen tcp 10.0.0.1:1: bind: cannot assign requested address"},
			Addresses: []string{"10.0.0.1"}},
		"a flag that is mended": {Log: []string{"Error: unknown flag: --no"}, Flags: map[string]string{"yes": ""}},
		"room on the disk":      {Log: []string{"open /x: no space left on device"}, Paths: map[string]Path{"/x": {Mount: "/", Free: 1 << 40}}},
		"a file that is there":  {Log: []string{"open /x: no such file or directory"}, Paths: map[string]Path{"/x": {}}},
		"a program that is there": {Messages: []string{"cannot run /x: no such file or directory"},
			Paths: map[string]Path{"/x": {}}},
		"one kill": {Reason: "OOMKilled"},
		"a value that is mended": {Program: "kube-apiserver", Log: []string{`Error: invalid argument "6443x" for "--secure-port" flag: no`},
			Flags: map[string]string{"secure-port": "6443"}},
		"roles that are still to come": {Program: "kube-apiserver", Messages: []string{"Startup probe failed: HTTP probe failed with statuscode: 403"},
			Flags: map[string]string{"authorization-mode": "Node,RBAC"}},
		"credentials that were refused once": {Program: "kube-scheduler", Log: []string{"E1 Unauthorized"}},
		"few open files":                     {Log: []string{"accept: too many open files"}, Process: &Process{Files: 10, MaxFiles: 1024}},
		"an early API call":                  {Program: "kube-apiserver", Log: []string{`Addr: "127.0.0.1:2379" connect: connection refused`}},
		"a certificate that nobody complains of": {Program: "kube-apiserver", Log: []string{"starting"},
			Certs: []CertFault{{Kind: "expired", Text: "x"}}},
		"a clock that was set":   {ClockSkew: time.Hour},
		"a stranger's request":   {Program: "etcd", Log: []string{"warn: request cluster ID mismatch"}},
		"a disk that was slow":   {Program: "etcd", Log: []string{"warn: slow fdatasync (took=2s)"}},
		"a file system remedied": {Program: "etcd", Log: []string{"cannot access data directory: open /d/.touch: read-only file system"}},
	} {
		if d, known := Diagnose(e); !known || d.Certainty == Certain {
			t.Errorf("%s: %t, %+v", name, known, d)
		}
	}
	for name, e := range map[string]Evidence{
		"nothing":         {},
		"a healthy start": {Program: "etcd", Log: []string{"info: ready to serve client requests"}, Process: &Process{PID: 7, State: "S"}},
		"a file on the way to another": {Program: "etcd", Messages: []string{"Startup probe failed: connection refused"},
			Flags: map[string]string{"data-dir": "/d"}, Paths: map[string]Path{"/d": {Mount: "/", Free: 1}}},
	} {
		if d, known := Diagnose(e); known {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// What a component waits for is about now: an old line in its log is none once its server is ready and it runs.
func TestWaitingIsAboutNow(t *testing.T) {
	t.Parallel()
	refused := []string{`E1121 dial tcp 127.0.0.1:6443: connect: connection refused`}
	noEtcd := []string{`grpc: failed to connect to {Addr: "127.0.0.1:2379"}. Err: connect: connection refused`}
	for name, tc := range map[string]struct {
		evidence    Evidence
		cause, says string // "": none
		remedy      string
	}{
		"the API server is ready": {Evidence{Program: "kube-scheduler", Running: true, Log: refused,
			Server: &Server{Pod: "kube-apiserver", Ready: true}}, "", "", ""},
		"etcd is ready": {Evidence{Program: "kube-apiserver", Running: true, Log: noEtcd, Server: &Server{Pod: "etcd", Ready: true}}, "", "", ""},
		"the API server is not ready": {Evidence{Program: "kube-scheduler", Running: true, Log: refused, Server: &Server{Pod: "kube-apiserver"}},
			"waiting-for-apiserver", "the pod kube-apiserver is not ready", "logs kube-apiserver"},
		"etcd is not ready": {Evidence{Program: "kube-apiserver", Running: true, Log: noEtcd, Server: &Server{Pod: "etcd"}},
			"waiting-for-etcd", "the pod etcd is not ready", "logs etcd"},
		"an API server elsewhere": {Evidence{Program: "kube-scheduler", Running: true, Log: refused},
			"waiting-for-apiserver", "no static pod here is that API server", "kubecrank status"},
		// init must not give up on a crash loop that the server's readiness ends.
		"it has ended, and the API server is ready since": {Evidence{Program: "kube-controller-manager", Pod: "kcm", Log: refused,
			Server: &Server{Pod: "kube-apiserver", Ready: true}},
			"waiting-for-apiserver", "has ended, and its log says that it could not reach the API server: the pod kube-apiserver is ready now", "kubecrank init"},
	} {
		d, known := Diagnose(tc.evidence)
		if d.Cause != tc.cause || !strings.Contains(d.Explanation, tc.says) || !strings.Contains(d.Remedy, tc.remedy) ||
			known && d.Certainty != Passing {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// A probe that is refused names what refuses it, and the remedy is for that.
func TestProbeRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		program, code string
		flags         map[string]string
		says, remedy  string
	}{
		"no anonymous requests": {"kube-apiserver", "401", map[string]string{"anonymous-auth": "false"},
			"401 (Unauthorized): --anonymous-auth=false", "sed -i \"/--anonymous-auth=/d\" /m/x.yaml"},
		"an authentication configuration": {"kube-apiserver", "401", nil, "401 (Unauthorized)", "in /m/x.yaml"},
		"no RBAC":                         {"kube-apiserver", "403", map[string]string{"authorization-mode": "Webhook"}, "403 (Forbidden)", "with RBAC in /m/x.yaml"},
		"paths": {"kube-scheduler", "403", map[string]string{"authorization-always-allow-paths": "/metrics"},
			"--authorization-always-allow-paths=/metrics", "add the probes' paths"},
	} {
		d, _ := Diagnose(Evidence{Program: tc.program, Flags: tc.flags, Manifest: "/m/x.yaml",
			Messages: []string{"Startup probe failed: HTTP probe failed with statuscode: " + tc.code}})
		if d.Cause != "probe-refused" || d.Certainty != Certain || !strings.Contains(d.Explanation, tc.says) || !strings.Contains(d.Remedy, tc.remedy) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// Only the components are staged: what to do about another program is something else.
func TestProgramMissing(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"cannot run sleeep: there is no such program in /bin": "is it on the PATH of the supervisor? If not, give its absolute path in /m/x.yaml",
		"cannot run etcd: there is no such program in /bin":   "have 'kubecrank init' stage the components",
		"cannot run /x/sleeep: no such file or directory":     "put it there, or correct its path in /m/x.yaml; 'ls -l /x/sleeep'",
	} {
		d, _ := Diagnose(Evidence{Manifest: "/m/x.yaml", Messages: []string{message}})
		if d.Cause != "program-missing" || !strings.HasPrefix(d.Remedy, want) {
			t.Errorf("%s: %+v", message, d)
		}
	}
}

// A program that only the container's user cannot run is told as one that nobody can.
func TestNotExecutableForUser(t *testing.T) {
	t.Parallel()
	for _, message := range []string{"cannot run /x/etcd: it is not executable", "cannot run /x/etcd as user 12344: permission denied\nhint: open it"} {
		if d, _ := Diagnose(Evidence{Pod: "etcd", Messages: []string{message}}); d.Cause != "not-executable" || d.Values["path"] != "/x/etcd" {
			t.Errorf("%s: %+v", message, d)
		}
	}
}

// What a clock that was set does to certificates is the clock's fault, and nobody else's.
func TestClockJump(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	fault := CertFault{Kind: "expired", Text: "x.crt: certificate expired", From: now.AddDate(-2, 0, 0), Until: now.AddDate(-1, 0, 0)}
	e := Evidence{Now: now, Program: "kube-apiserver", Certs: []CertFault{fault}, ClockSkew: 18 * 30 * 24 * time.Hour,
		Log: []string{"tls: expired certificate"}}
	if d, _ := Diagnose(e); d.Cause != "clock-jump" || d.Certainty != Certain || !strings.Contains(d.Explanation, "set forward by 12960h") {
		t.Errorf("a year and a half forward: %+v", d)
	}
	e.ClockSkew = 2 * time.Hour // it had expired before
	if d, _ := Diagnose(e); d.Cause != "certificate-expired" {
		t.Errorf("two hours forward: %+v", d)
	}
}

// The table is well-formed: names are unique, signs compile, texts name only values that exist.
func TestCauses(t *testing.T) {
	var names []string
	for _, c := range Causes() {
		if slices.Contains(names, c.Name) || c.Summary == "" || c.Explain == "" || c.Remedy == "" || len(c.Signs) == 0 && c.Look == nil {
			t.Errorf("%s is incomplete, or there twice", c.Name)
		}
		names = append(names, c.Name)
		for _, sign := range c.Signs {
			if _, err := regexp.Compile(sign); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
	}
	if len(names) < 20 {
		t.Errorf("%d causes are known", len(names))
	}
}

// The reference has one line for each cause, with its summary, and no other.
func TestReference(t *testing.T) {
	const page = "../../docs/reference/diagnosis.md"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range Causes() {
		programs := strings.Join(c.Programs, ", ")
		if programs == "" {
			programs = "any"
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s |", c.Name, programs, c.Summary))
	}
	var got []string
	for _, line := range strings.Split(string(data), "\n") {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `") && len(cells) == 3 && !strings.HasPrefix(cells[1], "`") {
			got = append(got, line)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the table in %s should be:\n%s", page, strings.Join(want, "\n"))
	}
}

// What a log holds cannot command the terminal of who reads the diagnosis.
func TestPrintable(t *testing.T) {
	d, _ := Diagnose(Evidence{Log: []string{"Error: unknown flag: --x\x1b[2J"}})
	if strings.ContainsRune(d.Explanation+d.Remedy, 0x1b) || d.Cause != "unknown-flag" {
		t.Errorf("%q", d)
	}
}
