package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// kubeadm's table (getKubeConfigSpecsBase), in the order of its init phases, for the cases
// in which the two endpoints differ.
func TestKubeconfigSpecsAreKubeadms(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*config.Config)
		all    string
		local  string
	}{
		"no endpoint": {func(*config.Config) {}, "https://192.0.2.10:6443", "https://192.0.2.10:6443"},
		"endpoint with a port": {
			func(c *config.Config) { c.ControlPlaneEndpoint = "api.example:8443" }, "https://api.example:8443",
			"https://192.0.2.10:6443",
		},
		"endpoint without a port": {
			func(c *config.Config) { c.ControlPlaneEndpoint = "api.example" }, "https://api.example:6443",
			"https://192.0.2.10:6443",
		},
		"endpoint is IPv6": {
			func(c *config.Config) { c.ControlPlaneEndpoint = "2001:db8::7" }, "https://[2001:db8::7]:6443",
			"https://192.0.2.10:6443",
		},
		"endpoint is IPv6 with port": {
			func(c *config.Config) { c.ControlPlaneEndpoint = "[2001:db8::7]:1" }, "https://[2001:db8::7]:1",
			"https://192.0.2.10:6443",
		},
		"shifted ports and IPv6 node": {
			func(c *config.Config) { c.PortOffset, c.Node.AdvertiseAddress = 1000, netip.MustParseAddr("::1") },
			"https://[::1]:7443", "https://[::1]:7443",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig()
			cfg.Runtime, cfg.ClusterName = config.RuntimeKubelet, "prod"
			tc.change(&cfg)
			want := []KubeconfigSpec{
				{"admin.conf", "kubernetes-admin", "kubernetes-admin", []string{"kubeadm:cluster-admins"}, tc.all, "prod"},
				{"super-admin.conf", "kubernetes-super-admin", "kubernetes-super-admin", []string{"system:masters"}, tc.all, "prod"},
				{"kubelet.conf", "system:node:node-1", "system:node:node-1", []string{"system:nodes"}, tc.local, "prod"},
				{"controller-manager.conf", "system:kube-controller-manager", "system:kube-controller-manager", nil, tc.local, "prod"},
				{"scheduler.conf", "system:kube-scheduler", "system:kube-scheduler", nil, tc.local, "prod"},
			}
			if got := KubeconfigSpecs(cfg); !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%+v, want\n%+v", got, want)
			}
			// Without a kubelet nobody could use its kubeconfig.
			cfg.Runtime = config.RuntimeProcess
			if got := KubeconfigSpecs(cfg); !reflect.DeepEqual(got, append(want[:2:2], want[3:]...)) {
				t.Errorf("without a kubelet: got %+v", got)
			}
		})
	}
}

func adminSpec() KubeconfigSpec { return KubeconfigSpecs(testConfig())[0] }

