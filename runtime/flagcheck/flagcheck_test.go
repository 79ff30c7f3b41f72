package flagcheck

import (
	"context"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// This test's own program is the component that is asked, under the name etcd:
// with etcd's flag parser, and with a check after it as kube-apiserver has it.
// test/e2e asks the real components.
func TestMain(m *testing.M) {
	if os.Args[0] == "etcd" {
		os.Exit(component(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func component(args []string) int {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	flags.Usage = func() {}
	flags.Int("snapshot-count", 0, "")
	flags.Bool("pre-vote", true, "")
	gates := flags.String("feature-gates", "", "")
	hang := flags.Bool("hang", false, "")
	version := flags.Bool("version", false, "")
	if slices.Equal(args, []string{"--help"}) {
		fmt.Println("  --snapshot-count '1'\n\tNumber --of things.\n  -v, --pre-vote")
		return 0
	}
	if err := flags.Parse(args); err != nil {
		return 2
	}
	switch {
	case *gates != "":
		fmt.Fprintf(os.Stderr, `E1121 15:40:59.001622   27906 run.go:72] "command failed" err="unrecognized feature gate: %s"`+"\n", *gates)
		return 1
	case *hang:
		time.Sleep(time.Hour)
	case len(os.Environ()) > 0:
		fmt.Fprintln(os.Stderr, "an environment:", os.Environ())
		return 1
	case *version:
		fmt.Println("etcd Version: 3.6.8\nGit SHA: unknown")
	}
	return 0
}

func self(t *testing.T) Program {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Program{Name: "etcd", Path: path}
}

// All refusals are found in one go, each with the argument that it is about,
// also where a flag stands twice and where the program does not say which it was.
func TestAllRefusals(t *testing.T) {
	t.Setenv("ETCD_NAME", "must not get there")
	args := []string{"--snapshot-count=1", "--snapshot-cuont=1", "--snapshot-count=x", "--feature-gates=Nope", "--pre-vote=perhaps",
		"--zzz=", "--pre-vote=true"}
	got, err := self(t).Check(t.Context(), args)
	if err != nil {
		t.Fatal(err)
	}
	want := Answer{
		Version: "3.6.8",
		Flags:   []string{"snapshot-count", "pre-vote"},
		Refused: []Refusal{
			{Index: 1, Unknown: true},
			{Index: 2, Problem: "parse error"},
			{Index: 3, Problem: "unrecognized feature gate: Nope"},
			{Index: 4, Problem: "parse error"},
			{Index: 5, Unknown: true},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A program that is no component, hangs or cannot be started is an error, and not a refusal of the arguments.
func TestCannotAsk(t *testing.T) {
	t.Parallel()
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for name, tc := range map[string]struct {
		ctx     context.Context
		program Program
		args    []string
		want    string
	}{
		"silent":  {t.Context(), Program{"etcd", "/bin/true"}, nil, "it does not tell its version"},
		"failing": {t.Context(), Program{"etcd", "/bin/false"}, []string{"--a=b"}, "it says nothing"},
		"missing": {t.Context(), Program{"etcd", "/nonexistent"}, nil, "no such file"},
		"hanging": {short, self(t), []string{"--hang=true"}, "it took too long"},
	} {
		if _, err := tc.program.Check(tc.ctx, tc.args); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The texts are those of the components of Kubernetes 1.36.3 and of etcd 3.6.8.
func TestComplaints(t *testing.T) {
	t.Parallel()
	for stderr, want := range map[string]complaint{
		"Error: unknown flag: --bogus\n": {flag: "bogus", unknown: true},
		"Usage:\n  kube-scheduler [flags]\n\nError: invalid argument \"a \\\"b\" for \"-v, --v\" flag: strconv.ParseUint: parsing \"a \\\"b\": invalid syntax\n": {
			flag: "v", value: `a "b`, problem: `strconv.ParseUint: parsing "a \"b": invalid syntax`},
		"Error: invalid argument \"x\" for \"--max-requests-inflight\" flag: strconv.ParseInt: parsing \"x\": invalid syntax\n": {
			flag: "max-requests-inflight", value: "x", problem: `strconv.ParseInt: parsing "x": invalid syntax`},
		"E1121 15:40:59.144482   27919 run.go:72] \"command failed\" err=\"missing bool value for Foo\"\n": {
			problem: "missing bool value for Foo"},
		"flag provided but not defined: -zzz\nUsage:\n":                                                     {flag: "zzz", unknown: true},
		"invalid value \"abc\" for flag -snapshot-count: parse error\nUsage:\n":                             {flag: "snapshot-count", value: "abc", problem: "parse error"},
		"invalid boolean value \"yes\" for -pre-vote: parse error\nUsage:\n":                                {flag: "pre-vote", value: "yes", problem: "parse error"},
		"invalid value \"foo\" for flag -listen-client-urls: URL scheme must be http, https, unix: foo\n\n": {flag: "listen-client-urls", value: "foo", problem: "URL scheme must be http, https, unix: foo"},
		"panic: runtime error\n": {},
	} {
		if got := complaintIn(stderr); got != want {
			t.Errorf("%q:\ngot  %+v\nwant %+v", stderr, got, want)
		}
	}
	if got := deprecatedIn("Flag --a has been deprecated, use b\nFlag b\n"); !slices.Equal(got, []string{"Flag --a has been deprecated, use b"}) {
		t.Error(got)
	}
}
