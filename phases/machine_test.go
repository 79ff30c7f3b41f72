package phases

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/apply"
	"github.com/kubecrank/kubecrank/phases/cluster"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/runtime"
)

// fakeSupervisor leaves on disk what the real one does: a socket's name, a lock,
// a log, state and pod logs. Its state is the file system, so that it survives
// the process, as a real supervisor does.
type fakeSupervisor struct {
	paths config.Paths
	mu    sync.Mutex
	fail  bool // a pod is in a crash loop
	asked int  // how often the status was asked for
}

func (f *fakeSupervisor) Start(context.Context) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, path := range []string{
		f.paths.SupervisorLock, f.paths.SupervisorLog, filepath.Join(f.paths.PodState, "etcd", "state.json"),
		filepath.Join(f.paths.PodLogs, "kube-system_etcd-node-1_0123", "etcd", "0.log"),
		filepath.Join(f.paths.EtcdData, "member", "wal", "0.wal"), f.running(),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return 0, err
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			return 0, err
		}
	}
	return 4242, nil
}

func (f *fakeSupervisor) running() string { return filepath.Join(f.paths.Run, "running") }

func (f *fakeSupervisor) Status(context.Context) (runtime.Status, error) {
	if _, err := os.Stat(f.running()); err != nil {
		return runtime.Status{}, runtime.ErrNotRunning
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	s := runtime.Status{Ready: true}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		pod := runtime.PodStatus{Name: name, Ready: true, State: "Running"}
		if f.fail && name == "etcd" {
			code := 1
			pod.Ready, pod.State = false, "BackOff"
			pod.Containers = []runtime.ContainerStatus{{Name: name, ExitCode: &code, RestartCount: f.asked,
				LastProbe: "connection refused", Reason: "CrashLoopBackOff",
				LogPath: filepath.Join(f.paths.PodLogs, "kube-system_etcd-node-1_0123", "etcd", "0.log")}}
		}
		s.Pods = append(s.Pods, pod)
	}
	return s, nil
}

func (f *fakeSupervisor) Stop(_ context.Context, tell func(runtime.Event)) error {
	tell(runtime.Event{Pod: "etcd", Message: "stopped"})
	err := os.Remove(f.running())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

type fakeComponents struct{}

func (fakeComponents) Digest() string { return "cafe" }

func (fakeComponents) Stage(_ context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "kube-apiserver"), []byte("x"), 0o755)
}

type fakeAPI struct{}

func (fakeAPI) Apply(_ context.Context, to plan.Endpoint, _ cluster.Object) (bool, error) {
	if len(to.Kubeconfig) == 0 {
		return false, errors.New("no kubeconfig")
	}
	return false, nil
}

func (fakeAPI) Bootstrap(context.Context, plan.Endpoint, []json.RawMessage, []string) (int, error) {
	return 0, nil
}
func (fakeAPI) Open(plan.Endpoint) (plan.Reader, error) { return fakeReader{}, nil }

// fakeReader is of a cluster whose controllers another machine's instances run.
type fakeReader struct{}

func (fakeReader) Lease(context.Context, string) (cluster.Lease, error) {
	return cluster.Lease{Holder: "elsewhere_1", Renewed: time.Now().Add(time.Hour)}, nil
}
func (fakeReader) Exists(context.Context, cluster.Object) (bool, error) { return true, nil }

// testConfig is a completed configuration below root.
func testConfig(root string) config.Config {
	cfg := config.Default(root)
	cfg.IgnorePreflightErrors = []string{"numcpu", "mem"}
	return cfg.Complete(config.HostFacts{Hostname: "node-1", DefaultAddress: netip.MustParseAddr("127.0.0.1")})
}

var testPayload = Payload{Digest: "cafe", Size: 1000}

// machine is a root directory with a fake supervisor.
type machine struct {
	root     string
	sup      *fakeSupervisor
	progress apply.Progress
	change   func(*config.Config) // of testConfig; nil: nothing
}

func (m *machine) config() config.Config {
	cfg := testConfig(m.root)
	if m.change != nil {
		m.change(&cfg)
	}
	return cfg
}

func newMachine(root string) *machine {
	return &machine{root: root, sup: &fakeSupervisor{paths: config.PathsBelow(root)}}
}

// look leaves out who listens on this machine's ports: that is not the test's business.
func look(ctx context.Context, cfg config.Config) (facts.Facts, error) {
	f, err := facts.Gather(ctx, cfg)
	f.Ports = nil
	return f, err
}

// run does what cmd/cli does: plan, lock, plan again, apply, release.
func (m *machine) run(ctx context.Context, build func(facts.Facts) (plan.Plan, error)) (result apply.Result, err error) {
	cfg := m.config()
	f, err := look(ctx, cfg)
	if err != nil {
		return result, err
	}
	if _, err := build(f); err != nil {
		return result, err
	}
	lock, err := journal.Acquire(cfg.Paths(), "test")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if f, err = look(ctx, cfg); err != nil {
		return result, err
	}
	p, err := build(f)
	if err != nil {
		return result, err
	}
	journalFile, err := journal.Open(cfg.Root, cfg.Paths())
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, journalFile.Close()) }()
	return apply.Run(ctx, p, &plan.Node{
		Root: cfg.Root, Paths: cfg.Paths(), Lock: lock, Journal: journalFile, Supervisor: m.sup,
		Components: fakeComponents{}, API: fakeAPI{}, Now: time.Now,
	}, m.progress)
}

func (m *machine) init(ctx context.Context) (apply.Result, error) {
	return m.run(ctx, func(f facts.Facts) (plan.Plan, error) { return Init(m.config(), f, testPayload) })
}

func (m *machine) reset(ctx context.Context) (apply.Result, error) {
	return m.run(ctx, func(f facts.Facts) (plan.Plan, error) { return Reset(m.config(), f) })
}
