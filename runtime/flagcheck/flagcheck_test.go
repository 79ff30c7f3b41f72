package flagcheck

import (
	"reflect"
	"slices"
	"testing"
)

// The texts are those of kube-apiserver 1.36.3 and etcd 3.6.8, cut short. test/e2e compares with the real components.
const (
	apiServerHelp = `The Kubernetes API server validates and configures data

Usage:
  kube-apiserver [flags]

Generic flags:

      --advertise-address ip                  The IP address on which to advertise the apiserver
      --feature-gates colonSeparatedMultimapStringString   Comma-separated list of component:key=value pairs. Options are:
                                              kube:APIResponseCompression=true|false (BETA - default=true)
                                              kube:AllAlpha=true|false (ALPHA - default=false)
      --max-requests-inflight int             This and --max-mutating-requests-inflight are summed (default 400)

Misc flags:

      --profiling                             Enable profiling via web interface host:port/debug/pprof/ (default true)
  -h, --help                                  help for kube-apiserver
  -v, --v Level                               number for the log level verbosity
      --version version[=true]                --version, --version=raw prints version information
      --request-timeout duration              An optional field (default 1m0s)
`
	etcdHelp = `Usage:

  etcd --config-file
    Path to the server configuration file.

Member:
  --snapshot-count '10000'
    Number of committed transactions --of things.
  --grpc-keepalive-min-time '5s'
    Minimum interval.
  --pre-vote 'true'
    Enable.
  --auto-compaction-retention '0'
    Retention.
  --wal-dir ''
    Path.
  --feature-gates ''
    A set of key=value pairs. Options are:
     InitialCorruptCheck=true|false (ALPHA - default=false)
`
	startLog = `I1127 01:00:00.000000     100 flags.go:64] FLAG: --advertise-address=""
I1127 01:00:00.000000     100 flags.go:64] FLAG: --kubelet-port="10250"
I1127 01:00:00.000000     100 flags.go:64] FLAG: --old="a \"b\""
E1127 01:00:00.000000     100 run.go:72] "command failed" err="no"
`
)

func apiServer() Component {
	c := ReadHelp(apiServerHelp)
	c.ReadAll(startLog)
	c.ReadVersion("Kubernetes v1.36.3\n", "Flag --kubelet-port has been deprecated, it will go.\n")
	return c
}

// Guards: names, types, gates, hidden flags, deprecations and the version are read from what the components print.
func TestRead(t *testing.T) {
	t.Parallel()
	want := Component{Version: "1.36.3", Gates: []string{"APIResponseCompression", "AllAlpha"}, Flags: []Flag{
		{Name: "advertise-address", Type: "ip"},
		{Name: "feature-gates", Type: "colonSeparatedMultimapStringString"},
		{Name: "help", Type: "bool"},
		{Name: "kubelet-port", Deprecated: "Flag --kubelet-port has been deprecated, it will go."},
		{Name: "max-requests-inflight", Type: "int"},
		{Name: "old"},
		{Name: "profiling", Type: "bool"},
		{Name: "request-timeout", Type: "duration"},
		{Name: "v", Type: "Level"},
		{Name: "version", Type: "version"},
	}}
	if got := apiServer(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	c := ReadHelp(apiServerHelp)
	if got, want := c.ReadAll(startLog), []string{"--kubelet-port=10250", `--old=a "b"`}; !slices.Equal(got, want) {
		t.Errorf("hidden: %q, want %q", got, want)
	}

	etcd := ReadHelp(etcdHelp)
	etcd.ReadVersion("etcd Version: 3.6.8\nGit SHA: unknown\n", "")
	want = Component{Version: "3.6.8", Gates: []string{"InitialCorruptCheck"}, Flags: []Flag{
		{Name: "auto-compaction-retention", Type: "string"},
		{Name: "feature-gates", Type: "string"},
		{Name: "grpc-keepalive-min-time", Type: "duration"},
		{Name: "pre-vote", Type: "bool"},
		{Name: "snapshot-count", Type: "int"},
		{Name: "wal-dir", Type: "string"},
	}}
	if !reflect.DeepEqual(etcd, want) {
		t.Errorf("etcd:\ngot  %+v\nwant %+v", etcd, want)
	}
}

// Guards: every kind of refusal has the argument that it is about; what may be right is not refused.
func TestCheck(t *testing.T) {
	t.Parallel()
	c := apiServer()
	for arg, problem := range map[string]string{
		"--advertise-address=":                               "",
		"--advertise-address=10.0.0.1":                       "",
		"--advertise-address=10.0.0":                         "it is no IP address",
		"--feature-gates=AllAlpha=true,kube:AllAlpha=0":      "",
		"--feature-gates=AllAlpha":                           "missing bool value for AllAlpha",
		"--feature-gates=AllAlpha=on":                        "invalid value of AllAlpha=on, it must be true or false",
		"--max-requests-inflight=0x10":                       "",
		"--max_requests_inflight=many":                       `strconv.ParseInt: parsing "many": invalid syntax`,
		"--profiling=perhaps":                                `strconv.ParseBool: parsing "perhaps": invalid syntax`,
		"--request-timeout=5":                                `time: missing unit in duration "5"`,
		"--v=abc":                                            `strconv.ParseUint: parsing "abc": invalid syntax`,
		"--old=anything":                                     "",
		"--version=v1.36.3":                                  "",
		"--feature-gates=kube:AllAlpha=true,  ,AllAlpha=yes": "invalid value of AllAlpha=yes, it must be true or false",
	} {
		got := c.Check([]string{arg})
		var want []Refusal
		if problem != "" {
			want = []Refusal{{Problem: problem}}
		}
		if !reflect.DeepEqual(got.Refused, want) {
			t.Errorf("%s: %+v, want %+v", arg, got.Refused, want)
		}
	}
	got := c.Check([]string{"--v=2", "--kublet-port=1", "--kubelet-port=1", "--v=x", "--feature-gates=Nope=true,AllAlpha=true"})
	want := Answer{
		Refused:    []Refusal{{Index: 1, Unknown: true}, {Index: 3, Problem: `strconv.ParseUint: parsing "x": invalid syntax`}},
		Deprecated: []string{"Flag --kubelet-port has been deprecated, it will go."},
		Gates:      []string{"Nope"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Guards: the data of the payload is the same bytes for the same set, and is read back whole.
func TestEncode(t *testing.T) {
	t.Parallel()
	set := Set{"kube-apiserver": apiServer(), "etcd": ReadHelp(etcdHelp)}
	data, err := set.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data)
	if err != nil || !reflect.DeepEqual(got, set) {
		t.Errorf("%v: %+v", err, got)
	}
	if again, _ := got.Encode(); string(again) != string(data) {
		t.Error("the bytes differ")
	}
	if names := got.Names("kube-apiserver"); !slices.Contains(names, "old") || !slices.Contains(names, "AllAlpha") {
		t.Errorf("names: %q", names)
	}
	if _, err := Decode([]byte("{")); err == nil {
		t.Error("damaged data was read")
	}
}
