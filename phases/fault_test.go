package phases

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/apply"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/test/guardian"
)

// With KUBECRANK_FAULTS=all every step boundary is tried with a process that
// really dies, and many random moments; without it a sample, which takes seconds.
func allFaults() bool { return os.Getenv("KUBECRANK_FAULTS") == "all" }

// snapshot is all that is below dir: modes, owners, contents, links.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		uid, gid := resource.OwnerOf(info)
		entry := fmt.Sprintf("%s %d:%d", info.Mode(), uid, gid)
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			h := sha256.Sum256(data)
			entry += " " + hex.EncodeToString(h[:8])
		}
		all[strings.TrimPrefix(path, dir)] = entry
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func sameTree(t *testing.T, before, after map[string]string) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if was, ok := before[path]; !ok {
			t.Errorf("left behind: %s %s", path, after[path])
		} else if was != after[path] {
			t.Errorf("changed: %s %s, was %s", path, after[path], was)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[path]; !ok {
			t.Errorf("gone: %s %s", path, before[path])
		}
	}
}

// scene is what a machine looks like before init.
type scene struct {
	name    string
	prepare func(t *testing.T, root string)
}

func scenes() []scene {
	return []scene{
		{"bare", func(*testing.T, string) {}},
		{"furnished", furnish},
	}
}

// furnish puts there what may be on a machine: the user's own CA, a file system
// for etcd, a kubelet's logs, files that are none of our business.
func furnish(t *testing.T, root string) {
	t.Helper()
	cfg := testConfig(root)
	ca, err := pki.NewCA(pki.Specs(cfg)[0], pki.ParamsFor(cfg, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{
		"/etc/kubernetes/pki/ca.crt":                           ca.CertPEM,
		"/etc/kubernetes/pki/ca.key":                           ca.KeyPEM,
		"/etc/kubernetes/notes.txt":                            []byte("mine"),
		"/var/lib/etcd/lost+found/x":                           nil,
		"/var/log/pods/default_other_1/x":                      []byte("log"),
		"/var/log/pods/kube-system_etcd-node-1_old/etcd/0.log": []byte("of another time"),
		"/run/other.pid":                                       []byte("1"),
	} {
		if err := os.MkdirAll(filepath.Dir(root+path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// boundary calls at for the nth moment at which the machine has changed or is about to.
type boundary struct {
	n    int
	seen int
	at   func()
}

func (b *boundary) Report(e apply.Event) {
	if e.Phase == "preflight" || e.Phase == "summary" {
		return
	}
	stepDone := e.Moment == apply.StepEnded && (e.State == plan.New || e.State == plan.Changed)
	if !stepDone && e.Moment != apply.PhaseIntended && e.Moment != apply.PhaseEnded {
		return
	}
	b.seen++
	if b.seen == b.n {
		b.at()
	}
}

// boundaries is how many there are in an init and in a reset.
func boundaries(t *testing.T) (init, reset int) {
	t.Helper()
	m := newMachine(filepath.Join(t.TempDir(), "root"))
	count := &boundary{}
	m.progress = count
	if _, err := m.init(t.Context()); err != nil {
		t.Fatal(err)
	}
	init = count.seen
	if _, err := m.reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	return init, count.seen - init
}

// Init and reset, without faults: all is there, then nothing is that was not before.
func TestInitThenReset(t *testing.T) {
	for _, sc := range scenes() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			base := t.TempDir()
			m := newMachine(filepath.Join(base, "new", "root"))
			sc.prepare(t, m.root)
			before := snapshot(t, base)
			result, err := m.init(t.Context())
			if err != nil || result.Changed == 0 || len(result.Notes) == 0 {
				t.Fatalf("%+v, %v", result, err)
			}
			set := snapshot(t, base)
			m.convergedAlready(t)
			sameTree(t, set, snapshot(t, base))
			result, err = m.reset(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			sameTree(t, before, snapshot(t, base))
			if names := leftPaths(result); (sc.name == "bare") != (len(names) == 0) {
				t.Errorf("left %v", result.Left)
			}
			result, err = m.reset(t.Context())
			if err != nil || result.Changed != 0 || !strings.Contains(strings.Join(result.Notes, ""), "nothing to reset") {
				t.Errorf("again: %+v, %v", result, err)
			}
			sameTree(t, before, snapshot(t, base))
		})
	}
}

func leftPaths(r apply.Result) []string {
	var paths []string
	for _, l := range r.Left {
		paths = append(paths, l.Path)
	}
	return paths
}

// convergedAlready runs init again, and nothing changes.
func (m *machine) convergedAlready(t *testing.T) {
	t.Helper()
	result, err := m.init(t.Context())
	if err != nil || result.Changed != 0 {
		t.Errorf("on a healthy node: %+v, %v", result, err)
	}
}

// The error that ends a run at any step boundary is one that the next run continues from, or that reset undoes.
func TestInitCancelledAtEveryBoundary(t *testing.T) {
	n, _ := boundaries(t)
	for i := 1; i <= n; i++ {
		for _, sc := range scenes() {
			if !allFaults() && (i+len(sc.name))%8 != 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", sc.name, i), func(t *testing.T) {
				t.Parallel()
				m, undone := sc.machine(t)
				ctx, cancel := context.WithCancel(t.Context())
				m.progress = &boundary{n: i, at: cancel}
				if _, err := m.init(ctx); err != nil && !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				m.progress = nil
				if i%3 != 0 {
					if _, err := m.init(t.Context()); err != nil {
						t.Fatalf("init does not continue: %v", err)
					}
					m.convergedAlready(t)
				}
				undone()
			})
		}
	}
}

const (
	childVerb = "KUBECRANK_TEST_CHILD" // "init" or "reset"
	childRoot = "KUBECRANK_TEST_ROOT"
	childDies = "KUBECRANK_TEST_DIES" // at this boundary; 0: not by itself
)

func TestMain(m *testing.M) {
	guardian.Guard()
	os.Exit(m.Run())
}

// TestChild is the process that dies. Alone it does nothing.
func TestChild(t *testing.T) {
	verb := os.Getenv(childVerb)
	if verb == "" {
		t.Skip("it is started by other tests")
	}
	n, err := strconv.Atoi(os.Getenv(childDies))
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(os.Getenv(childRoot))
	m.progress = &boundary{n: n, at: func() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}}
	run := m.init
	if verb == "reset" {
		run = m.reset
	}
	if _, err := run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// dies runs a verb in a process that is killed at a boundary, or after a time.
// It says whether it was killed before it had ended.
func dies(t *testing.T, verb, root string, at int, after time.Duration) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childVerb+"="+verb, childRoot+"="+root, childDies+"="+strconv.Itoa(at))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if at == 0 {
		timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
		t.Fatalf("the child failed by itself: %v\n%s", err, out.String())
	}
	return err != nil
}

