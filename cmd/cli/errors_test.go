package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/phases"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// What a user reads when something fails: one line or all of them, each with its remedy.
func TestPrintError(t *testing.T) {
	t.Parallel()
	full := hint.With(errors.New("no space left on device"), "free some space")
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{
			"one", errors.New("cannot write x: denied"),
			"kubecrank: cannot write x: denied\n",
		},
		{
			"hint of an inner error", fmt.Errorf("cannot write x: %w", full),
			"kubecrank: cannot write x: no space left on device\nhint: free some space\n",
		},
		{
			"same hint twice", hint.With(fmt.Errorf("cannot: %w", full), "free some space"),
			"kubecrank: cannot: no space left on device\nhint: free some space\n",
		},
		{
			"hints of both, the cause's first", hint.With(full, "and run it again"),
			"kubecrank: no space left on device\nhint: free some space\nhint: and run it again\n",
		},
		{
			"several", &usageError{err: errors.Join(errors.New("a is bad"), errors.Join(nil, full))},
			"kubecrank: 2 problems\n  - a is bad\n  - no space left on device\n    hint: free some space\n",
		},
		{
			"a join of one", errors.Join(nil, full),
			"kubecrank: no space left on device\nhint: free some space\n",
		},
		{
			"two causes in one sentence", fmt.Errorf("cannot go on: %w (and %w)", full, errors.New("more")),
			"kubecrank: cannot go on: no space left on device (and more)\nhint: free some space\n",
		},
		{"a result that speaks for itself", fmt.Errorf("status: %w", &exitError{code: ExitUnhealthy}), ""},
	} {
		var b strings.Builder
		printError(&b, tc.err)
		if b.String() != tc.want {
			t.Errorf("%s:\n got %q\nwant %q", tc.name, b.String(), tc.want)
		}
	}
}

// The exit codes are a promise to scripts: each kind of error has its own, however deep it is wrapped.
func TestExitCode(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want ExitCode
	}{
		{nil, 0},
		{errors.New("any"), 1},
		{&journal.LockedError{Path: "/run/lock", PID: 1}, 1},
		{&interruptedError{verb: "init"}, 130},
		{usage("bad flag"), 2},
		{&phases.UnknownPhaseError{Verb: "init", Name: "x"}, 2},
		{&plan.PreflightError{}, 3},
		{&steps.NotHealthyError{}, 4},
		{&exitError{code: ExitUnhealthy}, 4},
		{&plan.RefusedError{Verb: "init"}, 5},
		{&refusedError{err: errors.New("no terminal")}, 5},
	} {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("%T: exit code %d, want %d", tc.err, got, tc.want)
		}
		if tc.err == nil {
			continue
		}
		if got := exitCode(errors.Join(nil, fmt.Errorf("wrapped: %w", tc.err))); got != tc.want {
			t.Errorf("wrapped %T: exit code %d, want %d", tc.err, got, tc.want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	verbs := []string{"init", "reset", "status", "supervise", "logs", "kubectl", "version"}
	for typed, want := range map[string]string{
		"inti": "init", "rest": "reset", "stat": "status", "superivse": "supervise", "log": "logs", "kubect": "kubectl", "INIT": "init",
		"frobnicate": "", "x": "",
	} {
		hint := didYouMean(typed, verbs, "")
		if want != "" {
			want = "did you mean " + want + "?"
		}
		if hint != want {
			t.Errorf("didYouMean(%q) = %q, want %q", typed, hint, want)
		}
	}
}
