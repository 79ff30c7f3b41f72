package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// Every certificate of the table, made and looked at field by field, as kubeadm makes it.
func TestIssuedCertificatesAreKubeadms(t *testing.T) {
	t.Parallel()
	cas := map[string]Pair{}
	for _, spec := range Specs(testConfig()) {
		var pair Pair
		var err error
		if spec.IsCA() {
			pair, err = NewCA(spec, testParams())
			cas[spec.Name] = pair
		} else {
			pair, err = Issue(spec, cas[spec.Signer], testParams())
		}
		if err != nil {
			t.Fatalf("%s: %v", spec.Name, err)
		}
		cert := pair.Certificate()
		checkFields(t, spec, cert)
		if spec.IsCA() {
			if err := cert.CheckSignatureFrom(cert); err != nil {
				t.Errorf("%s: %v", spec.Name, err)
			}
			continue
		}
		ca := cas[spec.Signer].Certificate()
		if !bytes.Equal(cert.AuthorityKeyId, ca.SubjectKeyId) || len(ca.SubjectKeyId) == 0 {
			t.Errorf("%s: authority key id %x, the CA's subject key id is %x", spec.Name, cert.AuthorityKeyId, ca.SubjectKeyId)
		}
		pool := x509.NewCertPool()
		pool.AddCert(ca)
		for _, usage := range spec.Usages {
			opts := x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}
			if _, err := cert.Verify(opts); err != nil {
				t.Errorf("%s as %s: %v", spec.Name, usageName(usage), err)
			}
		}
		if err := Check(spec, pair.CertPEM, pair.KeyPEM, cas[spec.Signer].CertPEM, now); err != nil {
			t.Errorf("what was just made is refused: %v", err)
		}
	}
}

func checkFields(t *testing.T, spec Spec, cert *x509.Certificate) {
	t.Helper()
	usage, until := x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment, now.Add(8760*time.Hour)
	if spec.IsCA() {
		usage, until = usage|x509.KeyUsageCertSign, now.Add(87600*time.Hour)
	}
	got := specOf(cert)
	got.Name, got.Signer = spec.Name, spec.Signer
	if !reflect.DeepEqual(got, spec) {
		t.Errorf("certificate says\n%+v, want\n%+v", got, spec)
	}
	for what, ok := range map[string]bool{
		"version is 3":                  cert.Version == 3,
		"subject is CN alone":           len(cert.Subject.Names) == 1,
		"key usage":                     cert.KeyUsage == usage,
		"basic constraints":             cert.BasicConstraintsValid && cert.IsCA == spec.IsCA(),
		"no path length":                cert.MaxPathLen <= 0 && !cert.MaxPathLenZero,
		"valid from 5 minutes ago":      cert.NotBefore.Equal(now.Add(-5 * time.Minute)),
		"valid for the whole period":    cert.NotAfter.Equal(until),
		"serial of at most 63 bits":     cert.SerialNumber.Sign() > 0 && cert.SerialNumber.Cmp(big.NewInt(math.MaxInt64)) < 0,
		"no address or URI names":       len(cert.EmailAddresses)+len(cert.URIs) == 0,
		"key usage extension critical":  critical(cert, "2.5.29.15"),
		"constraint extension critical": critical(cert, "2.5.29.19"),
	} {
		if !ok {
			t.Errorf("%s: not so: %s", spec.Name, what)
		}
	}
}

func critical(cert *x509.Certificate, oid string) bool {
	for _, e := range cert.Extensions {
		if e.Id.String() == oid {
			return e.Critical
		}
	}
	return false
}

// The key algorithms of kubeadm's encryptionAlgorithm, and the PEM types that kubeadm writes for each.
func TestKeyAlgorithms(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		alg   config.KeyAlgorithm
		block string
		bits  int
	}{
		{config.ECDSAP256, "EC PRIVATE KEY", 256},
		{config.ECDSAP384, "EC PRIVATE KEY", 384},
		{config.RSA2048, "RSA PRIVATE KEY", 2048},
		{config.RSA3072, "RSA PRIVATE KEY", 3072},
	} {
		t.Run(string(tc.alg), func(t *testing.T) {
			t.Parallel()
			p := testParams()
			p.Algorithm = tc.alg
			ca, err := NewCA(specNamed(t, "ca"), p)
			if err != nil {
				t.Fatal(err)
			}
			b, rest := pem.Decode(ca.KeyPEM)
			if b == nil || b.Type != tc.block || len(rest) > 0 {
				t.Errorf("key PEM is %v", b)
			}
			bits := 0
			switch pub := ca.Certificate().PublicKey.(type) {
			case *rsa.PublicKey:
				bits = pub.N.BitLen()
			case *ecdsa.PublicKey:
				bits = pub.Curve.Params().BitSize
			}
			if bits != tc.bits {
				t.Errorf("key has %d bits, want %d", bits, tc.bits)
			}
			if err := Check(specNamed(t, "ca"), ca.CertPEM, ca.KeyPEM, nil, now); err != nil {
				t.Error(err)
			}
		})
	}
	p := testParams()
	p.Algorithm = "DSA"
	if _, err := NewCA(specNamed(t, "ca"), p); err == nil || !strings.Contains(err.Error(), `"DSA"`) {
		t.Errorf("unknown algorithm: error %v", err)
	}
}