// A killed init is continued by the next one, or undone by reset: nothing that was there is lost, nothing of ours stays.
func TestInitKilled(t *testing.T) {
	n, _ := boundaries(t)
	for i := 1; i <= n; i++ {
		if !allFaults() && i%12 != 1 {
			continue
		}
		for _, sc := range scenes() {
			t.Run(fmt.Sprintf("%s/%d", sc.name, i), func(t *testing.T) {
				t.Parallel()
				killedInit(t, sc, i, 0, i%2 == 0)
			})
		}
	}
}

func killedInit(t *testing.T, sc scene, at int, after time.Duration, undo bool) {
	t.Helper()
	m, undone := sc.machine(t)
	if killed := dies(t, "init", m.root, at, after); !killed && at > 0 && sc.name == "bare" { // the other has a step less to do
		t.Fatal("the child has not died")
	}
	if !undo {
		if _, err := m.init(t.Context()); err != nil {
			t.Fatalf("init does not continue: %v", err)
		}
		m.convergedAlready(t)
	}
	undone()
}

// machine returns a machine in the scene, and a check that reset leaves of it what was there before.
func (sc scene) machine(t *testing.T) (m *machine, undone func()) {
	t.Helper()
	base := t.TempDir()
	m = newMachine(filepath.Join(base, "new", "root"))
	sc.prepare(t, m.root)
	before := snapshot(t, base)
	return m, func() {
		t.Helper()
		if _, err := m.reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		sameTree(t, before, snapshot(t, base))
	}
}

// A killed reset is finished by the next one; and an init after it works too.
func TestResetKilled(t *testing.T) {
	_, n := boundaries(t)
	for i := 1; i <= n; i++ {
		if !allFaults() && i%15 != 1 && i < n-1 {
			continue
		}
		for _, sc := range scenes() {
			t.Run(fmt.Sprintf("%s/%d", sc.name, i), func(t *testing.T) {
				t.Parallel()
				m, undone := sc.machine(t)
				if _, err := m.init(t.Context()); err != nil {
					t.Fatal(err)
				}
				dies(t, "reset", m.root, i, 0)
				if i%2 == 0 {
					if _, err := m.init(t.Context()); err != nil {
						t.Fatalf("init after half a reset: %v", err)
					}
					m.convergedAlready(t)
				}
				undone()
			})
		}
	}
}

// Random moments, in the middle of steps too.
func TestKilledAtRandomMoments(t *testing.T) {
	times := 4
	if allFaults() {
		times = 200
	}
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	for i := range times {
		sc, after := scenes()[i%2], time.Duration(random.IntN(150))*time.Millisecond
		t.Run(fmt.Sprintf("%s/%d/%s", sc.name, i, after), func(t *testing.T) {
			t.Parallel()
			killedInit(t, sc, 0, after, i%3 == 0)
		})
	}
}

// The default of the address may change between two runs; the node's does not.
func TestResumedInitKeepsItsAddress(t *testing.T) {
	m := newMachine(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	m.progress = &boundary{n: 8, at: cancel}
	if _, err := m.init(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	cfg := config.Default(m.root)
	f := gather(t, cfg)
	f.Hostname, f.DefaultAddress = "renamed", netip.MustParseAddr("192.0.2.7")
	cfg = cfg.Complete(f.HostFacts(cfg))
	if cfg.Node.Name != "node-1" || cfg.Node.AdvertiseAddress != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("it is %s at %s now", cfg.Node.Name, cfg.Node.AdvertiseAddress)
	}
}
