package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
	"github.com/kubecrank/kubecrank/redact"
)

// failure is what -o json prints of an error, as {"error": failure}. Its fields are a promise to scripts:
// docs/reference/exit-codes.md.
type failure struct {
	Kind     string   `json:"kind"`
	ExitCode ExitCode `json:"exitCode"`
	Message  string   `json:"message"`
	Hints    []string `json:"hints"`   // what to do, in order
	Details  []any    `json:"details"` // of one type for each kind: problemDetail, plan.Check, conflictDetail ...
}

// problemDetail is one of several errors, or an error of one field.
type problemDetail struct {
	Message string   `json:"message"`
	Hints   []string `json:"hints,omitempty"`
	Field   string   `json:"field,omitempty"`
	Flag    string   `json:"flag,omitempty"`
	File    string   `json:"file,omitempty"`
	Line    int      `json:"line,omitempty"`
	Value   string   `json:"value,omitempty"`
}

// conflictDetail is one thing that stands in the way of a plan.
type conflictDetail struct {
	Path    string       `json:"path"`
	Refusal plan.Refusal `json:"refusal,omitempty"`
	Message string       `json:"message"`
	Diff    string       `json:"diff,omitempty"`
	Hint    string       `json:"hint,omitempty"`
}

// unhealthyDetail is what is known of one container that did not become healthy.
type unhealthyDetail struct {
	Pod       string              `json:"pod"`
	Message   string              `json:"message"`
	Diagnosis *containerDiagnosis `json:"diagnosis,omitempty"`
	Container string              `json:"container,omitempty"`
	State     string              `json:"state,omitempty"`
	Probe     string              `json:"probe,omitempty"`
	Restarts  int                 `json:"restarts"`
	ExitCode  *int                `json:"exitCode,omitempty"`
	Signal    string              `json:"signal,omitempty"`
	LogPath   string              `json:"logPath,omitempty"`
	Log       []string            `json:"log,omitempty"`
}

// resultError is a failure that has a result all the same: the plan that cannot be applied, the checks that were
// made. With -o json it is one document, the result and "error" in it.
type resultError struct {
	err    error
	result any // a JSON object
}

func (e *resultError) Error() string { return e.err.Error() }
func (e *resultError) Unwrap() error { return e.err }

// wantsJSON says whether a command line asks for JSON, also one that could not be parsed.
func wantsJSON(cmd *cobra.Command, args []string, stdio Stdio) bool {
	if cmd.DisableFlagParsing {
		return false // kubectl's own -o
	}
	typed, last := "", ""
words:
	for _, arg := range args {
		name, value, has := strings.Cut(arg, "=")
		switch {
		case arg == "--":
			break words
		case last == "-o" || last == "--output":
			typed = arg
		case has && (name == "-o" || name == "--output"):
			typed = value
		case strings.HasPrefix(arg, "-o"):
			typed = arg[len("-o"):]
		}
		last = arg
	}
	flag := cmd.Flags().Lookup("output") // it has the value of the settings file, too
	if typed != "" || flag == nil {
		return typed == "json"
	}
	return flag.Value.String() == "json" || stdio.getenv(envName(flag)) == "json"
}

