package phases

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/phases/steps"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; if that is right, run 'go test ./phases -update' and look at the difference:\n%s", path, got)
	}
}

// bareMachine is a machine written by hand: root, two CPUs, nothing of ours on it.
func bareMachine() facts.Facts {
	dir := func(names ...string) resource.Seen {
		return resource.Seen{Kind: resource.Directory, Mode: 0o755, Names: names}
	}
	place := facts.Place{Existing: "/", Writable: true, FreeBytes: 50 << 30}
	return facts.Facts{
		Now: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Hostname: "Node-1", KernelRelease: "6.1.0-13-amd64", CPUs: 2, MemoryMiB: 4096,
		Limits:         facts.Limits{OpenFiles: 524288, InotifyInstances: 128, InotifyWatches: 8192},
		Addresses:      []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("127.0.0.1")},
		DefaultAddress: netip.MustParseAddr("10.0.0.5"),
		Files: map[string]resource.Seen{
			"/etc": dir("hosts"), "/var": dir("lib", "log"), "/var/lib": dir("dpkg"), "/var/log": dir("syslog"), "/run": dir("lock"),
		},
		Places: map[string]facts.Place{
			"/etc/kubernetes": place, "/etc/kubernetes/pki": place, "/etc/kubernetes/manifests": place, "/var/lib/etcd": place,
			"/var/lib/kubecrank": place, "/var/lib/kubecrank/components": place, "/run/kubecrank": place, "/var/log/pods": place,
		},
	}
}

func bareConfig(f facts.Facts, change func(*config.Config)) config.Config {
	cfg := config.Default("")
	if change != nil {
		change(&cfg)
	}
	return cfg.Complete(f.HostFacts(cfg))
}

func printed(t *testing.T, p plan.Plan, f facts.Facts) (text, js []byte) {
	t.Helper()
	var a, b bytes.Buffer
	changes := plan.Diff(p, f.Host())
	if err := plan.Print(&a, p, changes); err != nil {
		t.Fatal(err)
	}
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(plan.Document(p, changes)); err != nil {
		t.Fatal(err)
	}
	return a.Bytes(), b.Bytes()
}

// The plan of init on a bare machine, as a reviewer sees it. The same input gives the same plan and the same bytes.
func TestInitPlan(t *testing.T) {
	f := bareMachine()
	cfg := bareConfig(f, nil)
	p, err := Init(cfg, f, testPayload)
	if err != nil {
		t.Fatal(err)
	}
	text, js := printed(t, p, f)
	golden(t, "init.txt", text)
	golden(t, "init.json", js)

	again, err := Init(cfg, bareMachine(), testPayload)
	if err != nil || !reflect.DeepEqual(p, again) {
		t.Errorf("another plan for the same input, or %v", err)
	}
	text2, js2 := printed(t, again, f)
	if !bytes.Equal(text, text2) || !bytes.Equal(js, js2) {
		t.Error("other bytes for the same plan")
	}
	for _, secret := range []string{"PRIVATE KEY", "client-key-data", "client-certificate-data"} {
		if bytes.Contains(text, []byte(secret)) || bytes.Contains(js, []byte(secret)) {
			t.Errorf("the plan holds %s", secret)
		}
	}
}

// With an external etcd there is no etcd phase's work, no etcd port and no data directory.
func TestInitPlanExternalEtcd(t *testing.T) {
	f := bareMachine()
	cfg := bareConfig(f, func(c *config.Config) {
		c.Etcd.External = &config.ExternalEtcd{Endpoints: []string{"https://10.0.0.9:2379"}, CAFile: "/c/ca", CertFile: "/c/crt",
			KeyFile: "/c/key"}
	})
	p, err := Init(cfg, f, Payload{})
	if err != nil {
		t.Fatal(err)
	}
	for _, ph := range p.Phases {
		if (ph.Name == "etcd" || ph.Name == "components") && len(ph.Steps) > 0 {
			t.Errorf("phase %s has steps %v", ph.Name, ph.Steps)
		}
		for _, s := range ph.Steps {
			if d, ok := s.(steps.MakeDir); ok && d.Path == "/var/lib/etcd" {
				t.Error("the data directory is made")
			}
			if w, ok := s.(steps.WaitHealthy); ok && len(w.Pods) != 3 {
				t.Errorf("it waits for %v", w.Pods)
			}
			if c, ok := s.(plan.Check); ok && (c.Name == "Port-2379" || c.Name == "DiskSpace--var-lib-etcd") {
				t.Errorf("there is a check %s", c.Name)
			}
		}
	}
}

// The plan of reset: in reverse, our own directories last, what was there before named and left.
func TestResetPlan(t *testing.T) {
	f := bareMachine()
	made := func(order int, kind resource.Kind, path string) resource.Claim {
		return resource.Claim{Resource: resource.Resource{Kind: kind, Key: path}, Done: true, Order: order, Sums: []string{"aa"}}
	}
	f.History = journal.History{Records: 9, Verb: "init", Done: true, SetUp: true, Before: map[string]resource.Claim{
		"/var/log/pods": {Resource: resource.Resource{Kind: resource.Dir, Key: "/var/log/pods"}, Existed: true},
		"/var/lib/gone": {Resource: resource.Resource{Kind: resource.Dir, Key: "/var/lib/gone"}, Existed: true},
	}, Claims: map[resource.Resource]resource.Claim{}}
	for _, o := range []resource.Claim{
		made(1, resource.Tree, "/var/lib/kubecrank"), made(2, resource.Tree, "/run/kubecrank"), made(3, resource.Tree,
			"/var/lib/kubecrank/components"),
		made(4, resource.Dir, "/etc/kubernetes"), made(5, resource.Dir, "/etc/kubernetes/pki"), made(6, resource.File,
			"/etc/kubernetes/pki/ca.crt"),
		made(7, resource.File, "/etc/kubernetes/pki/ca.key"), made(8, resource.Tree, "/var/lib/etcd"),
		made(9, resource.Entries, "/var/log/pods/kube-system_etcd-node-1_"), made(10, resource.Process, "/run/kubecrank/supervisor.sock"),
	} {
		f.History.Claims[o.Resource] = o
		f.Files[o.Key] = resource.Seen{Kind: resource.Directory}
	}
	f.Files["/etc/kubernetes/pki/ca.crt"] = resource.Seen{Kind: resource.Regular, SHA256: "aa"}
	f.Files["/etc/kubernetes/pki/ca.key"] = resource.Seen{Kind: resource.Regular, SHA256: "edited"}
	f.Files["/var/log/pods"] = resource.Seen{Kind: resource.Directory, Names: []string{}}
	p, err := Reset(bareConfig(f, nil), f)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := printed(t, p, f)
	golden(t, "reset.txt", text)

	p, err = Reset(bareConfig(f, nil), bareMachine())
	if err != nil {
		t.Fatal(err)
	}
	text, _ = printed(t, p, bareMachine())
	golden(t, "reset-nothing.txt", text)
}
