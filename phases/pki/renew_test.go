package pki

import (
	"bytes"
	"crypto/x509"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// Renewal keeps what the file says, as kubeadm does, whatever the configuration says by now; only key,
// serial and time are new. It works on certificates that have expired.
func TestRenewKeepsSubjectAndNames(t *testing.T) {
	t.Parallel()
	ca, spec := mustCA(t, "ca"), specNamed(t, "apiserver")
	old := custom(t, spec, &ca, func(c *x509.Certificate) {
		c.Subject.Organization = []string{"ours"}
		c.DNSNames = append(c.DNSNames, "added.by.hand")
		c.NotAfter = now.Add(-time.Hour)
	})
	renewed, err := Renew(spec, old.CertPEM, ca, testParams())
	if err != nil {
		t.Fatal(err)
	}
	was, is := old.Certificate(), renewed.Certificate()
	if !reflect.DeepEqual(specOf(was), specOf(is)) {
		t.Errorf("was %+v, is %+v", specOf(was), specOf(is))
	}
	if was.SerialNumber.Cmp(is.SerialNumber) == 0 || samePublic(was.PublicKey, is.PublicKey) {
		t.Error("serial or key is the old one")
	}
	if !is.NotBefore.Equal(now.Add(-5*time.Minute)) || !is.NotAfter.Equal(now.Add(8760*time.Hour)) {
		t.Errorf("valid from %s to %s", is.NotBefore, is.NotAfter)
	}
	if err := Check(spec, renewed.CertPEM, renewed.KeyPEM, ca.CertPEM, now); err != nil {
		t.Error(err)
	}
	if _, err := Renew(specNamed(t, "ca"), ca.CertPEM, ca, testParams()); err == nil {
		t.Error("a CA was renewed")
	}
	_, err = Renew(spec, []byte("x"), ca, testParams())
	wantReason(t, err, Broken, "apiserver.crt")
	external, err := Load(ca.CertPEM, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Renew(spec, old.CertPEM, external, testParams())
	wantReason(t, err, NeedsExternalCA, "apiserver.crt")
}

// The algorithm of an existing key is known, in a certificate and in a kubeconfig.
func TestAlgorithmOf(t *testing.T) {
	t.Parallel()
	ca := mustCA(t, "ca")
	for _, alg := range []config.KeyAlgorithm{config.ECDSAP256, config.ECDSAP384, config.RSA2048, config.RSA3072} {
		p := testParams()
		p.Algorithm = alg
		pair, err := Issue(specNamed(t, "apiserver"), ca, p)
		if err != nil {
			t.Fatal(err)
		}
		kubeconfig, err := NewKubeconfig(adminSpec(), ca, p)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := AlgorithmOf(pair.CertPEM), AlgorithmOf(kubeconfig); a != alg || b != alg {
			t.Errorf("%s: %s in a certificate, %s in a kubeconfig", alg, a, b)
		}
	}
	if got := AlgorithmOf([]byte("nothing")); got != config.ECDSAP256 {
		t.Error(got)
	}
}

// A kubeconfig's renewal changes key, certificate and CA of the current context, and nothing else in the file.
func TestRenewKubeconfig(t *testing.T) {
	t.Parallel()
	oldCA, ca := mustCA(t, "ca"), mustCA(t, "ca")
	old := string(mustKubeconfig(t, adminSpec(), oldCA))
	old = strings.Replace(old, "users:\n", "users:\n- name: another\n  user:\n    token: keep-me\n", 1)
	old = strings.Replace(old, "    user: kubernetes-admin\n", "    namespace: mine\n    user: kubernetes-admin\n", 1)
	old = strings.Replace(old, "192.0.2.10", "192.0.2.99", 1)
	got, err := RenewKubeconfig("admin.conf", []byte(old), ca, testParams())
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{
		"token: keep-me", "namespace: mine", "https://192.0.2.99:6443", "current-context: kubernetes-admin@kubernetes",
	} {
		if !strings.Contains(string(got), kept) {
			t.Errorf("%q is lost in\n%s", kept, got)
		}
	}
	// What is left to say of it is that its server is another: so all else is right.
	wantReason(t, CheckKubeconfig(adminSpec(), got, ca.CertPEM, now), WrongServer)
	_, err = RenewKubeconfig("admin.conf", []byte("{}"), ca, testParams())
	wantReason(t, err, Broken, "admin.conf")
}

// The listing of `certs check`: every certificate of the node in kubeadm's order, what is missing or broken among them.
func TestExpiries(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.Runtime = config.RuntimeKubelet // kubelet.conf is the kubelet's to renew, so it is not listed
	have := map[string][]byte{}
	cas := map[string]Pair{}
	for _, spec := range Specs(cfg) {
		var pair Pair
		if spec.IsCA() {
			pair = mustCA(t, spec.Name)
			cas[spec.Name] = pair
		} else {
			pair = mustIssue(t, spec, cas[spec.Signer])
		}
		have[spec.CertFile()], have[spec.KeyFile()] = pair.CertPEM, pair.KeyPEM
	}
	for _, spec := range KubeconfigSpecs(cfg) {
		have[spec.Name] = mustKubeconfig(t, spec, cas["ca"])
	}
	delete(have, "front-proxy-ca.key")
	delete(have, "scheduler.conf")
	have["etcd/peer.crt"] = []byte("junk")
	peerless := bytes.Clone(have["controller-manager.conf"])
	have["controller-manager.conf"] = bytes.Replace(peerless, []byte("client-certificate-data"), []byte("token"), 1)

	later := now.Add(8760*time.Hour + 36*time.Hour) // a day and a half after the leaves' end
	type line struct {
		name, ca string
		days     int
		external bool
		problem  string
	}
	want := []line{
		{"apiserver", "ca", -2, false, ""},
		{"apiserver-kubelet-client", "ca", -2, false, ""},
		{"front-proxy-client", "front-proxy-ca", -2, true, ""},
		{"etcd-server", "etcd-ca", -2, false, ""},
		{"etcd-peer", "etcd-ca", 0, false, "it holds no PEM block in its 4 bytes"},
		{"etcd-healthcheck-client", "etcd-ca", -2, false, ""},
		{"apiserver-etcd-client", "etcd-ca", -2, false, ""},
		{"admin.conf", "ca", -2, false, ""},
		{"super-admin.conf", "ca", -2, false, ""},
		{"controller-manager.conf", "ca", 0, false, "it holds no client certificate"},
		{"scheduler.conf", "ca", 0, false, "missing"},
		{"ca", "", 3283, false, ""},
		{"front-proxy-ca", "", 3283, true, ""},
		{"etcd-ca", "", 3283, false, ""},
	}
	got := Expiries(cfg, have, later)
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i, e := range got {
		if l := (line{e.Name, e.CA, e.Days, e.ExternallyManaged, e.Problem}); l != want[i] {
			t.Errorf("line %d is %+v, want %+v", i, l, want[i])
		}
		if e.Problem == "" && (e.Subject == "" || e.Expires.IsZero() || have[e.File] == nil) {
			t.Errorf("line %d lacks something: %+v", i, e)
		}
	}
	if got[3].File != "etcd/server.crt" || got[3].Subject != "CN=node-1" || !got[3].Expires.Equal(now.Add(8760*time.Hour)) {
		t.Errorf("etcd-server: %+v", got[3])
	}
	if days := Expiries(cfg, have, now)[0].Days; days != 365 {
		t.Errorf("%d days left of a new certificate", days)
	}
}