// printFailure writes an error as JSON, in one line if it ends a stream of lines.
func printFailure(w io.Writer, err error, oneLine bool) error {
	if quiet := (*exitError)(nil); errors.As(err, &quiet) {
		return nil // the result said it already
	}
	text, err := failureJSON(err)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if oneLine {
		err = json.Compact(&b, text)
	} else {
		err = json.Indent(&b, text, "", "  ")
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", bytes.TrimSpace(b.Bytes()))
	return err
}

// failureJSON is {"error": ...}, with the fields of a result before it if there is one.
func failureJSON(err error) ([]byte, error) {
	var text bytes.Buffer
	if werr := writeJSON(&text, struct {
		Error failure `json:"error"`
	}{failureOf(err)}); werr != nil {
		return nil, werr
	}
	var with *resultError
	if !errors.As(err, &with) {
		return text.Bytes(), nil
	}
	var result bytes.Buffer
	if werr := writeJSON(&result, with.result); werr != nil {
		return nil, werr
	}
	fields := bytes.TrimSuffix(bytes.TrimSpace(result.Bytes()), []byte("}"))
	return append(append(bytes.TrimSpace(fields), ','), bytes.TrimPrefix(text.Bytes(), []byte("{"))...), nil
}

func failureOf(err error) failure {
	problems := flatten(err)
	code := exitCode(err)
	f := failure{Kind: code.kind(), ExitCode: code, Hints: []string{}, Details: []any{}}
	for _, p := range problems {
		details := detailsOf(p)
		if len(details) == 0 && len(problems) > 1 {
			details = []any{problemOf(p)}
		}
		f.Details = append(f.Details, details...)
	}
	if len(problems) > 1 {
		f.Message = strconv.Itoa(len(problems)) + " problems"
		return f
	}
	f.Hints = append(f.Hints, hiddenHints(problems[0])...)
	f.Message = redact.Text(problems[0].Error())
	if len(f.Details) > 0 { // they have the other lines
		f.Message, _, _ = strings.Cut(f.Message, "\n")
	}
	return f
}

// kind is the name of an exit code.
func (c ExitCode) kind() string {
	switch c {
	case ExitUsage:
		return "usage"
	case ExitPreflight:
		return "preflight"
	case ExitUnhealthy:
		return "notHealthy"
	case ExitRefused:
		return "refused"
	case ExitInterrupted:
		return "interrupted"
	default:
		return "failed"
	}
}

// detailsOf are the parts of an error that are more than a text.
func detailsOf(err error) (details []any) {
	var (
		field   *config.FieldError
		checks  *plan.PreflightError
		refused *plan.RefusedError
		sick    *steps.NotHealthyError
		stopped *interruptedError
	)
	switch {
	case errors.As(err, &checks):
		for _, c := range checks.Failed {
			c.Text, c.Remedy = redact.Text(c.Text), redact.Text(c.Remedy)
			details = append(details, c)
		}
	case errors.As(err, &refused):
		for _, c := range refused.Conflicts {
			details = append(details, conflictDetail{c.Path, c.Refusal, c.Why, c.Diff, redact.Text(c.Hint)})
		}
	case errors.As(err, &sick):
		for _, p := range sick.Failures {
			details = append(details, unhealthyOf(p))
		}
	case errors.As(err, &stopped):
		for _, p := range stopped.goOn {
			details = append(details, p)
		}
	case errors.As(err, &field):
		details = append(details, problemOf(err))
	}
	return details
}

// hiddenHints are the hints of an error without credentials.
func hiddenHints(err error) []string {
	all := hint.Of(err)
	for i, hint := range all {
		all[i] = redact.Text(hint)
	}
	return all
}

func problemOf(err error) problemDetail {
	p := problemDetail{Message: redact.Text(err.Error()), Hints: hiddenHints(err)}
	var field *config.FieldError
	if !errors.As(err, &field) {
		return p
	}
	p.Field, p.Flag, p.File, p.Value = field.Field, field.Flag, field.Source, redact.Text(field.Value)
	if at := strings.LastIndexByte(field.Source, ':'); at >= 0 {
		if line, err := strconv.Atoi(field.Source[at+1:]); err == nil {
			p.File, p.Line = field.Source[:at], line
		}
	}
	return p
}

func unhealthyOf(f steps.PodFailure) unhealthyDetail {
	d := unhealthyDetail{Pod: f.Pod, Container: f.Container, Message: redact.Text(f.What), State: redact.Text(f.Message),
		Probe: redact.Text(f.Probe), Restarts: f.Restarts,
		ExitCode: f.ExitCode, Signal: f.Signal, LogPath: f.LogPath, Log: f.Log}
	if f.Diagnosis != nil {
		d.Diagnosis = &containerDiagnosis{f.Container, *f.Diagnosis}
	}
	return d
}
