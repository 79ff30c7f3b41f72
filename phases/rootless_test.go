package phases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/accounts"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/phases/steps"
)

func rootlessMachine(t *testing.T) (facts.Facts, config.Config) {
	t.Helper()
	f := bareMachine()
	set, err := accounts.Choose("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	f.Accounts = set
	for _, file := range []string{"/etc/passwd", "/etc/group"} {
		f.Files[file] = resource.Seen{Kind: resource.Regular, Data: resource.Content("root:x:0:\n")}
	}
	return f, bareConfig(f, func(c *config.Config) { c.FeatureGates = map[string]bool{"RootlessControlPlane": true} })
}

// owners lists "path uid:gid mode" of what a plan gives away, and the files that it adds users to.
func owners(p plan.Plan) []string {
	var out []string
	for _, ph := range p.Phases {
		for _, step := range ph.Steps {
			switch step := step.(type) {
			case steps.Own:
				out = append(out, fmt.Sprintf("%s %d:%d %04o", step.Path, step.UID, step.GID, step.Mode))
			case steps.AddAccounts:
				out = append(out, fmt.Sprintf("%s %d", step.File, len(step.Lines)))
			}
		}
	}
	return out
}

// With the feature gate the users are made and get what they need, before the manifests; without it nothing of that.
func TestRootlessPlan(t *testing.T) {
	f, cfg := rootlessMachine(t)
	p, err := Init(cfg, f, testPayload)
	if err != nil {
		t.Fatal(err)
	}
	const keys = "/etc/kubernetes/pki/"
	want := []string{"/etc/group 5", "/etc/passwd 4", "/var/lib/kubecrank 0:0 0711",
		"/var/lib/etcd 100:100 0700", keys + "etcd/server.key 100:100 0600", keys + "etcd/peer.key 100:100 0600",
		"/etc/group 5", "/etc/passwd 4", "/var/lib/kubecrank 0:0 0711",
		keys + "sa.pub 101:101 0600", keys + "apiserver.key 101:101 0600", keys + "apiserver-kubelet-client.key 101:101 0600",
		keys + "front-proxy-client.key 101:101 0600", keys + "apiserver-etcd-client.key 101:101 0600", keys + "sa.key 0:104 0640",
		"/etc/kubernetes/controller-manager.conf 102:102 0600", "/etc/kubernetes/scheduler.conf 103:103 0600", keys + "ca.key 102:102 0600"}
	if got := owners(p); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, ph := range p.Phases {
		if ph.Name == "etcd" || ph.Name == "control-plane" {
			if _, last := ph.Steps[len(ph.Steps)-1].(steps.WriteFile); !last {
				t.Errorf("phase %s does not end with its manifests", ph.Name)
			}
		}
	}
	if text, _ := printed(t, p, f); !strings.Contains(string(text), "    runAsUser: 103\n") {
		t.Error("the scheduler does not run as its user")
	}

	part, err := InitPhase("control-plane/controller-manager", cfg, f, testPayload)
	if err != nil {
		t.Fatal(err)
	}
	want = []string{"/etc/group 5", "/etc/passwd 4", "/var/lib/kubecrank 0:0 0711", keys + "sa.key 0:104 0640",
		"/etc/kubernetes/controller-manager.conf 102:102 0600", keys + "ca.key 102:102 0600"}
	if got := owners(part); !slices.Equal(got, want) {
		t.Errorf("one part gives away %q, want %q", got, want)
	}

	cfg.FeatureGates = nil
	f.Accounts = accounts.Set{}
	if p, err = Init(cfg, f, testPayload); err != nil || len(owners(p)) > 0 {
		t.Errorf("without the feature gate: %q, %v", owners(p), err)
	}
}

// Below a root nobody is listed in the host's files. It takes root, and directories that the users may enter.
func TestRootlessBelowARoot(t *testing.T) {
	f, cfg := rootlessMachine(t)
	cfg.Root = "/srv/demo"
	cfg.CertificatesDir, cfg.Etcd.DataDir = "/srv/demo/etc/kubernetes/pki", "/srv/demo/var/lib/etcd"
	f.Accounts = accounts.Below(cfg.Root, 1<<32)
	f.Files["/srv"] = resource.Seen{Kind: resource.Directory, Mode: 0o700, Names: []string{}}
	f.UID = 1000
	got := problems(t, cfg, f, testPayload)
	if len(got) != 2 || !strings.HasPrefix(got[0], "error IsPrivilegedUser: user is not running as root, and RootlessControlPlane") ||
		!strings.HasPrefix(got[1], "error Passable--srv: /srv (0700) cannot be entered by the users") {
		t.Errorf("got %q", got)
	}
	p, _ := Init(cfg, f, testPayload)
	if all := strings.Join(owners(p), "\n"); strings.Contains(all, "passwd") || !strings.Contains(all, "/srv/demo/var/lib/etcd ") {
		t.Errorf("steps are %q", all)
	}
}

// Cancelled at any step boundary, init continues, and reset gives everything back to whom it belonged to.
func TestRootlessCancelledAtEveryBoundary(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	gate := func(c *config.Config) {
		c.FeatureGates = map[string]bool{"RootlessControlPlane": true}
		c.IgnorePreflightErrors = []string{"all"} // the temporary directory may be root's alone
	}
	const boundaries = 48 // a few more than there are
	for i := 1; i <= boundaries; i++ {
		if !allFaults() && i%6 != 0 {
			continue
		}
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			m, undone := scenes()[1].machine(t)
			m.change = gate
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			m.progress = &boundary{n: i, at: cancel}
			if _, err := m.init(ctx); err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			m.progress = nil
			if i%4 != 0 {
				for range 2 { // the second one gives away what the fake etcd has written as root
					if _, err := m.init(t.Context()); err != nil {
						t.Fatalf("init does not continue: %v", err)
					}
				}
				m.convergedAlready(t)
				if key := resource.Look(filepath.Join(m.root, "etc/kubernetes/pki/ca.key"), false); key.UID == 0 {
					t.Errorf("the key of the user's own CA is %+v", key)
				}
			}
			undone()
		})
	}
}

