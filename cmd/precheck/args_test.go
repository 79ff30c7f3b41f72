package precheck

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/runtime/flagcheck"
)

// Guards: config validate names each argument that a component does not take, with the nearest flag, from data alone; what is
// not known (another version, no data, a gate that is not listed) is a warning. test/e2e does it with the real data.
func TestArgProblems(t *testing.T) {
	t.Parallel()
	known := flagcheck.Set{"kube-scheduler": {Version: "1.36.3", Gates: []string{"AllAlpha"}, Flags: []flagcheck.Flag{
		{Name: "profiling", Type: "bool"}, {Name: "feature-gates"}, {Name: "port", Deprecated: "Flag --port has been deprecated, no."},
	}}}
	cfg := config.Default("")
	cfg.Scheduler.ExtraArgs = []config.Arg{
		{Name: "profling", Value: "true"}, {Name: "profiling", Value: "maybe"}, {Name: "feature-gates", Value: "AllAlpa=true"},
		{Name: "port", Value: "0"}, {Name: "zzzzzz", Value: "1"},
	}
	cfg.APIServer.ExtraArgs = []config.Arg{{Name: "v", Value: "2"}}
	bad := &config.FieldError{Field: "scheduler.extraArgs[4]"}

	problems, warnings := Args(cfg, known, []error{bad})
	wantProblems := []string{
		`cannot use scheduler.extraArgs[0] "profling": kube-scheduler 1.36.3 has no such flag | Did you mean "profiling"?`,
		`cannot use scheduler.extraArgs[1] "profiling=maybe": kube-scheduler 1.36.3 does not take it: ` +
			`strconv.ParseBool: parsing "maybe": invalid syntax | Correct the value.`,
	}
	wantWarnings := []string{
		"apiServer.extraArgs was not checked: this build of kubecrank has no components inside, and does not know their flags",
		"scheduler.extraArgs: Flag --port has been deprecated, no.",
		"scheduler.extraArgs: kube-scheduler 1.36.3 does not list feature gate AllAlpa: it does not exist, or it can no longer be changed; " +
			`did you mean "AllAlpha"?`,
	}
	var got []string
	for _, err := range problems {
		got = append(got, err.Error()+" | "+strings.Join(hint.Of(err), " "))
	}
	if !slices.Equal(got, wantProblems) {
		t.Errorf("problems:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(wantProblems, "\n"))
	}
	if !slices.Equal(warnings, wantWarnings) {
		t.Errorf("warnings:\n%s\nwant:\n%s", strings.Join(warnings, "\n"), strings.Join(wantWarnings, "\n"))
	}

	cfg.KubernetesVersion = "v1.35.4"
	problems, warnings = Args(cfg, known, nil)
	want := "scheduler.extraArgs was not checked: the flags of kube-scheduler 1.36.3 are known here, and the configuration is for 1.35.4"
	if len(problems) > 0 || !slices.Contains(warnings, want) {
		t.Errorf("another version: %v, %q", problems, warnings)
	}
}