// RSA CA and ECDSA leaf: what happens when the algorithm is changed in a running cluster.
func TestIssueFromCAOfAnotherAlgorithm(t *testing.T) {
	t.Parallel()
	p := testParams()
	p.Algorithm = config.RSA2048
	made, err := NewCA(specNamed(t, "ca"), p)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := Load(made.CertPEM, made.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	leaf := mustIssue(t, specNamed(t, "apiserver"), ca)
	if err := Check(specNamed(t, "apiserver"), leaf.CertPEM, leaf.KeyPEM, ca.CertPEM, now); err != nil {
		t.Error(err)
	}
}

// An external CA: the certificate is here, the key is not, and the error says what to provide, and where.
func TestIssueWithoutTheKeyOfTheCA(t *testing.T) {
	t.Parallel()
	ca, err := Load(mustCA(t, "etcd/ca").CertPEM, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ca.HasKey() {
		t.Error("a CA without a key has one")
	}
	_, err = Issue(specNamed(t, "etcd/server"), ca, testParams())
	err = Locate(err, "/etc/kubernetes/pki")
	wantReason(t, err, NeedsExternalCA, "/etc/kubernetes/pki/etcd/ca.crt",
		"/etc/kubernetes/pki/etcd/server.crt, /etc/kubernetes/pki/etcd/server.key")
	all := Locate(ExternalCA("ca.crt", "apiserver.crt", "/etc/kubernetes/admin.conf"), "/etc/kubernetes/pki")
	wantReason(t, all, NeedsExternalCA, "cannot use /etc/kubernetes/pki/ca.crt",
		"/etc/kubernetes/pki/apiserver.crt, /etc/kubernetes/admin.conf")
}

// What a plan must never ask for.
func TestIssueRefusesNonsense(t *testing.T) {
	t.Parallel()
	ca := mustCA(t, "ca")
	for name, err := range map[string]error{
		"leaf as CA":     second(NewCA(specNamed(t, "apiserver"), testParams())),
		"CA as leaf":     second(Issue(specNamed(t, "ca"), ca, testParams())),
		"no common name": second(Issue(Spec{Name: "x", Signer: "ca", Usages: Usages{x509.ExtKeyUsageClientAuth}}, ca, testParams())),
		"no usage":       second(Issue(Spec{Name: "x", Signer: "ca", CommonName: "x"}, ca, testParams())),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func second(_ Pair, err error) error { return err }

// Keys must not end in logs, whatever prints a pair.
func TestPairNeverShowsItsKey(t *testing.T) {
	t.Parallel()
	pair := mustCA(t, "ca")
	b, _ := pem.Decode(pair.KeyPEM)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "pair", pair, "in", []Pair{pair})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("made", "pair", pair, "in", struct{ P Pair }{pair})
	asJSON, err := json.Marshal(pair)
	if err != nil {
		t.Fatal(err)
	}
	outputs := []string{log.String(), string(asJSON), pair.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		outputs = append(outputs, fmt.Sprintf(verb, pair), fmt.Sprintf(verb, &pair), fmt.Sprintf(verb, struct{ P Pair }{pair}))
	}
	for _, out := range outputs {
		for _, secret := range []string{
			string(pair.KeyPEM[40:60]), fmt.Sprintf("%x", b.Bytes[20:28]), fmt.Sprintf("%X", pair.KeyPEM[40:60]),
			fmt.Sprintf("%x", pair.KeyPEM[40:60]), strings.Trim(fmt.Sprintf("%d", pair.KeyPEM[40:60]), "[]"),
		} {
			if strings.Contains(out, secret) {
				t.Errorf("the key is in %.200q", out)
			}
		}
	}
	if got := pair.String(); got != `certificate "CN=kubernetes" (key redacted)` {
		t.Errorf("String is %s", got)
	}
}

// The service account key pair in kubeadm's PEM forms, and every way in which it can be wrong.
func TestServiceAccountKeys(t *testing.T) {
	t.Parallel()
	key, pub, err := NewServiceAccountKey(config.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := pem.Decode(key); b == nil || b.Type != "EC PRIVATE KEY" {
		t.Errorf("sa.key is %s", b.Type)
	}
	if b, _ := pem.Decode(pub); b == nil || b.Type != "PUBLIC KEY" {
		t.Errorf("sa.pub is %s", b.Type)
	}
	if again, err := ServiceAccountPublicKey(key); err != nil || !bytes.Equal(again, pub) {
		t.Errorf("public key again: %v, equal %t", err, bytes.Equal(again, pub))
	}
	_, otherPub, err := NewServiceAccountKey(config.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckServiceAccountKey(key, pub); err != nil {
		t.Error(err)
	}
	if err := CheckServiceAccountKey(key, append(bytes.Clone(otherPub), pub...)); err != nil {
		t.Errorf("sa.pub with an older key in front: %v", err)
	}
	check := func(key, pub []byte) error { return Locate(CheckServiceAccountKey(key, pub), "/pki") }
	wantReason(t, check(nil, nil), Missing, "cannot use /pki/sa.key: it does not exist")
	wantReason(t, check(nil, pub), Missing, "/pki/sa.key", "but /pki/sa.pub does")
	wantReason(t, check(key, nil), Missing, "/pki/sa.pub", "but /pki/sa.key does")
	wantReason(t, check(key, otherPub), KeyMismatch, "/pki/sa.pub", "/pki/sa.key")
	wantReason(t, check([]byte{}, pub), Broken, "/pki/sa.key", "empty")
	wantReason(t, check(key, pub[:len(pub)/2]), Broken, "/pki/sa.pub", "PEM block 1")
	junk := []byte(pemOf("PUBLIC KEY", []byte("junk")))
	wantReason(t, check(key, junk), Broken, "/pki/sa.pub", "no RSA or ECDSA public key")
	wantReason(t, check(pub, pub), Broken, "/pki/sa.key", "holds no private key, only PEM block 1 (PUBLIC KEY, line 1)")
}
