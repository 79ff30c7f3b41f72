//go:build e2e

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// externalEtcdFile starts an etcd that lets nobody in without a certificate of its own CA.
func externalEtcdFile(t *testing.T, n *node) (init, cluster string) {
	n.pods = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"}
	server := t.TempDir()
	etcdCertificates(n, server, filepath.Join(n.root, "etc/etcd"))
	startEtcd(t, n, server)
	return "", fmt.Sprintf(`etcd:
  external:
    endpoints: ["https://127.0.0.1:%d"]
    caFile: /etc/etcd/ca.crt # below the root
    certFile: /etc/etcd/client.crt
    keyFile: /etc/etcd/client.key
`, n.ports()["etcd"])
}

// Nothing of an etcd is made here, and what the API server writes is in the
// other one, which asks for a certificate.
func externalEtcdSeen(t *testing.T, n *node) {
	for _, path := range []string{"etc/kubernetes/manifests/etcd.yaml", "etc/kubernetes/pki/etcd", "var/lib/etcd"} {
		if _, err := os.Lstat(filepath.Join(n.root, path)); err == nil {
			t.Errorf("init made %s", path)
		}
	}
	key := base64.StdEncoding.EncodeToString([]byte("/registry/namespaces/kube-system"))
	if got, err := askEtcd(n, "/v3/kv/range", `{"key": "`+key+`"}`, true); err != nil || !strings.Contains(got, `"count":"1"`) {
		t.Errorf("the external etcd has no namespace kube-system: %s, %v", got, err)
	}
	if got, err := askEtcd(n, "/version", "", false); err == nil {
		t.Errorf("the external etcd answers somebody without a certificate: %s", got)
	}
}

// askEtcd asks the external etcd through its JSON gateway, with or without the API server's certificate.
func askEtcd(n *node, path, body string, known bool) (string, error) {
	n.t.Helper()
	dir := filepath.Join(n.root, "etc/etcd")
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		n.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	settings := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if known {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key"))
		if err != nil {
			n.t.Fatal(err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: settings}}
	defer client.CloseIdleConnections()
	resp, err := client.Post(fmt.Sprintf("https://127.0.0.1:%d%s", n.ports()["etcd"], path), "application/json", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return string(data), err
}

// etcdCertificates makes a CA, a server's pair in one directory and a client's in the other, as its owner would.
func etcdCertificates(n *node, server, client string) {
	n.t.Helper()
	now := time.Now()
	valid := func(name string, c x509.Certificate) *x509.Certificate {
		c.SerialNumber, c.Subject = big.NewInt(now.UnixNano()), pkix.Name{CommonName: name}
		c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.Add(time.Hour)
		return &c
	}
	ca := valid("somebody's CA", x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	caKey := newKey(n.t)
	caPEM := string(signed(n.t, ca, ca, caKey.Public(), caKey))
	for _, leaf := range []struct {
		dir, name string
		template  x509.Certificate
	}{
		{server, "server", x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}},
		{client, "client", x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}},
	} {
		key := newKey(n.t)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			n.t.Fatal(err)
		}
		n.write(filepath.Join(leaf.dir, "ca.crt"), caPEM)
		n.write(filepath.Join(leaf.dir, leaf.name+".crt"), string(signed(n.t, valid(leaf.name, leaf.template), ca, key.Public(), caKey)))
		n.write(filepath.Join(leaf.dir, leaf.name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// startEtcd runs the real etcd at the node's etcd ports, outside of its root, until the test ends.
func startEtcd(t *testing.T, n *node, dir string) {
	t.Helper()
	client := fmt.Sprintf("https://127.0.0.1:%d", n.ports()["etcd"])
	peer := fmt.Sprintf("https://127.0.0.1:%d", n.ports()["etcd peer"])
	file := func(name string) string { return filepath.Join(dir, name) }
	cmd := exec.Command(filepath.Join(*bin, "components"), "etcd", "--name=theirs", "--data-dir="+file("data"),
		"--listen-client-urls="+client, "--advertise-client-urls="+client, "--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer, "--initial-cluster=theirs="+peer, "--client-cert-auth", "--peer-client-cert-auth",
		"--cert-file="+file("server.crt"), "--key-file="+file("server.key"), "--trusted-ca-file="+file("ca.crt"),
		"--peer-cert-file="+file("server.crt"), "--peer-key-file="+file("server.key"), "--peer-trusted-ca-file="+file("ca.crt"))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		err := cmd.Wait()
		if t.Failed() {
			t.Logf("the external etcd ended with %v, its log:\n%s", err, log.String())
		}
	})
	n.eventually(time.Minute, "the external etcd answers", func() error {
		_, err := askEtcd(n, "/health", "", true)
		return err
	})
}
