package phases

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/ports"
	"github.com/kubecrank/kubecrank/phases/resource"
)

func TestPreflightOfTheMachine(t *testing.T) {
	fsyncs := func(slow, fast int) func(*facts.Facts) {
		return func(f *facts.Facts) {
			f.Probed.Fsyncs = append(slices.Repeat([]time.Duration{25 * time.Millisecond}, slow),
				slices.Repeat([]time.Duration{time.Millisecond}, fast)...)
		}
	}
	below := func(c *config.Config) { *c = config.Default("/srv/demo") }
	loopback := func(c *config.Config) { c.Node.AdvertiseAddress = netip.MustParseAddr("127.0.0.1") }
	external := func(c *config.Config) {
		c.Etcd.External = &config.ExternalEtcd{Endpoints: []string{"https://10.0.0.9:2379"}, CAFile: "/c/ca", CertFile: "/c/crt",
			KeyFile: "/c/key"}
	}
	certs := func(names ...string) func(*facts.Facts) {
		return func(f *facts.Facts) {
			f.Files["/c"] = resource.Seen{Kind: resource.Directory, Names: append([]string{}, names...)}
		}
	}
	etcd := func(answers ...facts.EtcdAnswer) func(*facts.Facts) {
		return func(f *facts.Facts) {
			certs("ca", "crt", "key")(f)
			for _, file := range []string{"/c/ca", "/c/crt", "/c/key"} {
				f.Files[file] = resource.Seen{Kind: resource.Regular}
			}
			f.Probed.Etcd = answers
		}
	}
	for name, test := range map[string]struct {
		facts  func(f *facts.Facts)
		config func(c *config.Config)
		want   []string // prefixes, in order
	}{
		"another version": {config: func(c *config.Config) { c.KubernetesVersion = "v1.35.4" }, want: []string{
			"warning KubernetesVersion: the configuration is for Kubernetes v1.35.4, the components are v1.36.3: init refuses that"}},
		"a firewall":                    {facts: func(f *facts.Facts) { f.Firewalld = true }, want: []string{"warning Firewalld: firewalld is active"}},
		"a firewall before nobody else": {facts: func(f *facts.Facts) { f.Firewalld = true }, config: loopback},
		"swap":                          {facts: func(f *facts.Facts) { f.Swap = true }, want: []string{"warning Swap: swap is on"}},
		"an old kernel": {facts: func(f *facts.Facts) { f.KernelRelease = "5.3.18-150300.59.93-default" }, want: []string{
			"error SystemVerification: unsupported kernel release: 5.3.18-150300.59.93-default"}},
		"the oldest kernel":                {facts: func(f *facts.Facts) { f.KernelRelease = "5.4.0" }},
		"a kernel that says it in its way": {facts: func(f *facts.Facts) { f.KernelRelease = "6.18.5+custom_x" }},
		"a name that nobody knows":         {facts: func(f *facts.Facts) { f.Probed.NameError = "no such host" }, want: []string{`warning Hostname: hostname "node-1" could not be reached: no such host`}},
		"a kubelet": {facts: func(f *facts.Facts) {
			f.Ports = map[int]ports.Holder{10250: {PID: 7, Program: "kubelet", Address: "0.0.0.0"}}
		}, want: []string{"error Port-10250: a kubelet runs here (PID 7): it would start the pods of /etc/kubernetes/manifests a second time"}},
		"something else where a kubelet listens": {facts: func(f *facts.Facts) {
			f.Ports = map[int]ports.Holder{10250: {PID: 7, Program: "nginx", Address: "0.0.0.0"}}
		}},
		"an external etcd": {facts: etcd(facts.EtcdAnswer{Endpoint: "https://10.0.0.9:2379", Version: "3.5.24"}), config: external},
		"an external etcd that is too old, silent, or none": {config: external, facts: etcd(
			facts.EtcdAnswer{Endpoint: "https://a", Version: "3.5.21"}, facts.EtcdAnswer{Endpoint: "https://b", Error: "connection refused"},
			facts.EtcdAnswer{Endpoint: "https://c", Version: "x"},
		), want: []string{"error ExternalEtcdVersion: etcd at https://a is version 3.5.21, older than 3.5.24-0",
			"error ExternalEtcdVersion: etcd at https://b cannot be asked for its version: connection refused",
			`error ExternalEtcdVersion: etcd at https://c has no version that can be understood: "x"`}},
		"an external etcd without its certificates": {config: external, facts: certs(), want: []string{
			"error ExternalEtcdClientCertificates: /c/ca doesn't exist", "error ExternalEtcdClientCertificates: /c/crt",
			"error ExternalEtcdClientCertificates: /c/key"}},
		"a fast disk":                 {facts: fsyncs(0, 100)},
		"one slow write among others": {facts: fsyncs(1, 9)},
		"a slow disk": {facts: fsyncs(4, 0), want: []string{
			"warning FsyncLatency--var-lib-etcd: a write to the disk of /var/lib/etcd takes 25ms at the 99th percentile of 4, and etcd wants"}},
		"a disk so slow that one write is all there is": {facts: fsyncs(1, 0), want: []string{"warning FsyncLatency--var-lib-etcd"}},
		"two in a hundred are more than etcd wants":     {facts: fsyncs(2, 98), want: []string{"warning FsyncLatency--var-lib-etcd"}},
		"a clock that stopped": {facts: func(f *facts.Facts) { f.Now = time.Date(1970, 1, 1, 0, 0, 9, 0, time.UTC) }, want: []string{
			"warning Clock: it is 1970-01-01 00:00 UTC by the clock, and the components are of 2026-"}},
		"a clock that nobody sets": {facts: func(f *facts.Facts) { f.ClockUnsynchronized = true }, want: []string{
			"warning Clock: no time server sets this machine's clock"}},
		"a clock that nobody compares": {facts: func(f *facts.Facts) { f.ClockUnsynchronized = true }, config: loopback},
		"few files": {facts: func(f *facts.Facts) { f.Limits.OpenFiles = 4096 }, want: []string{
			"warning OpenFiles: a process may have 4096 files open; a larger cluster needs 8192"}},
		"too few files": {facts: func(f *facts.Facts) { f.Limits.OpenFiles = 256 }, want: []string{
			"error OpenFiles: a process may have 256 files open, and the API server needs 1024"}},
		"no inotify left": {facts: func(f *facts.Facts) { f.Limits.InotifyError = "too many open files" }, want: []string{
			"warning Inotify: this user cannot watch one more file (too many open files)"}},
		"few inotify instances": {facts: func(f *facts.Facts) { f.Limits.InotifyInstances = 10 }, want: []string{
			"warning Inotify: fs.inotify.max_user_instances is 10, less than 64"}},
		"few inotify watches": {facts: func(f *facts.Facts) { f.Limits.InotifyWatches = 10 }, want: []string{
			"warning Inotify: fs.inotify.max_user_watches is 10, less than 4096"}},
		"below a root neither swap nor a kubelet is in the way": {config: below, facts: func(f *facts.Facts) {
			f.Swap, f.Ports = true, map[int]ports.Holder{10250: {PID: 7, Program: "kubelet"}}
			f.Files["/srv"] = resource.Seen{Kind: resource.Directory, Names: []string{}}
		}},
	} {
		t.Run(name, func(t *testing.T) { wantProblems(t, test.facts, test.config, test.want) })
	}
}

