package phases

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/ports"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// problems runs preflight and returns "level name: text" of what is not ok.
func problems(t *testing.T, cfg config.Config, f facts.Facts, payload Payload) []string {
	t.Helper()
	p, err := Init(cfg, f, payload)
	var failed *plan.PreflightError
	var refused *plan.RefusedError
	if err != nil && !errors.As(err, &failed) && !errors.As(err, &refused) {
		t.Fatal(err)
	}
	var out []string
	for _, c := range p.Checks() {
		if c.Level != plan.OK {
			out = append(out, string(c.Level)+" "+c.Name+": "+c.Text)
			if c.Remedy == "" {
				t.Errorf("%s has no remedy", c.Name)
			}
		}
	}
	if (failed != nil) != slices.ContainsFunc(out, func(s string) bool { return strings.HasPrefix(s, "error") }) {
		t.Errorf("error is %v, checks are %q", err, out)
	}
	return out
}

func TestPreflight(t *testing.T) {
	file := resource.Seen{Kind: resource.Regular, SHA256: "theirs"}
	dir := func(names ...string) resource.Seen { return resource.Seen{Kind: resource.Directory, Names: names} }
	etcdHolder := ports.Holder{Address: "127.0.0.1", PID: 77, Program: "etcd", Args: []string{"etcd", "--data-dir=/var/lib/etcd"}}
	ownsEtcd := claims(resource.Claim{Resource: resource.Resource{Kind: resource.Tree, Key: "/var/lib/etcd"}, Done: true})
	etcdDir := func(f *facts.Facts, names ...string) {
		f.Files["/var/lib"] = dir("etcd")
		f.Files["/var/lib/etcd"] = dir(names...)
	}
	place := func(f *facts.Facts, dir string, change func(*facts.Place)) {
		p := f.Places[dir]
		change(&p)
		f.Places[dir] = p
	}
	for name, test := range map[string]struct {
		facts  func(f *facts.Facts)
		config func(c *config.Config)
		want   []string // prefixes, in order
	}{
		"a good machine": {},
		"not root": {
			facts: func(f *facts.Facts) { f.UID = 1000 }, want: []string{"error IsPrivilegedUser: user is not running as root"},
		},
		"not root, and so not writable: said once": {facts: func(f *facts.Facts) {
			f.UID = 1000
			place(f, "/etc/kubernetes", func(p *facts.Place) { p.Writable, p.Problem = false, "/etc: permission denied" })
		}, want: []string{"error IsPrivilegedUser"}},
		"small": {facts: func(f *facts.Facts) { f.CPUs, f.MemoryMiB = 1, 1699 }, want: []string{
			"error NumCPU: the number of available CPUs 1 is less than the required 2",
			"error Mem: the system RAM (1699 MB) is less than the minimum 1700 MB",
		}},
		"small, and that is ignored": {
			facts:  func(f *facts.Facts) { f.CPUs, f.MemoryMiB = 1, 1000 },
			config: func(c *config.Config) { c.IgnorePreflightErrors = []string{"NumCPU", "MEM"} },
			want:   []string{"warning NumCPU", "warning Mem"},
		},
		"all ignored": {
			facts:  func(f *facts.Facts) { f.CPUs, f.UID = 1, 5 },
			config: func(c *config.Config) { c.IgnorePreflightErrors = []string{"all"} },
			want:   []string{"warning IsPrivilegedUser", "warning NumCPU"},
		},
		"a port is taken": {facts: func(f *facts.Facts) {
			f.Ports = map[int]ports.Holder{6443: {Address: "0.0.0.0", PID: 42, Program: "nginx",
				Args: []string{"nginx", "-c", "/etc/nginx"}}}
		}, want: []string{"error Port-6443: port 6443 is in use by nginx (PID 42), at 0.0.0.0"}},
		"a port is taken by somebody who cannot be seen": {facts: func(f *facts.Facts) {
			f.Ports = map[int]ports.Holder{2380: {Address: "10.0.0.5"}}
		}, want: []string{"error Port-2380: port 2380 is in use by a program of another user, at 10.0.0.5"}},
		"a port is taken by our own etcd": {facts: func(f *facts.Facts) {
			f.Ports, f.History.Claims = map[int]ports.Holder{2379: etcdHolder}, ownsEtcd
		}},
		"a port is taken by somebody else's etcd with the same arguments": {facts: func(f *facts.Facts) {
			f.Ports = map[int]ports.Holder{2379: etcdHolder}
		}, want: []string{"error Port-2379: port 2379 is in use by etcd (PID 77)"}},
		"ports are shifted": {
			facts: func(f *facts.Facts) {
				f.Ports = map[int]ports.Holder{6443: {PID: 1, Program: "x"}, 6543: {PID: 2, Program: "y"}}
			},
			config: func(c *config.Config) { c.PortOffset = 100 },
			want:   []string{"error Port-6543: port 6543 is in use by y"},
		},
		"a manifest is there": {facts: func(f *facts.Facts) {
			f.Files["/etc/kubernetes/manifests/kube-apiserver.yaml"] = file
		}, want: []string{"error FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml: /etc/kubernetes/manifests/"}},
		"our own manifest is there": {facts: func(f *facts.Facts) {
			path := "/etc/kubernetes/manifests/kube-apiserver.yaml"
			f.Files[path] = file
			f.History.Claims = claims(resource.Claim{Resource: resource.Resource{Kind: resource.File, Key: path}, Sums: []string{"theirs"}})
		}},
		"etcd's directory is empty":                {facts: func(f *facts.Facts) { etcdDir(f) }},
		"etcd's directory is a file system's root": {facts: func(f *facts.Facts) { etcdDir(f, "lost+found") }},
		"etcd's directory is somebody's": {facts: func(f *facts.Facts) { etcdDir(f, "stuff") },
			want: []string{"error DirAvailable--var-lib-etcd: /var/lib/etcd is not empty"}},
		"etcd's directory is another cluster's": {facts: func(f *facts.Facts) { etcdDir(f, "lost+found", "member") },
			want: []string{"error DirAvailable--var-lib-etcd: /var/lib/etcd is not empty: it holds the data of an etcd member"}},
		"etcd's directory is ours": {facts: func(f *facts.Facts) { etcdDir(f, "member"); f.History.Claims = ownsEtcd }},
		"etcd's directory was meant to be ours, and somebody was faster": {facts: func(f *facts.Facts) {
			etcdDir(f, "member")
			f.History.Claims = claims(resource.Claim{Resource: resource.Resource{Kind: resource.Tree, Key: "/var/lib/etcd"}})
		}, want: []string{"error DirAvailable--var-lib-etcd"}},
		"what etcd put into a directory that was there is ours": {facts: func(f *facts.Facts) {
			etcdDir(f, "lost+found", "member")
			f.History.Claims = claims(resource.Claim{Resource: resource.EntriesOf("/var/lib/etcd", "member"), Done: true})
		}},
		"etcd's directory cannot be looked into": {facts: func(f *facts.Facts) {
			f.Files["/var/lib/etcd"] = resource.Seen{Kind: resource.Directory, Error: "permission denied"}
		}, want: []string{"error DirAvailable--var-lib-etcd: unable to check if /var/lib/etcd is empty: permission denied"}},
		"an address of another machine": {
			config: func(c *config.Config) { c.Node.AdvertiseAddress = netip.MustParseAddr("10.9.9.9") },
			want:   []string{"error AddressPresent: the advertise address 10.9.9.9 is not on this machine"},
		},
		"loopback": {config: func(c *config.Config) { c.Node.AdvertiseAddress = netip.MustParseAddr("127.0.0.1") }},
		"a disk that is read-only": {facts: func(f *facts.Facts) {
			for dir := range f.Places {
				place(f, dir, func(p *facts.Place) { p.Writable, p.Problem = false, "/: read-only file system" })
			}
		}, want: []string{"error Writable--etc-kubernetes: cannot write to /etc/kubernetes: /: read-only file system"}},
		"programs may not be run": {facts: func(f *facts.Facts) {
			place(f, "/var/lib/kubecrank/components", func(p *facts.Place) { p.NoExec = true })
		}, want: []string{"error NoExec--var-lib-kubecrank: programs cannot be run from /"}},
		"a full disk": {facts: func(f *facts.Facts) {
			place(f, "/var/lib/etcd", func(p *facts.Place) { p.FreeBytes = 100 * mib })
			place(f, "/var/lib/kubecrank", func(p *facts.Place) { p.FreeBytes = 63 * mib })
		}, want: []string{"error DiskSpace--var-lib-kubecrank: / has 63 MiB free, and needs 64 MiB",
			"error DiskSpace--var-lib-etcd: / has 100 MiB free, and needs 160 MiB"}},
		"a small disk": {facts: func(f *facts.Facts) {
			place(f, "/var/lib/etcd", func(p *facts.Place) { p.FreeBytes = 1 << 30 })
		}, want: []string{"warning DiskSpace--var-lib-etcd: / has 1024 MiB free, and needs 2048 MiB"}},
		"a proxy in the way, its password not shown": {
			facts: func(f *facts.Facts) {
				f.ProxyEnv = []config.Env{{Name: "HTTPS_PROXY", Value: "http://user:hunter2@proxy:3128"},
					{Name: "no_proxy", Value: "10.0.0.0/8"}}
			},
			config: func(c *config.Config) {
				c.Networking.PodSubnets = []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}
			},
			want: []string{"warning HTTPProxyCIDR: connections to 192.168.0.0/16 use the proxy http://user:xxxxx@proxy:3128"},
		},
	} {
		t.Run(name, func(t *testing.T) { wantProblems(t, test.facts, test.config, test.want) })
	}
}

