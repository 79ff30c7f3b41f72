//go:build e2e

// Package e2e drives bin/kubecrank with the real components: it brings up
// control planes, each below a root directory of its own, breaks them, and
// looks at what is left. make e2e runs it; see CONTRIBUTING.md.
//
// Every test ends all that it started, also when it fails. Where a test needs
// rights or a machine that it does not have, it is skipped and says why.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/test/guardian"
)

var (
	program = flag.String("kubecrank", "../../bin/kubecrank", "the program under test")
	bin     = flag.String("bin", "../../bin", "the directory of the components that make built")
)

func TestMain(m *testing.M) {
	guardian.Guard()
	flag.Parse()
	path, err := filepath.Abs(*program)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot find the program under test, run make e2e:", err)
		os.Exit(1)
	}
	*program = path
	code := m.Run()
	faults.print(os.Stdout)
	os.Exit(code)
}

// node is one control plane below a root directory.
type node struct {
	t          testing.TB
	base       string // a temporary directory that everybody may enter
	root       string // base/root: does not exist before init; "" for the default paths
	offset     int
	cred       *syscall.Credential // nil: this process's own user
	components string              // the directory of its components; "" for those inside the program
	version    string              // of Kubernetes
	pods       []string            // the names of its pods, sorted
}

var lastOffset atomic.Int64

// newNode returns a node that was never touched. When the test ends, its
// control plane is reset if it still runs, and what reset leaves is removed.
func newNode(t testing.TB) *node {
	t.Helper()
	base, err := os.MkdirTemp("", "kubecrank-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, base: base, root: filepath.Join(base, "root"), offset: freeOffset(t), version: "v1.36.3", pods: components()}
	t.Cleanup(n.cleanUp)
	return n
}

// cleanUp ends what runs below the root without the program under test's help:
// it may be what is broken.
func (n *node) cleanUp() {
	if n.t.Failed() {
		n.evidence()
	}
	if len(n.processes()) > 0 {
		n.run(time.Minute, "reset", "--force")
	}
	for _, p := range n.processes() {
		n.t.Logf("still running, killed now: %s", p)
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
	n.removeCgroups()
	if err := os.RemoveAll(n.base); err != nil {
		n.t.Errorf("cannot clean up: %v", err)
	}
}

// evidence logs what helps to understand a failure.
func (n *node) evidence() {
	n.t.Logf("status: %s", n.run(10*time.Second, "status"))
	log, err := os.ReadFile(filepath.Join(n.root, "var/lib/kubecrank/supervisor.log"))
	if err != nil {
		n.t.Logf("no supervisor log: %v", err)
		return
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	n.t.Logf("the supervisor's last words:\n%s", strings.Join(lines[max(0, len(lines)-30):], "\n"))
}

// ports are those that DESIGN.md names, with the node's offset.
func (n *node) ports() map[string]int {
	return map[string]int{"kube-apiserver": 6443 + n.offset, "etcd": 2379 + n.offset, "etcd peer": 2380 + n.offset,
		"etcd metrics": 2381 + n.offset, "kube-controller-manager": 10257 + n.offset, "kube-scheduler": 10259 + n.offset}
}

// freeOffset finds a port offset at which all six ports are free.
func freeOffset(t testing.TB) int {
	t.Helper()
	start := 20000 + os.Getpid()%100*100
	for range 200 {
		n := &node{offset: start + int(lastOffset.Add(1))*20}
		free := n.offset < 50000
		for _, port := range n.ports() {
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
			if err != nil {
				free = false
				continue
			}
			l.Close()
		}
		if free {
			return n.offset
		}
	}
	t.Fatal("cannot find free ports")
	return 0
}

// result is how one run of the program ended.
type result struct {
	args           []string
	stdout, stderr string
	code           int
	took           time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("kubecrank %s: exit code %d after %s\nstdout: %s\nstderr: %s",
		strings.Join(r.args, " "), r.code, r.took.Round(time.Millisecond), r.stdout, r.stderr)
}

// command prepares a run of the program on this node. It sees no terminal and
// none of our environment but PATH.
func (n *node) command(ctx context.Context, args ...string) *exec.Cmd {
	all := []string{}
	if n.root != "" {
		all = append(all, "--root", n.root)
	}
	if n.offset != 0 {
		all = append(all, "--port-offset", strconv.Itoa(n.offset))
	}
	if n.components != "" {
		all = append(all, "--components-dir", n.components)
	}
	cmd := exec.CommandContext(ctx, *program, append(all, args...)...)
	cmd.Dir = n.base
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + n.base}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: n.cred}
	return cmd
}

// run runs the program to its end; after the limit it is killed.
func (n *node) run(limit time.Duration, args ...string) result {
	n.t.Helper()
	return n.runWithInput("", limit, args...)
}

func (n *node) runWithInput(stdin string, limit time.Duration, args ...string) result {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := n.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	cmd.WaitDelay = time.Second // what it leaves running does not hold our pipes
	start := time.Now()
	err := cmd.Run()
	r := result{args, stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), time.Since(start)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.t.Fatalf("cannot run it: %v\n%s", err, r)
	}
	return r
}

// must runs the program and wants exit code 0.
func (n *node) must(args ...string) result {
	n.t.Helper()
	r := n.run(2*time.Minute, args...)
	if r.code != 0 {
		n.t.Fatal(r)
	}
	return r
}

// init brings the control plane up.
func (n *node) init(args ...string) result {
	n.t.Helper()
	return n.must(append([]string{"init", "--apiserver-advertise-address", "127.0.0.1"}, args...)...)
}

// status asks the supervisor; it fails the test when nobody answers.
func (n *node) status() runtime.Status {
	n.t.Helper()
	r := n.run(10*time.Second, "status", "-o", "json")
	var s runtime.Status
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		n.t.Fatalf("cannot read the status: %v\n%s", err, r)
	}
	return s
}

// pod returns the status of one pod.
func (n *node) pod(name string) runtime.PodStatus {
	n.t.Helper()
	for _, p := range n.status().Pods {
		if p.Name == name {
			return p
		}
	}
	n.t.Fatalf("status knows no pod %s", name)
	return runtime.PodStatus{}
}

// pids are those of all pods, and their restart counts.
func (n *node) pids() map[string][2]int {
	n.t.Helper()
	pids := map[string][2]int{}
	for _, p := range n.status().Pods {
		pids[p.Name] = [2]int{p.PID, p.Restarts}
	}
	return pids
}

// waitReady waits until every pod is ready.
func (n *node) waitReady() {
	n.t.Helper()
	n.eventually(time.Minute, "all pods ready", func() error {
		if s := n.status(); !s.Ready || len(s.Pods) != len(n.pods) {
			return fmt.Errorf("ready: %t, %d pods: %+v", s.Ready, len(s.Pods), s.Pods)
		}
		return nil
	})
}

// components are the names of the four pods that there are by default.
func components() []string {
	return []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
}

// kubectl runs the embedded kubectl and returns its output.
func (n *node) kubectl(args ...string) string {
	n.t.Helper()
	return n.must(append([]string{"kubectl"}, args...)...).stdout
}

// eventually tries until there is no error.
func (n *node) eventually(limit time.Duration, what string, try func() error) {
	n.t.Helper()
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	n.t.Fatalf("not within %s: %s: %v", limit, what, err)
}
