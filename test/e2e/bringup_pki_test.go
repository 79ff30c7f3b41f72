//go:build e2e

package e2e

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
)

func rsaFile(*testing.T, *node) (init, cluster string) { return "", "encryptionAlgorithm: RSA-2048" }

// Every certificate, key and kubeconfig is RSA, and so is what the API server serves.
func rsaSeen(t *testing.T, n *node) {
	count := 0
	for path, cert := range n.allCertificates() {
		if key, ok := cert.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() != 2048 {
			t.Errorf("%s has a key of %s", path, cert.PublicKeyAlgorithm)
		}
		count++
	}
	if count != 14 { // 3 authorities, 7 certificates, 4 kubeconfigs
		t.Errorf("%d certificates were found", count)
	}
	token, err := os.ReadFile(filepath.Join(n.root, "etc/kubernetes/pki/sa.key"))
	if err != nil || !strings.Contains(string(token), "RSA PRIVATE KEY") {
		t.Errorf("the service account key is no RSA key (%v)", err)
	}
	if cert := n.servedCertificate("127.0.0.1"); cert.PublicKeyAlgorithm != x509.RSA {
		t.Errorf("the API server serves a certificate of %s", cert.PublicKeyAlgorithm)
	}
}

// servedCertificate is the one that the API server shows at an address, verified against the cluster's CA.
func (n *node) servedCertificate(host string) *x509.Certificate {
	n.t.Helper()
	ca, err := os.ReadFile(filepath.Join(n.root, "etc/kubernetes/pki/ca.crt"))
	if err != nil {
		n.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", net.JoinHostPort(host, strconv.Itoa(n.ports()["kube-apiserver"])),
		&tls.Config{RootCAs: roots, ServerName: "kubernetes", MinVersion: tls.VersionTLS12})
	if err != nil {
		n.t.Fatalf("the API server cannot be reached at %s: %v", host, err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// allCertificates are those below the Kubernetes directory, those in kubeconfigs too, by path.
func (n *node) allCertificates() map[string]*x509.Certificate {
	n.t.Helper()
	found := map[string]*x509.Certificate{}
	err := filepath.WalkDir(filepath.Join(n.root, "etc/kubernetes"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch filepath.Ext(path) {
		case ".conf":
			data = clientCertificate(n.t, data)
		case ".crt":
		default:
			return nil
		}
		block, _ := pem.Decode(data)
		if block == nil {
			n.t.Fatalf("there is no certificate in %s", path)
		}
		found[path], err = x509.ParseCertificate(block.Bytes)
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return found
}

// externalCAFile puts everything there but the keys of the authorities, which
// stay with somebody else: nothing can be signed on this machine.
func externalCAFile(t *testing.T, n *node) (init, cluster string) {
	owner := *n
	owner.root = filepath.Join(n.base, "owner")
	for _, phase := range []string{"certs", "kubeconfig"} {
		owner.must("init", "phase", phase, "--apiserver-advertise-address", "127.0.0.1")
	}
	for _, ca := range []string{"ca", "front-proxy-ca", "etcd/ca"} {
		if err := os.Remove(filepath.Join(owner.root, "etc/kubernetes/pki", ca+".key")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(n.root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(owner.root, "etc/kubernetes"), filepath.Join(n.root, "etc/kubernetes")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(owner.root); err != nil {
		t.Fatal(err)
	}
	return "", ""
}

// The controller manager is told of no key to sign with.
func externalCASeen(_ *testing.T, n *node) {
	n.wantProc("kube-controller-manager", procfs.Args, "--cluster-signing-cert-file=", "--cluster-signing-key-file=")
}

var clientCertificateData = regexp.MustCompile(`client-certificate-data: (\S+)`)

// clientCertificate is the PEM of the certificate in a kubeconfig.
func clientCertificate(t testing.TB, kubeconfig []byte) []byte {
	t.Helper()
	found := clientCertificateData.FindSubmatch(kubeconfig)
	if found == nil {
		t.Fatal("there is no certificate in the kubeconfig")
	}
	data, err := base64.StdEncoding.DecodeString(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// signed is the PEM of a certificate.
func signed(t testing.TB, template, ca *x509.Certificate, public crypto.PublicKey, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, ca, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
