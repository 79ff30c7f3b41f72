package config

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// settledSample has a value in every part that a document can say.
func settledSample(t *testing.T) Config {
	t.Helper()
	c := Default("/r")
	c.PortOffset, c.ComponentsDir, c.Patches = 600, "/bin/components", "/patches"
	c.CertificatesDir, c.ControlPlaneEndpoint = "/r/pki", "api.example.com:6443"
	c.Node.Name, c.Node.AdvertiseAddress = "x", netip.MustParseAddr("192.0.2.7")
	c.Networking.PodSubnets = []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("fd00::/48")}
	c.APIServer.CertSANs = []string{"api.example.com"}
	c.APIServer.ExtraArgs = []Arg{{"v", "2"}, {"audit-webhook", "https://me:pw@example.com/x?token=abc"}}
	c.APIServer.ExtraVolumes = []HostPathMount{{Name: "a", HostPath: "/a", MountPath: "/a", ReadOnly: true, PathType: "Directory"}}
	c.Scheduler.ExtraEnvs = []Env{{Name: "PASSWORD", Value: "hunter2"}}
	c.FeatureGates = map[string]bool{"RootlessControlPlane": true}
	c.Timeouts.ControlPlaneComponentHealthCheck = 3 * time.Minute
	c.Etcd.External = &ExternalEtcd{Endpoints: []string{"https://u:p@192.0.2.9:2379"}, HTTPEndpoints: []string{"http://192.0.2.9:2381"},
		CAFile: "/r/etcd/ca", CertFile: "/r/etcd/cert", KeyFile: "/r/etcd/key"}
	c.Supervisor.LogMaxFiles, c.Supervisor.ManifestURL = 7, "https://example.com/pods?key=abc"
	c.Supervisor.ManifestURLHeader = map[string][]string{"Authorization": {"Bearer hunter2"}}
	c.CertificateKey = Secret(strings.Repeat("ab", 32))
	c.BootstrapTokens = []BootstrapToken{{Token: "abcdef.0123456789abcdef"}}
	return c.Complete(HostFacts{})
}

// What init settled on comes back whole, through JSON, but for what may be a secret.
func TestSettledComesBack(t *testing.T) {
	t.Parallel()
	want := settledSample(t)
	text, err := json.Marshal(want.Settled())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", ":pw@", "u:p@", "abc", "abab", "0123456789abcdef"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("%q is in what the journal keeps:\n%s", secret, text)
		}
	}
	var settled Settled
	if err := json.Unmarshal(text, &settled); err != nil {
		t.Fatal(err)
	}
	if !settled.Equal(want.Settled()) {
		t.Errorf("it differs from itself: %v", want.Settled().Differences(settled))
	}
	got, err := settled.Apply(Default("/r"))
	if err != nil {
		t.Fatal(err)
	}
	want.CertificateKey, want.BootstrapTokens = "", nil
	want.APIServer.ExtraArgs[1].Value = "https://(secret)@example.com/x?(secret)"
	want.Scheduler.ExtraEnvs[0].Value = Redacted
	want.Etcd.External.Endpoints = []string{"https://(secret)@192.0.2.9:2379"}
	want.Supervisor.ManifestURL = "https://example.com/pods?(secret)"
	want.Supervisor.ManifestURLHeader = map[string][]string{"Authorization": {Redacted}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	fields := settled.RedactedFields()
	if want := []string{"apiServer.extraArgs[1]", "etcd.external.endpoints[0]", "scheduler.extraEnvs[0]"}; !reflect.DeepEqual(fields, want) {
		t.Errorf("redacted: %q, want %q", fields, want)
	}
	if !settled.SupervisorRedacted() {
		t.Error("nobody says that the supervisor's header was not kept")
	}
}

// config show prints a file that init takes, and that means the same.
func TestSettledIsAFile(t *testing.T) {
	t.Parallel()
	settled := settledSample(t).Settled()
	text, err := settled.Documents()
	if err != nil {
		t.Fatal(err)
	}
	d, errs := Parse("shown", text)
	if len(errs) > 0 {
		t.Fatalf("%v\n%s", errs, text)
	}
	base := Default("/r")
	base.PortOffset, base.ComponentsDir = 600, "/bin/components"
	c, errs := d.Apply("init", base)
	if len(errs) > 0 || !settled.Equal(c.Complete(HostFacts{}).Settled()) {
		t.Errorf("%v, %v\n%s", errs, settled.Differences(c.Settled()), text)
	}
}

// A difference that decides what is on the machine is named by flag and field,
// with both values; what may change without harm is none.
func TestSettledDifferences(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"nothing":  {func(*Config) {}, ""},
		"name":     {func(c *Config) { c.Node.Name = "y" }, "--node-name (nodeRegistration.name) was x, and is now y"},
		"offset":   {func(c *Config) { c.PortOffset = 0 }, "--port-offset (portOffset) was 600, and is now 0"},
		"pods":     {func(c *Config) { c.Networking.PodSubnets = nil }, "--pod-network-cidr (networking.podSubnet) was 10.244.0.0/16,fd00::/48, and is now nothing"},
		"argument": {func(c *Config) { c.APIServer.ExtraArgs[0].Value = "3" }, "apiServer.extraArgs[0].value was 2, and is now 3"},
		"probes":   {func(c *Config) { c.Timeouts.ControlPlaneComponentHealthCheck = time.Minute }, "timeouts.controlPlaneComponentHealthCheck was 3m0s, and is now 1m0s"},
		"calls":    {func(c *Config) { c.Timeouts.KubernetesAPICall = time.Second }, ""},
		"lifetime": {func(c *Config) { c.CertificateValidity, c.KeyAlgorithm = time.Hour, RSA2048 }, ""},
		"programs": {func(c *Config) { c.ComponentsDir = "/elsewhere" }, ""},
		"one run":  {func(c *Config) { c.SkipPhases, c.IgnorePreflightErrors = []string{"certs"}, []string{"all"} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := settledSample(t)
			test.change(&c)
			var got []string
			for _, d := range settledSample(t).Settled().Differences(c.Settled()) {
				got = append(got, d.String())
			}
			if strings.Join(got, "\n") != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