func mustKubeconfig(t *testing.T, spec KubeconfigSpec, ca Pair) []byte {
	t.Helper()
	data, err := NewKubeconfig(spec, ca, testParams())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The bytes that kubeadm 1.36 writes, but for the three base64 values.
func TestNewKubeconfigIsKubeadms(t *testing.T) {
	t.Parallel()
	ca := mustCA(t, "ca")
	data := mustKubeconfig(t, adminSpec(), ca)
	k, r := parseKubeconfig(data)
	if r != nil {
		t.Fatal(r)
	}
	want := fmt.Sprintf(`apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: %s
    server: https://192.0.2.10:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
users:
- name: kubernetes-admin
  user:
    client-certificate-data: %s
    client-key-data: %s
`, b64(ca.CertPEM), b64(k.user.ClientCertificateData), b64(k.user.ClientKeyData))
	if string(data) != want {
		t.Errorf("kubeconfig is\n%s\nwant\n%s", data, want)
	}
	if _, err := tls.X509KeyPair(k.user.ClientCertificateData, k.user.ClientKeyData); err != nil {
		t.Error(err)
	}
	chain, r := parseCerts(k.user.ClientCertificateData, partCert)
	if r != nil {
		t.Fatal(r)
	}
	cert := chain[0]
	if got := cert.Subject.String(); got != "CN=kubernetes-admin,O=kubeadm:cluster-admins" {
		t.Errorf("subject is %s", got)
	}
	if !cert.NotBefore.Equal(now.Add(-5*time.Minute)) || !cert.NotAfter.Equal(now.Add(8760*time.Hour)) {
		t.Errorf("valid from %s to %s", cert.NotBefore, cert.NotAfter)
	}
	if err := CheckKubeconfig(adminSpec(), data, ca.CertPEM, now); err != nil {
		t.Error(err)
	}
}

func b64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// kubeadm's client certificates begin with their CA, which matters when the CA is an old one.
func TestKubeconfigCertificateBeginsWithItsCA(t *testing.T) {
	t.Parallel()
	p := testParams()
	p.Now = now.Add(-30 * 24 * time.Hour)
	ca, err := NewCA(specNamed(t, "ca"), p)
	if err != nil {
		t.Fatal(err)
	}
	cert, r := certFromKubeconfig(mustKubeconfig(t, adminSpec(), ca))
	if r != nil {
		t.Fatal(r)
	}
	if !cert.NotBefore.Equal(ca.Certificate().NotBefore) || !cert.NotAfter.Equal(now.Add(8760*time.Hour)) {
		t.Errorf("valid from %s to %s", cert.NotBefore, cert.NotAfter)
	}
}

// Without ca.key every kubeconfig has to come from the user.
func TestNewKubeconfigWithoutTheKeyOfTheCA(t *testing.T) {
	t.Parallel()
	ca, err := Load(mustCA(t, "ca").CertPEM, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewKubeconfig(adminSpec(), ca, testParams())
	wantReason(t, Locate(err, "/etc/kubernetes"), NeedsExternalCA, "/etc/kubernetes/admin.conf")
	_, err = RenewKubeconfig("admin.conf", mustKubeconfig(t, adminSpec(), mustCA(t, "ca")), ca, testParams())
	wantReason(t, Locate(err, "/etc/kubernetes"), NeedsExternalCA, "/etc/kubernetes/admin.conf")
}

// Each reason to refuse a kubeconfig, and what is fine although kubeadm would not write it.
func TestCheckKubeconfig(t *testing.T) {
	t.Parallel()
	ca, twin, other := mustCA(t, "ca"), mustCA(t, "ca"), mustCA(t, "etcd/ca")
	spec := adminSpec()
	good := string(mustKubeconfig(t, spec, ca))
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the kubeconfig", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	// line replaces the value of a base64 entry.
	line := func(entry, value string) string {
		at := strings.Index(good, entry+": ")
		end := at + strings.Index(good[at:], "\n")
		if value == "" {
			return good[:strings.LastIndex(good[:at], "\n")] + good[end:]
		}
		return good[:at] + value + good[end:]
	}
	withCert := func(change func(*x509.Certificate)) string {
		pair := custom(t, spec.certSpec(), &ca, change)
		swapped := line("client-certificate-data", "client-certificate-data: "+b64(pair.CertPEM))
		at := strings.Index(swapped, "client-key-data: ")
		return swapped[:at] + "client-key-data: " + b64(pair.KeyPEM) + "\n"
	}
	users := strings.Index(good, "users:")
	noCert := good[:users] + "users:\n- name: kubernetes-admin\n  user: "

	for name, tc := range map[string]struct {
		data string
		ca   []byte
		kind Kind
		text string
	}{
		"usable":          {good, ca.CertPEM, "", ""},
		"JSON":            {`{"current-context":"x"}`, ca.CertPEM, Broken, `its current context "x" is not among its contexts`},
		"empty":           {"", ca.CertPEM, Broken, "current-context is not set"},
		"broken YAML":     {replace("contexts:", "contexts: ["), ca.CertPEM, Broken, "it is no kubeconfig: yaml: "},
		"another kind":    {replace("kind: Config", "kind: Pod"), ca.CertPEM, Broken, "it is no kubeconfig: "},
		"another version": {replace("apiVersion: v1", "apiVersion: v2"), ca.CertPEM, Broken, "it is no kubeconfig: "},
		"binary":          {"\x00\x01\x02", ca.CertPEM, Broken, "it is no kubeconfig: "},
		"a list":          {"- a\n- b\n", ca.CertPEM, Broken, "it is no kubeconfig: "},
		"bad base64":      {replace("client-key-data: ", "client-key-data: %%%"), ca.CertPEM, Broken, "it is no kubeconfig: "},
		"lost cluster": {
			replace("    cluster: kubernetes", "    cluster: k"), ca.CertPEM, Broken,
			`cluster "k" of its current context is not among its clusters`,
		},
		"lost user": {
			replace("    user: kubernetes-admin", "    user: u"), ca.CertPEM, Broken,
			`user "u" of its current context is not among its users`,
		},
		"other CA":  {good, other.CertPEM, WrongCA, `it trusts another CA ("CN=kubernetes") than this cluster's ("CN=etcd-ca")`},
		"twin CA":   {good, twin.CertPEM, WrongCA, `it trusts another CA than this cluster's; both are named "CN=kubernetes"`},
		"CA bundle": {good, append(bytes.Clone(twin.CertPEM), ca.CertPEM...), "", ""},
		"no CA":     {line("certificate-authority-data", ""), ca.CertPEM, WrongCA, "it holds no CA certificate"},
		"unverified TLS": {
			line("certificate-authority-data", "insecure-skip-tls-verify: true"), ca.CertPEM, WrongCA,
			"it holds no CA certificate",
		},
		"broken CA": {
			line("certificate-authority-data", "certificate-authority-data: aGVsbG8="), ca.CertPEM, Broken,
			"its certificate-authority-data is unusable: it holds no PEM block",
		},
		"CA in a file":   {line("certificate-authority-data", "certificate-authority: /x/ca.crt"), ca.CertPEM, NotEmbedded, "/x/ca.crt"},
		"our CA is gone": {good, nil, Missing, "cannot use the CA certificate: it does not exist"},
		"other server": {
			replace("192.0.2.10:6443", "192.0.2.99:6443"), ca.CertPEM, WrongServer,
			`it leads to "https://192.0.2.99:6443", not to "https://192.0.2.10:6443"`,
		},
		"cert in a file": {line("client-certificate-data", "client-certificate: /x/c.pem"), ca.CertPEM, NotEmbedded, "/x/c.pem"},
		"key in a file":  {line("client-key-data", "client-key: /x/k.pem"), ca.CertPEM, NotEmbedded, "/x/k.pem"},
		"no key": {
			line("client-key-data", ""), ca.CertPEM, Missing,
			"cannot use /etc/kubernetes/admin.conf: it holds a client certificate without its key",
		},
		"other key": {
			line("client-key-data", "client-key-data: "+b64(twin.KeyPEM)), ca.CertPEM, KeyMismatch,
			"its client key does not belong to its client certificate",
		},
		"key is text": {line("client-key-data", "client-key-data: aGVsbG8="), ca.CertPEM, Broken, "client key: it holds no PEM block"},
		"expired": {
			withCert(func(c *x509.Certificate) { c.NotAfter = now.Add(-48 * time.Hour) }), ca.CertPEM, Expired,
			"admin.conf: client certificate: certificate expired on 2026-11-19 01:30:00 UTC, 2 days ago",
		},
		"not yet valid": {
			withCert(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }), ca.CertPEM, NotYetValid,
			"client certificate: certificate is not valid before",
		},
		"other user": {
			withCert(func(c *x509.Certificate) { c.Subject.CommonName = "eve" }), ca.CertPEM, WrongSubject,
			`is for user "eve", not "kubernetes-admin"`,
		},
		"no group": {
			withCert(func(c *x509.Certificate) { c.Subject.Organization = nil }), ca.CertPEM, WrongSubject,
			`"kubeadm:cluster-admins" is not among them`,
		},
		"before 1.29": {
			withCert(func(c *x509.Certificate) { c.Subject.Organization = []string{"system:masters"} }), ca.CertPEM, "", "",
		},
		"server only": {
			withCert(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), ca.CertPEM,
			WrongUsage, "lacks clientAuth",
		},
		"a token":  {noCert + "{token: abc}\n", ca.CertPEM, "", ""},
		"a plugin": {noCert + "{exec: {command: x, apiVersion: client.authentication.k8s.io/v1}}\n", ca.CertPEM, "", ""},
		"nothing to show": {
			noCert + "{}\n", ca.CertPEM, NoCredentials,
			`its user "kubernetes-admin" has neither a client certificate nor a token`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Locate(CheckKubeconfig(spec, []byte(tc.data), tc.ca, now), "/etc/kubernetes")
			if tc.kind == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			wantReason(t, err, tc.kind, tc.text)
			var r *Reason
			if errors.As(err, &r) && r.Warning() != (tc.kind == WrongServer) {
				t.Errorf("warning is %t", r.Warning())
			}
		})
	}
	wantReason(t, CheckKubeconfig(spec, nil, ca.CertPEM, now), Missing, "cannot use admin.conf: it does not exist")
}

