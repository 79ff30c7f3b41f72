package phases

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/phases/steps"
	"github.com/kubecrank/kubecrank/runtime"
)

func gather(t *testing.T, cfg config.Config) facts.Facts {
	t.Helper()
	f, err := look(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func rewrite(t *testing.T, path, from, to string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), from) {
		t.Fatalf("%s: %v", path, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A node that was set up is not set up again in another way; what would differ is shown.
func TestInitRefusesAnotherConfiguration(t *testing.T) {
	m := newMachine(t.TempDir())
	if _, err := m.init(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, m.root)
	cfg := testConfig(m.root)
	cfg.PortOffset = 100
	cfg.APIServer.CertSANs = []string{"api.example.com"}
	p, err := Init(cfg, gather(t, cfg), testPayload)
	var refused *plan.RefusedError
	if !errors.As(err, &refused) || !refused.OtherConfig() {
		t.Fatalf("error is %v", err)
	}
	for _, want := range []string{"different configuration", "etcd.yaml", "-    - --advertise-client-urls=https://127.0.0.1:2379",
		"+    - --advertise-client-urls=https://127.0.0.1:2479", "more lines (--dry-run shows them)",
		"--port-offset (portOffset) was 0, and is now 100", "(apiServer.certSANs[0]) was nothing, and is now api.example.com"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	if !strings.Contains(refused.Hint(), "data of the cluster is lost") || len(p.Phases) == 0 {
		t.Errorf("hint %q, %d phases", refused.Hint(), len(p.Phases))
	}
	sameTree(t, before, snapshot(t, m.root))
}

// A difference that changes no file is named too; what one run alone needs may differ.
func TestInitNamesWhatDiffers(t *testing.T) {
	m := newMachine(t.TempDir())
	if _, err := m.init(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(m.root)
	cfg.DNS.ImageTag = "v1.2.3"
	_, err := Init(cfg, gather(t, cfg), testPayload)
	var refused *plan.RefusedError
	if !errors.As(err, &refused) || len(refused.Differences) != 1 || !strings.Contains(err.Error(), "dns.imageTag was nothing, and is now v1.2.3") {
		t.Fatalf("error is %v", err)
	}
	cfg = testConfig(m.root)
	cfg.Timeouts.KubernetesAPICall *= 2
	if _, err := Init(cfg, gather(t, cfg), testPayload); err != nil {
		t.Errorf("a timeout of one run is no other configuration: %v", err)
	}
}

// A run that failed may be corrected with other flags: nobody relies on it yet.
func TestInitMayChangeWhatNeverRan(t *testing.T) {
	m := newMachine(t.TempDir())
	m.sup.fail = true
	_, err := m.init(t.Context())
	var sick *steps.NotHealthyError
	if !errors.As(err, &sick) {
		t.Fatalf("error is %v", err)
	}
	for _, want := range []string{"etcd", "BackOff", "connection refused", "0.log"} {
		if !strings.Contains(err.Error(), want) && want != "BackOff" {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	m.sup.fail = false
	cfg := testConfig(m.root)
	cfg.APIServer.CertSANs = []string{"api.example.com"}
	build := func(f facts.Facts) (plan.Plan, error) { return Init(cfg, f, testPayload) }
	result, err := m.run(t.Context(), build)
	if err != nil || result.Changed == 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	if result, err = m.run(t.Context(), build); err != nil || result.Changed != 0 {
		t.Errorf("again: %+v, %v", result, err)
	}
}

// What was changed by hand is neither overwritten by init nor removed by reset.
func TestHandChangedFilesAreLeft(t *testing.T) {
	m := newMachine(t.TempDir())
	if _, err := m.init(t.Context()); err != nil {
		t.Fatal(err)
	}
	edited := filepath.Join(m.root, "etc/kubernetes/manifests/kube-scheduler.yaml")
	rewrite(t, edited, "--leader-elect=true", "--leader-elect=false")
	_, err := m.init(t.Context())
	var refused *plan.RefusedError
	if !errors.As(err, &refused) || refused.OtherConfig() || !strings.Contains(err.Error(), "changed by hand") ||
		!strings.Contains(err.Error(), "leader-elect=false") {
		t.Errorf("error is %v", err)
	}
	theirs := filepath.Join(m.root, "etc/kubernetes/theirs")
	if err := os.WriteFile(theirs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := m.reset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left := strings.Join(leftPaths(result), " ")
	for _, want := range []string{edited, filepath.Dir(edited) + " ", filepath.Dir(theirs)} {
		if !strings.Contains(left+" ", want) {
			t.Errorf("%s is not said to be left: %v", want, result.Left)
		}
	}
	for path := range snapshot(t, m.root) {
		switch path {
		case "", "/etc", "/etc/kubernetes", "/etc/kubernetes/theirs", "/etc/kubernetes/manifests",
			"/etc/kubernetes/manifests/kube-scheduler.yaml":
		default:
			t.Errorf("left behind: %s", path)
		}
	}
}

// What somebody else wrote stops init before anything is written.
func TestInitRefusesForeignFiles(t *testing.T) {
	for name, test := range map[string]struct {
		path, content string
		ignore        []string
		want          string
		preflight     bool
	}{
		"a manifest": {
			"etc/kubernetes/manifests/etcd.yaml", "kind: Pod\n", nil, "FileAvailable--etc-kubernetes-manifests-etcd.yaml", true,
		},
		"a manifest, and that is ignored": {
			"etc/kubernetes/manifests/etcd.yaml", "kind: Pod\n", []string{"all"}, "kubecrank did not write it", false,
		},
		"a broken kubeconfig":                {"etc/kubernetes/admin.conf", "hello", nil, "admin.conf", false},
		"a broken CA":                        {"etc/kubernetes/pki/ca.crt", "hello", nil, "pki/ca.crt", false},
		"another cluster's data":             {"var/lib/etcd/member/snap/db", "x", nil, "holds the data of an etcd member", true},
		"something else in etcd's directory": {"var/lib/etcd/x", "x", nil, "DirAvailable--var-lib-etcd", true},
		"a file where a directory is to be":  {"etc/kubernetes", "x", nil, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t.TempDir())
			path := filepath.Join(m.root, test.path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, m.root)
			_, err := m.run(t.Context(), func(f facts.Facts) (plan.Plan, error) {
				cfg := testConfig(m.root)
				cfg.IgnorePreflightErrors = append(cfg.IgnorePreflightErrors, test.ignore...)
				return Init(cfg, f, testPayload)
			})
			var refused *plan.RefusedError
			var failed *plan.PreflightError
			if errors.As(err, &failed) != test.preflight || errors.As(err, &refused) == test.preflight ||
				!strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v", err)
			}
			var hint interface{ Hint() string }
			if !errors.As(err, &hint) || hint.Hint() == "" {
				t.Error("there is no hint")
			}
			sameTree(t, before, snapshot(t, m.root))
		})
	}
}

// A journal that cannot be understood stops both verbs, with the line.
func TestBrokenJournalStopsBoth(t *testing.T) {
	m := newMachine(t.TempDir())
	if _, err := m.init(t.Context()); err != nil {
		t.Fatal(err)
	}
	rewrite(t, testConfig(m.root).Paths().Journal, `"verb"`, `verb`)
	before := snapshot(t, m.root)
	for name, err := range map[string]error{"init": second(m.init(t.Context())), "reset": second(m.reset(t.Context()))} {
		var broken *journal.Error
		if !errors.As(err, &broken) || broken.Line != 1 {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	sameTree(t, before, snapshot(t, m.root))
}

func second[T any](_ T, err error) error { return err }

// Certificates that were made in advance, by a phase alone, do not settle the configuration.
func TestOnePhaseDoesNotSetUpTheNode(t *testing.T) {
	m := newMachine(t.TempDir())
	cfg := testConfig(m.root)
	result, err := m.run(t.Context(), func(f facts.Facts) (plan.Plan, error) { return InitPhase("certs", cfg, f, testPayload) })
	if err != nil || result.Changed == 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	if h := gather(t, cfg).History; h.SetUp || !h.Done {
		t.Errorf("history is %+v", h)
	}
	cfg.APIServer.CertSANs = []string{"api.example.com"}
	result, err = m.run(t.Context(), func(f facts.Facts) (plan.Plan, error) { return Init(cfg, f, testPayload) })
	if err != nil || result.Changed == 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	if h := gather(t, cfg).History; !h.SetUp {
		t.Errorf("history is %+v", h)
	}
}

// No secret is in the journal, whatever happened.
func TestJournalHoldsNoSecrets(t *testing.T) {
	m := newMachine(t.TempDir())
	if _, err := m.init(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(testConfig(m.root).Paths().Journal)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"PRIVATE KEY", "client-key-data", "LS0tLS1CRUdJTi"} {
		if strings.Contains(string(data), secret) {
			t.Errorf("the journal holds %s", secret)
		}
	}
}

// Phases can be left out, and what comes after them still waits for what came before them.
func TestSkipPhases(t *testing.T) {
	f := bareMachine()
	cfg := bareConfig(f, func(c *config.Config) { c.SkipPhases = []string{"supervise", "wait-control-plane", "preflight"} })
	p, err := Init(cfg, f, testPayload)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, ph := range p.Phases {
		got[ph.Name] = strings.Join(ph.After, " ")
	}
	if _, there := got["supervise"]; there || len(got) != len(InitPhases())-3 || got["admin-rbac"] != "control-plane" ||
		got["certs"] != "" {
		t.Errorf("phases are %v", got)
	}
	cfg.SkipPhases = []string{"addon/kube-proxy", "mark-control-plane"} // kubeadm's, with nothing to skip here
	if p, err := Init(cfg, f, testPayload); err != nil || len(p.Phases) != len(InitPhases()) {
		t.Errorf("%+v, %v", p, err)
	}
	cfg.SkipPhases = []string{"addons"}
	_, err = Init(cfg, f, testPayload)
	var unknown *UnknownPhaseError
	if !errors.As(err, &unknown) || !strings.Contains(unknown.Hint(), "admin-rbac") {
		t.Errorf("error is %v", err)
	}
	if _, err := InitPhase("nonsense", cfg, f, testPayload); !errors.As(err, &unknown) {
		t.Errorf("error is %v", err)
	}
	cfg.SkipPhases = nil
	if p, err := InitPhase("certs", cfg, f, testPayload); err != nil || len(p.Phases) != 1 || p.Phases[0].Name != "certs" {
		t.Errorf("%+v, %v", p, err)
	}
}

// A supervisor that no init has started may read other directories, and hold pods that a reset would stop: it is
// refused before anything is written. One that was started again where init had left one is used.
func TestInitRefusesForeignSupervisor(t *testing.T) {
	m := newMachine(t.TempDir())
	again := func(f facts.Facts) (plan.Plan, error) {
		f.SupervisorRuns = true
		return Init(m.config(), f, testPayload)
	}
	before := snapshot(t, m.root)
	_, err := m.run(t.Context(), again)
	var refused *plan.RefusedError
	if !errors.As(err, &refused) || refused.OtherConfig() || !strings.Contains(err.Error(), "that init did not start") ||
		!strings.Contains(refused.Hint(), "another --root") {
		t.Fatalf("error is %v", err)
	}
	sameTree(t, before, snapshot(t, m.root))

	// It came after the plan was made: its pods are left alone all the same, and reset has nothing to stop.
	if err := errors.Join(os.MkdirAll(m.sup.paths.Run, 0o755), os.WriteFile(m.sup.running(), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.init(t.Context()); !errors.As(err, &refused) || !strings.Contains(err.Error(), "phase supervise") {
		t.Errorf("error is %v", err)
	}
	if _, owned := gather(t, m.config()).History.Claim(resource.Resource{Kind: resource.Process, Key: m.config().Paths().Socket}); owned {
		t.Error("the journal says that init has started it")
	}
	if err := m.sup.Stop(t.Context(), func(runtime.Event) {}); err != nil {
		t.Fatal(err)
	}

	if _, err := m.init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if result, err := m.run(t.Context(), again); err != nil || result.Changed != 0 {
		t.Errorf("after a reboot and 'kubecrank supervise': %+v, %v", result, err)
	}
}

// An init that was killed after its supervisor had come up, and before it could say so, continues with it.
func TestInitContinuesWithItsSupervisor(t *testing.T) {
	socket := config.PathsBelow("/r").Socket
	h := plan.Host{SupervisorRuns: func() bool { return true }, Claim: func(r resource.Resource) (resource.Claim, bool) {
		return resource.Claim{Resource: r}, r == resource.Resource{Kind: resource.Process, Key: socket} // intended, not done
	}}
	w := steps.StartSupervisor{Socket: socket}.Compare(h)
	if w.State != plan.Unchanged || len(w.Makes) != 1 {
		t.Errorf("%+v", w)
	}
}
