//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sick is init on a machine where a component cannot become healthy: it must end long before its
// timeout of four minutes, with exit code 4, and say what is wanted.
func (n *node) sick(r result, texts ...string) {
	n.t.Helper()
	const unhealthy = 4
	if r.code != unhealthy || r.took > 40*time.Second {
		n.t.Errorf("want exit code %d, soon: %s", unhealthy, r)
	}
	for _, text := range texts {
		if !strings.Contains(r.stderr, text) {
			n.t.Errorf("%q is not in %s", text, r)
		}
	}
}

// init ends as soon as a cause is certain, and not for what passes.
func TestDiagnoseInit(t *testing.T) {
	components := newLab(t).components

	t.Run("a port taken after preflight", func(t *testing.T) {
		n := newNode(t)
		t.Cleanup(n.killAll)
		taken := make(chan net.Listener, 1)
		go func() { // etcd binds its ports when its certificates are there
			for end := time.Now().Add(time.Minute); time.Now().Before(end); {
				if _, err := os.Stat(filepath.Join(n.root, "etc/kubernetes/pki")); err == nil {
					break
				}
			}
			held, _ := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n.ports()["etcd metrics"]))
			taken <- held
		}()
		r := n.run(time.Minute, "init", "--components-dir", components, "--apiserver-advertise-address", "127.0.0.1")
		held := <-taken
		if held == nil {
			t.Fatalf("cannot take the port: %s", r)
		}
		defer held.Close()
		n.sick(r, fmt.Sprintf("cause: port %d is taken by %s (PID %d)", n.ports()["etcd metrics"], filepath.Base(os.Args[0]), os.Getpid()),
			"ended with exit code 1", "address already in use", fmt.Sprintf("hint: stop it: 'kill %d'", os.Getpid()))
	})
	t.Run("an unknown flag", func(t *testing.T) {
		n := newNode(t)
		t.Cleanup(n.killAll)
		config := filepath.Join(n.base, "kubeadm.yaml")
		text := "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: 127.0.0.1}\n---\n" +
			"apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\napiServer:\n  extraArgs:\n" +
			"  - {name: enable-admision-plugins, value: NodeRestriction}\n"
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := n.run(time.Minute, "init", "--config", config, "--components-dir", components)
		n.sick(r, "cause: kube-apiserver has no flag --enable-admision-plugins; it has --enable-admission-plugins",
			"Error: unknown flag: --enable-admision-plugins", "hint: 'sed -i ")
	})
	t.Run("an etcd that takes its time", func(t *testing.T) {
		t.Parallel() // it mostly waits
		n := newNode(t)
		t.Cleanup(n.killAll)
		cmd := n.command(t.Context(), "init", "--components-dir", components, "--apiserver-advertise-address", "127.0.0.1")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pid := n.findEtcd()
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Second) // several looks at an API server that waits for etcd
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("init has given up: %v\n%s", err, stderr.String())
		}
	})
	t.Run("an etcd that was stopped", func(t *testing.T) {
		t.Parallel() // it mostly waits
		n := newNode(t)
		t.Cleanup(n.killAll)
		done := make(chan result, 1)
		go func() {
			done <- n.run(time.Minute, "init", "--components-dir", components, "--apiserver-advertise-address", "127.0.0.1")
		}()
		pid := n.findEtcd()
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
		n.sick(<-done, "cause: process "+strconv.Itoa(pid)+" does nothing: it was stopped by a signal (SIGSTOP)",
			"hint: 'kill -CONT "+strconv.Itoa(pid)+"'")
	})
}

// killAll ends all of the node at once: a reset would wait for an API server that waits for etcd.
func (n *node) killAll() {
	for range 3 { // the supervisor may start one more
		for _, p := range n.processes() {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
}

// findEtcd waits for the etcd process of the node, without asking the supervisor, which is slower.
func (n *node) findEtcd() int {
	n.t.Helper()
	pid := 0
	n.eventually(time.Minute, "there is an etcd", func() error {
		for _, p := range n.processes() {
			dir := func(arg string) bool { return strings.HasPrefix(arg, "--data-dir="+n.root+"/") }
			if len(p.args) > 0 && filepath.Base(p.args[0]) == "etcd" && slices.ContainsFunc(p.args, dir) {
				pid = p.pid
				return nil
			}
		}
		return errors.New("there is none")
	})
	return pid
}
