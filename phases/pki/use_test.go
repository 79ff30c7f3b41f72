package pki

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"
)

// Each reason why the other side refuses a certificate that a component shows.
func TestUse(t *testing.T) {
	t.Parallel()
	ca, other := mustCA(t, "etcd/ca"), mustCA(t, "ca")
	spec := specNamed(t, "etcd/server")
	good := mustIssue(t, spec, ca)
	issued := func(change func(*x509.Certificate)) Pair { return custom(t, spec, &ca, change) }
	expired := issued(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) })
	early := issued(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) })
	nameless := issued(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil })

	for name, tc := range map[string]struct {
		cert, key, ca []byte
		names         []string
		kind          Kind // "" = usable
		text          string
	}{
		"usable":                    {good.CertPEM, good.KeyPEM, ca.CertPEM, []string{"localhost", "127.0.0.1"}, "", ""},
		"its key is not known":      {good.CertPEM, nil, ca.CertPEM, nil, "", ""},
		"nobody knows who trusts":   {good.CertPEM, good.KeyPEM, nil, nil, "", ""},
		"key of another":            {good.CertPEM, other.KeyPEM, ca.CertPEM, nil, KeyMismatch, "/k: it does not belong to /c"},
		"expired":                   {expired.CertPEM, nil, ca.CertPEM, nil, Expired, "cannot use /c: certificate expired on "},
		"not yet valid":             {early.CertPEM, nil, ca.CertPEM, nil, NotYetValid, "not valid before"},
		"another CA":                {good.CertPEM, nil, other.CertPEM, nil, NotSigned, "not signed by the CA in /ca"},
		"another name":              {good.CertPEM, nil, ca.CertPEM, []string{"localhost", "elsewhere"}, WrongName, "not valid for elsewhere, only for "},
		"no name at all":            {nameless.CertPEM, nil, ca.CertPEM, []string{"x"}, WrongName, "has no subject alternative names"},
		"no certificate":            {[]byte("x"), nil, ca.CertPEM, nil, Broken, "it holds no PEM block"},
		"what it is trusted by, is": {good.CertPEM, nil, []byte("x"), nil, Broken, "cannot use /ca: it holds no PEM block"},
	} {
		err := Use{Cert: "/c", Key: "/k", CA: "/ca", Names: tc.names}.Check(tc.cert, tc.key, tc.ca, now)
		var r *Reason
		switch {
		case tc.kind == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tc.kind != "" && (!errors.As(err, &r) || r.Kind != tc.kind || !strings.Contains(err.Error(), tc.text)):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCredentialsOf(t *testing.T) {
	t.Parallel()
	spec := KubeconfigSpec{Name: "x.conf", User: "u", CommonName: "u", Server: "https://10.0.0.1:6443", ClusterName: "c"}
	ca := mustCA(t, "ca")
	data, err := NewKubeconfig(spec, ca, testParams())
	if err != nil {
		t.Fatal(err)
	}
	c, err := CredentialsOf("x.conf", data)
	if err != nil || c.Server != spec.Server || len(c.Cert) == 0 || len(c.Key) == 0 || string(c.CA) != string(ca.CertPEM) {
		t.Errorf("credentials of %q, %v", c.Server, err)
	}
	if _, err := CredentialsOf("x.conf", []byte("no")); err == nil {
		t.Error("garbage is a kubeconfig")
	}
}
