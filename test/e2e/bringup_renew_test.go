//go:build e2e

package e2e

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A control plane that was stopped for longer than its certificates were valid
// does not start, and says why; certs renew all brings it back with its data.
func TestRenewExpired(t *testing.T) {
	n := newNode(t)
	before := n.snapshot()
	n.init()
	n.kubectl("create", "configmap", "before", "--from-literal=kept=yes")
	n.stop()
	expired := n.expire(t)

	const refused = 5
	r := n.run(time.Minute, "init", "--apiserver-advertise-address", "127.0.0.1")
	if r.code != refused || !strings.Contains(r.stderr, "certificate expired on") || !strings.Contains(r.stderr, "certs renew") {
		t.Errorf("init does not say what has expired, and how to renew it: %s", r)
	}
	for _, path := range expired {
		if !strings.Contains(r.stderr, path) {
			t.Errorf("init does not name %s", path)
		}
	}
	if r := n.run(time.Minute, "certs", "check"); r.code != 1 {
		t.Errorf("certs check finds nothing wrong: %s", r)
	}
	if len(n.processes()) > 0 {
		t.Errorf("something was started: %v", n.processes())
	}

	n.must("certs", "renew", "all")
	for path, cert := range n.allCertificates() {
		if time.Now().After(cert.NotAfter) {
			t.Errorf("%s is still expired", path)
		}
	}
	n.init()
	n.waitReady()
	if got := n.kubectl("get", "configmap", "before", "-o", "jsonpath={.data.kept}"); got != "yes" {
		t.Errorf("what was written before is %q", got)
	}
	n.check(t, check{"readyz", testReadyz})
	for name, user := range map[string]string{"admin": "kubernetes-admin", "super-admin": "kubernetes-super-admin",
		"controller-manager": "system:kube-controller-manager", "scheduler": "system:kube-scheduler"} {
		got := n.kubectl("auth", "whoami", "--kubeconfig", filepath.Join(n.root, "etc/kubernetes", name+".conf"),
			"-o", "jsonpath={.status.userInfo.username}")
		if got != user {
			t.Errorf("the API server takes the user of %s.conf for %q", name, got)
		}
	}
	n.resetClean(before)
}

// stop ends the supervisor such that it stops all pods in order first.
func (n *node) stop() {
	n.t.Helper()
	if err := syscall.Kill(n.status().Supervisor.PID, syscall.SIGINT); err != nil {
		n.t.Fatal(err)
	}
	n.eventually(time.Minute, "everything is stopped", func() error {
		if left := n.processes(); len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	})
}

// expire replaces each certificate but the authorities' by one that ended a
// month ago, and returns their files. Names, keys and signers are the same.
func (n *node) expire(t *testing.T) (files []string) {
	all := n.allCertificates()
	pki := filepath.Join(n.root, "etc/kubernetes/pki")
	for path, cert := range all {
		if cert.IsCA {
			continue
		}
		ca := "ca"
		switch cert.Issuer.CommonName {
		case "front-proxy-ca":
			ca = "front-proxy-ca"
		case "etcd-ca":
			ca = "etcd/ca"
		}
		cert.NotBefore, cert.NotAfter = time.Now().AddDate(-1, -1, 0), time.Now().AddDate(0, -1, 0)
		made := signed(t, cert, all[filepath.Join(pki, ca+".crt")], cert.PublicKey, readKey(t, filepath.Join(pki, ca+".key")))
		if filepath.Ext(path) == ".conf" {
			config, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			encode := base64.StdEncoding.EncodeToString
			made = bytes.Replace(config, []byte(encode(clientCertificate(t, config))), []byte(encode(made)), 1)
		}
		if err := os.WriteFile(path, made, 0o600); err != nil { // the mode stays
			t.Fatal(err)
		}
		files = append(files, path)
	}
	return files
}

func readKey(t *testing.T, path string) crypto.Signer {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("there is no key in %s", path)
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