// A client certificate from our CA's twin: the trust is right, the identity is not.
func TestCheckKubeconfigOfAnotherSigner(t *testing.T) {
	t.Parallel()
	ca, twin := mustCA(t, "ca"), mustCA(t, "ca")
	k, r := parseKubeconfig(mustKubeconfig(t, adminSpec(), twin))
	if r != nil {
		t.Fatal(r)
	}
	k.cluster.CertificateAuthorityData = ca.CertPEM
	data, err := clientcmd.Write(*k.config)
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, CheckKubeconfig(adminSpec(), data, ca.CertPEM, now), NotSigned, "client certificate: certificate is not signed by the CA")
}

// kubeadm reads the files that a kubeconfig names; so can a caller, before checking.
func TestEmbedFiles(t *testing.T) {
	t.Parallel()
	ca := mustCA(t, "ca")
	good := mustKubeconfig(t, adminSpec(), ca)
	k, r := parseKubeconfig(good)
	if r != nil {
		t.Fatal(r)
	}
	onDisk := map[string][]byte{"/x/ca": ca.CertPEM, "c": k.user.ClientCertificateData, "k": k.user.ClientKeyData}
	read := func(path string) ([]byte, error) {
		if data, ok := onDisk[path]; ok {
			return data, nil
		}
		return nil, os.ErrNotExist
	}
	k.cluster.CertificateAuthority, k.cluster.CertificateAuthorityData = "/x/ca", nil
	k.user.ClientCertificate, k.user.ClientCertificateData = "c", nil
	k.user.ClientKey, k.user.ClientKeyData = "k", nil
	named, err := clientcmd.Write(*k.config)
	if err != nil {
		t.Fatal(err)
	}
	got, err := EmbedFiles(named, read)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, good) {
		t.Errorf("embedded:\n%s\nwant\n%s", got, good)
	}
	if same, err := EmbedFiles(good, nil); err != nil || !bytes.Equal(same, good) {
		t.Errorf("with nothing to embed: %v, or the bytes changed", err)
	}
	delete(onDisk, "c")
	if _, err := EmbedFiles(named, read); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "cannot read c,") {
		t.Errorf("a file that is gone: %v", err)
	}
}