// What belongs to an external etcd is not given away; that the API server cannot read it is told before it fails.
func TestRootlessExternalEtcd(t *testing.T) {
	f, cfg := rootlessMachine(t)
	cfg.Etcd.External = &config.ExternalEtcd{Endpoints: []string{"https://10.0.0.9:2379"}, CAFile: "/c/ca", CertFile: "/c/crt",
		KeyFile: "/c/key"}
	f.Files["/c/ca"] = resource.Seen{Kind: resource.Regular, Mode: 0o644}
	f.Files["/c/crt"] = resource.Seen{Kind: resource.Regular, Mode: 0o600, UID: f.Accounts.Manifests().APIServer.UID}
	f.Files["/c/key"] = resource.Seen{Kind: resource.Regular, Mode: 0o640}
	got := problems(t, cfg, f, testPayload)
	if len(got) != 1 || !strings.HasPrefix(got[0], "error Readable--c-key: /c/key (0640) cannot be read by kubeadm-kas, which is user 101") {
		t.Errorf("got %q", got)
	}
	p, _ := Init(cfg, f, testPayload)
	if all := strings.Join(owners(p), "\n"); strings.Contains(all, "/c/") || strings.Contains(all, "etcd") {
		t.Errorf("it gives away %q", all)
	}
}

// Users that cannot be made or used are an error, not a control plane that runs as root.
func TestRootlessWithoutUsers(t *testing.T) {
	f, cfg := rootlessMachine(t)
	f.AccountsError = &accounts.Error{File: "/etc/passwd", Name: accounts.Etcd, Problem: "its shell is not /bin/false"}
	f.Accounts = accounts.Set{}
	if p, err := Init(cfg, f, testPayload); err == nil || len(p.Phases) > 0 {
		t.Errorf("%+v, %v", p, err)
	}
}
