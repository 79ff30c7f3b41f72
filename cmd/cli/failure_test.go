package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/diagnose"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// Each kind of failure has one shape as JSON: what a script may rely on.
func TestFailureJSON(t *testing.T) {
	t.Parallel()
	field := &config.FieldError{Field: "networking.podSubnet", Flag: "--pod-network-cidr", Source: "kubeadm.yaml:12", Value: "x",
		Problem: "it is no CIDR", Remedy: "such as 10.244.0.0/16"}
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{
			"failed", hint.With(errors.New("cannot write x: denied"), "use sudo"),
			`{"kind":"failed","exitCode":1,"message":"cannot write x: denied","hints":["use sudo"],"details":[]}`,
		},
		{
			"one field", &usageError{err: field},
			`{"kind":"usage","exitCode":2,"message":"kubeadm.yaml:12: cannot use networking.podSubnet \"x\": it is no CIDR",
			"hints":["such as 10.244.0.0/16"],"details":[{"message":"kubeadm.yaml:12: cannot use networking.podSubnet \"x\": it is no CIDR",
			"hints":["such as 10.244.0.0/16"],"field":"networking.podSubnet","flag":"--pod-network-cidr","file":"kubeadm.yaml","line":12,"value":"x"}]}`,
		},
		{
			"several", &usageError{err: errors.Join(errors.New("a is bad"), hint.With(errors.New("b is bad"), "mend b"))},
			`{"kind":"usage","exitCode":2,"message":"2 problems","hints":[],
			"details":[{"message":"a is bad"},{"message":"b is bad","hints":["mend b"]}]}`,
		},
		{
			"preflight", &plan.PreflightError{Failed: []plan.Check{{Name: "Port-6443", Level: plan.Failed, Text: "taken", Remedy: "free it"}}},
			`{"kind":"preflight","exitCode":3,"message":"cannot go on: preflight checks failed","hints":["free it"],
			"details":[{"name":"Port-6443","level":"error","message":"taken","remedy":"free it"}]}`,
		},
		{
			"not healthy", fmt.Errorf("cannot finish init: %w", &steps.NotHealthyError{Failures: []steps.PodFailure{{Pod: "etcd", Container: "etcd",
				What: "it keeps exiting", Restarts: 2, Log: []string{"boom"},
				Diagnosis: &diagnose.Diagnosis{Cause: "disk-full", Certainty: diagnose.Certain, Explanation: "full", Remedy: "make room"}}}}),
			`{"kind":"notHealthy","exitCode":4,"message":"cannot finish init: etcd did not become healthy in 0.0 s","hints":["make room"],
			"details":[{"pod":"etcd","message":"it keeps exiting","container":"etcd","restarts":2,"log":["boom"],
			"diagnosis":{"container":"etcd","cause":"disk-full","certainty":"certain","explanation":"full","remedy":"make room"}}]}`,
		},
		{
			"refused", &plan.RefusedError{Verb: "init", Conflicts: []plan.ConflictAt{{Path: "/x", Why: "it is not ours", Hint: "move it",
				Refusal: plan.NotOurs}}},
			`{"kind":"refused","exitCode":5,"message":"cannot init: it would replace or use what kubecrank did not write","hints":["move it"],
			"details":[{"path":"/x","refusal":"not ours","message":"it is not ours","hint":"move it"}]}`,
		},
		{
			"interrupted", &interruptedError{verb: "init", goOn: []goesOn{{Name: "supervisor", PID: 7}, {"etcd", 8, "Running"}}},
			`{"kind":"interrupted","exitCode":130,"message":"cannot finish init: it was interrupted",
			"hints":["'kill -INT 7' stops the pods and then the supervisor, and keeps all data"],
			"details":[{"name":"supervisor","pid":7},{"name":"etcd","pid":8,"state":"Running"}]}`,
		},
	} {
		var b strings.Builder
		if err := printFailure(&b, tc.err, true); err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
			t.Fatalf("%s: %v in %s", tc.name, err, b.String())
		}
		if err := json.Unmarshal([]byte(`{"error":`+tc.want+`}`), &want); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if !reflect.DeepEqual(got, want) || strings.Count(b.String(), "\n") != 1 {
			t.Errorf("%s: got %s", tc.name, b.String())
		}
	}
}

// A failure that has a result is one document, and a result that speaks for itself has no error.
func TestFailureWithResult(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	err := fmt.Errorf("wrapped: %w", &resultError{errors.New("no"), map[string]int{"steps": 3}})
	if err := printFailure(&b, err, false); err != nil {
		t.Fatal(err)
	}
	want := `{
  "steps": 3,
  "error": {
    "kind": "failed",
    "exitCode": 1,
    "message": "wrapped: no",
    "hints": [],
    "details": []
  }
}
`
	if b.String() != want {
		t.Errorf("got %s", b.String())
	}
	b.Reset()
	if err := printFailure(&b, &exitError{code: ExitUnhealthy}, false); err != nil || b.Len() > 0 {
		t.Errorf("%v, %q", err, b.String())
	}
}

// The format is also known where the command line cannot be parsed.
func TestWantsJSON(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"init --bogus -o json":            true,
		"init --bogus --output=json":      true,
		"init -o=json --bogus":            true,
		"init -ojson --bogus":             true,
		"inti -o json":                    true,
		"init -o xml -o json":             true,
		"init -o json -o xml":             false,
		"init --bogus":                    false,
		"init --bogus -- -o json":         false,
		"logs etcd -o json":               true,
		"kubectl --root":                  false,
		"kubectl --port-offset 1 -o json": false,
	} {
		var out, errs strings.Builder
		code := Main(t.Context(), strings.Fields(line), Stdio{Out: &out, Err: &errs, In: strings.NewReader("")})
		if code == 0 || (out.Len() > 0) != want {
			t.Errorf("%s: exit code %d, stdout %q", line, code, out.String())
		}
	}
}
