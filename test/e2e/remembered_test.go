//go:build e2e

package e2e

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What init settled on holds for each verb that comes later, without a flag: the supervisor that is started again
// adopts all pods as they are, certs check knows where the certificates are, init has nothing to do. Another value is
// refused, and the error names both.
func TestRemembered(t *testing.T) {
	n := newNode(t)
	file := n.kubeadmFile("nodeRegistration: {name: x}", "certificatesDir: /secure/pki")
	n.must("init", "--config", file)
	before := n.pids()
	pid := n.status().Supervisor.PID
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	n.eventually(10*time.Second, "the supervisor has ended", func() error {
		if err := syscall.Kill(pid, 0); err == nil {
			return os.ErrExist
		}
		return nil
	})
	if r := n.run(10*time.Second, "supervise", "--node-name", "y"); r.code != 5 || !strings.Contains(r.stderr, "was x when init ran here, and is now y") {
		t.Error(r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := n.command(ctx, "supervise")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.waitReady()
	if after := n.pids(); !maps.Equal(before, after) {
		t.Errorf("the supervisor restarted pods: %v, then %v", before, after)
	}
	if r := n.must("certs", "check"); !strings.Contains(r.stdout, "apiserver-etcd-client") {
		t.Error(r)
	}
	if r := n.must("init"); !strings.Contains(r.stdout, "nothing was changed") {
		t.Error(r)
	}
	for flag, values := range map[string][2]string{
		"--node-name": {"y", "was x, and is now y"}, "--service-cidr": {"10.97.0.0/16", "was 10.96.0.0/12, and is now 10.97.0.0/16"},
	} {
		r := n.run(time.Minute, "init", flag, values[0])
		if r.code != 5 || !strings.Contains(r.stderr, values[1]) || !strings.Contains(r.stderr, "all data of the cluster is lost") {
			t.Error(r)
		}
	}
	if after := n.pids(); !maps.Equal(before, after) {
		t.Errorf("a verb restarted pods: %v, then %v", before, after)
	}
	if r := n.must("config", "show"); !strings.Contains(r.stdout, "name: x\n") {
		t.Error(r)
	}
	n.must("reset", "--force")
	_ = cmd.Wait() // reset has ended it
	n.wantNone("after the reset")
}

// wantNone fails the test if something of the node runs. What just got a signal may take a moment.
func (n *node) wantNone(when string) {
	n.t.Helper()
	n.eventually(30*time.Second, "nothing runs "+when, func() error {
		if len(n.processes()) > 0 {
			return os.ErrExist
		}
		return nil
	})
}

// Whatever happened to the journal, reset does not say that there is nothing while a control plane runs: it names the
// supervisor, and stops all of it if it is told to. init on such a root is one error.
func TestResetWithoutJournal(t *testing.T) {
	journal := func(n *node) string { return filepath.Join(n.root, "var/lib/kubecrank/journal.jsonl") }
	lost := func(n *node) error { return os.Remove(journal(n)) }
	rewrite := func(change func(string) string) func(*node) error {
		return func(n *node) error {
			data, err := os.ReadFile(journal(n))
			if err != nil {
				return err
			}
			return os.WriteFile(journal(n), []byte(change(string(data))), 0o600)
		}
	}
	for _, c := range []struct {
		name   string
		damage func(n *node) error
	}{
		{"lost", lost},
		{"lost, with the socket", func(n *node) error {
			return errors.Join(lost(n), os.Remove(filepath.Join(n.root, "run/kubecrank/supervisor.sock")))
		}},
		{"damaged", rewrite(func(s string) string { return strings.Replace(s, "\n{", "\n#", 3) })},
		{"empty", rewrite(func(string) string { return "" })},
		{"cut", rewrite(func(s string) string { return s[:strings.Index(s, `"phase":"certs"`)] })},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			n := newNode(t)
			n.init()
			if err := c.damage(n); err != nil {
				t.Fatal(err)
			}
			r := n.run(time.Minute, "reset")
			if r.code != 5 || strings.Contains(r.stdout+r.stderr, "nothing to reset") || strings.Contains(r.stdout+r.stderr, "nothing of kubecrank") {
				t.Error(r)
			}
			if r := n.run(time.Minute, "init", "--apiserver-advertise-address", "127.0.0.1"); r.code != 5 ||
				!strings.Contains(r.stderr, "a supervisor of this root (PID ") || strings.Contains(r.stderr, "problems") {
				t.Error(r)
			}
			r = n.run(2*time.Minute, "reset", "--force")
			n.wantNone("after: " + r.String())
			if strings.Contains(r.stdout, "nothing to reset") {
				t.Error(r)
			}
		})
	}
}

// The root is removed while a control plane runs: its supervisor stops the pods and ends. SIGINT does the same when
// only the socket was removed.
func TestRootRemoved(t *testing.T) {
	n := newNode(t)
	n.init()
	if err := os.RemoveAll(n.root); err != nil { // components may write meanwhile: once more
		_ = os.RemoveAll(n.root)
	}
	n.wantNone("after the root was removed")
	if err := os.RemoveAll(n.root); err != nil {
		t.Fatal(err)
	}
	n.init()
	pid := n.status().Supervisor.PID
	if err := os.Remove(filepath.Join(n.root, "run/kubecrank/supervisor.sock")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	n.wantNone("after SIGINT")
	n.must("reset", "--force")
}