// A certificate authority that is valid from tomorrow on tells that the clock is wrong, before anything is signed with it.
func TestClockBeforeTheCA(t *testing.T) {
	f := bareMachine()
	cfg := bareConfig(f, nil)
	ca, err := pki.NewCA(pki.Specs(cfg)[0], pki.Params{Algorithm: config.ECDSAP256, Validity: time.Hour, CAValidity: time.Hour,
		Now: f.Now.Add(48 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	f.Files["/etc/kubernetes/pki/ca.crt"] = resource.Seen{Kind: resource.Regular, Data: ca.CertPEM, Mode: 0o644}
	f.Files["/etc/kubernetes/pki/ca.key"] = resource.Seen{Kind: resource.Regular, Data: ca.KeyPEM, Mode: 0o600}
	got := problems(t, cfg, f, testPayload)
	if len(got) != 1 || !strings.HasPrefix(got[0], "warning Clock: it is 2027-01-02 03:04 UTC by the clock, and /etc/kubernetes/pki/ca.crt is valid from") {
		t.Errorf("got %q", got)
	}
}

// The page lists every check that there is.
func TestPageListsTheChecks(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/preflight.md")
	if err != nil {
		t.Fatal(err)
	}
	f := bareMachine()
	f.Probed = facts.Probed{Fsyncs: []time.Duration{1}, NameKnown: true, Etcd: []facts.EtcdAnswer{{Version: "3.6.8"}}}
	f.ProxyEnv = []config.Env{{Name: "HTTPS_PROXY", Value: "http://proxy:3128"}}
	for _, external := range []*config.ExternalEtcd{nil, {Endpoints: []string{"https://10.0.0.9:2379"}, CAFile: "/c/ca"}} {
		cfg := bareConfig(f, func(c *config.Config) { c.Etcd.External = external })
		p, err := Init(cfg, f, testPayload)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Checks() {
			name, path, _ := strings.Cut(c.Name, "--")
			if path != "" {
				name += "--" // the page names one path or some
			}
			if !strings.Contains(string(page), "`"+name) {
				t.Errorf("the page has no %s", c.Name)
			}
		}
	}
}