// wantProblems runs preflight on a good machine that was changed; want are prefixes, in order.
func wantProblems(t *testing.T, change func(*facts.Facts), configure func(*config.Config), want []string) {
	t.Helper()
	f := bareMachine()
	if change != nil {
		change(&f)
	}
	got := problems(t, bareConfig(f, configure), f, Payload{Digest: "cafe", Size: 1000, Version: "v1.36.3"})
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range got {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}

// The names of checks do not depend on the root: scripts ignore them by name.
func TestCheckNamesBelowARoot(t *testing.T) {
	f := bareMachine()
	cfg := config.Default("/srv/demo")
	cfg = cfg.Complete(f.HostFacts(cfg))
	f.Files["/srv"] = resource.Seen{Kind: resource.Directory, Names: []string{}}
	p, err := Init(cfg, f, testPayload)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range p.Checks() {
		names = append(names, c.Name)
		if strings.Contains(c.Name, "srv") {
			t.Errorf("check %s", c.Name)
		}
	}
	if !slices.Contains(names, "FileAvailable--etc-kubernetes-manifests-etcd.yaml") ||
		!slices.Contains(names, "DirAvailable--var-lib-etcd") {
		t.Errorf("checks are %v", names)
	}
}

// One failed check gives its own remedy; several name how to ignore them.
func TestPreflightError(t *testing.T) {
	one := plan.Preflight([]plan.Check{{Name: "Port-1", Level: plan.Failed, Text: "taken", Remedy: "stop it"},
		{Name: "Mem", Level: plan.OK}})
	if one.Hint() != "stop it" || !strings.Contains(one.Error(), "Port-1: taken") {
		t.Errorf("%v; %s", one, one.Hint())
	}
	if plan.Preflight(nil) != nil {
		t.Error("no checks, and yet an error")
	}
}

// reset has its one check, which can be ignored as kubeadm's can.
func TestResetPreflight(t *testing.T) {
	t.Parallel()
	f := bareMachine()
	f.UID, f.History.Records = 1000, 1
	var failed *plan.PreflightError
	if _, err := Reset(bareConfig(f, nil), f); !errors.As(err, &failed) {
		t.Errorf("as an ordinary user: %v", err)
	}
	ignoring := bareConfig(f, nil)
	ignoring.IgnorePreflightErrors = []string{"isprivilegeduser"}
	if _, err := Reset(ignoring, f); err != nil {
		t.Errorf("ignored: %v", err)
	}
}

func claims(list ...resource.Claim) map[resource.Resource]resource.Claim {
	all := map[resource.Resource]resource.Claim{}
	for _, c := range list {
		all[c.Resource] = c
	}
	return all
}
