package pki

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// custom makes a certificate that differs from the spec's in what change says.
func custom(t *testing.T, spec Spec, ca *Pair, change func(*x509.Certificate)) Pair {
	t.Helper()
	tmpl, err := template(spec)
	if err != nil {
		t.Fatal(err)
	}
	key, err := newKey(testParams().Algorithm)
	if err != nil {
		t.Fatal(err)
	}
	tmpl.NotBefore, tmpl.NotAfter = now.Add(-time.Hour), now.Add(time.Hour)
	if spec.IsCA() {
		tmpl.IsCA, tmpl.KeyUsage = true, tmpl.KeyUsage|x509.KeyUsageCertSign
	}
	change(tmpl)
	parent, parentKey := tmpl, key
	if ca != nil {
		parent, parentKey = ca.Certificate(), ca.key
	}
	pair, err := sign(tmpl, parent, key, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func unchanged(*x509.Certificate) {}

// Each reason to refuse a leaf, provoked with a certificate that was really made.
func TestCheckLeaf(t *testing.T) {
	t.Parallel()
	ca := mustCA(t, "ca")
	spec := specNamed(t, "apiserver")
	client := specNamed(t, "apiserver-kubelet-client")
	good := mustIssue(t, spec, ca)
	twin := mustCA(t, "ca")
	other := mustCA(t, "etcd/ca")
	expiredCA := custom(t, specNamed(t, "ca"), nil, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) })
	clientCA := custom(t, specNamed(t, "ca"), nil, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	issued := func(s Spec, change func(*x509.Certificate)) Pair { return custom(t, s, &ca, change) }

	for name, tc := range map[string]struct {
		spec          Spec
		cert, key, ca []byte
		kind          Kind // "" = usable
		text          string
	}{
		"usable":    {spec, good.CertPEM, good.KeyPEM, ca.CertPEM, "", ""},
		"no files":  {spec, nil, nil, ca.CertPEM, Missing, "cannot use /pki/apiserver.crt: it does not exist"},
		"key alone": {spec, nil, good.KeyPEM, ca.CertPEM, Missing, "apiserver.crt: it does not exist, but /pki/apiserver.key does"},
		"cert alone": {
			spec, good.CertPEM, nil, ca.CertPEM, Missing,
			"cannot use /pki/apiserver.key: it does not exist, but /pki/apiserver.crt does",
		},
		"no CA":     {spec, good.CertPEM, good.KeyPEM, nil, Missing, "cannot use /pki/ca.crt: it does not exist"},
		"broken CA": {spec, good.CertPEM, good.KeyPEM, []byte("x"), Broken, "cannot use /pki/ca.crt: it holds no PEM block"},
		"key of other": {
			spec, good.CertPEM, twin.KeyPEM, ca.CertPEM, KeyMismatch,
			"cannot use /pki/apiserver.key: it does not belong to /pki/apiserver.crt",
		},
		"swapped files": {
			spec, good.KeyPEM, good.CertPEM, ca.CertPEM, Broken,
			"holds no certificate, only PEM block 1 (EC PRIVATE KEY, line 1)",
		},
		"other CA": {
			spec, good.CertPEM, good.KeyPEM, other.CertPEM, NotSigned, `not signed by the CA in /pki/ca.crt, but by "kubernetes"`,
		},
		"another CA of the same name": {
			spec, good.CertPEM, good.KeyPEM, twin.CertPEM, NotSigned, `but by another one that is named "kubernetes", too`,
		},
		"one CA of a bundle": {spec, good.CertPEM, good.KeyPEM, append(bytes.Clone(twin.CertPEM), ca.CertPEM...), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkCase(t, Check(tc.spec, tc.cert, tc.key, tc.ca, now), tc.kind, tc.text)
		})
	}
	for name, tc := range map[string]struct {
		spec Spec
		pair Pair
		ca   Pair
		kind Kind
		text string
	}{
		"expired": {
			spec, issued(spec, func(c *x509.Certificate) { c.NotAfter = now.Add(-3 * 24 * time.Hour) }), ca,
			Expired, "certificate expired on 2026-11-18 01:30:00 UTC, 3 days ago",
		},
		"not yet valid": {
			spec, issued(spec, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }), ca,
			NotYetValid, "certificate is not valid before 2026-11-21 01:31:00 UTC, and it is now 2026-11-21 01:30:00 UTC",
		},
		"CA expired": {
			spec, custom(t, spec, &expiredCA, unchanged), expiredCA,
			Expired, `cannot use /pki/ca.crt: CA "CN=kubernetes": certificate expired on 2026-11-21 01:29:00 UTC, 1 minutes ago`,
		},
		"names missing": {
			spec, issued(spec, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = c.DNSNames[1:], c.IPAddresses[1:] }), ca,
			WrongName, "certificate is not valid for kubernetes, 10.96.0.1",
		},
		"a wildcard covers a name": {
			with(spec, func(s *Spec) { s.DNSNames, s.IPs = []string{"api.example.com"}, nil }),
			issued(spec, func(c *x509.Certificate) { c.DNSNames = []string{"*.example.com"} }), ca, "", "",
		},
		"a configured wildcard is there": {
			with(spec, func(s *Spec) { s.DNSNames, s.IPs = []string{"*.example.com"}, nil }),
			issued(spec, func(c *x509.Certificate) { c.DNSNames = []string{"*.example.com"} }), ca, "", "",
		},
		"no names at all, as in ancient certificates": {
			with(spec, func(s *Spec) { s.DNSNames, s.IPs = nil, []netip.Addr{netip.MustParseAddr("10.0.0.1")} }),
			issued(spec, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }), ca,
			WrongName, "certificate is not valid for 10.0.0.1",
		},
		"client certificate for a server": {
			spec, issued(spec, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), ca,
			WrongUsage, "not for use as a server (extended key usage lacks serverAuth)",
		},
		"the CA forbids servers": {spec, custom(t, spec, &clientCA, unchanged), clientCA, WrongUsage, "serverAuth"},
		"server certificate for another subject": {
			spec, issued(spec, func(c *x509.Certificate) { c.Subject.CommonName = "our-own-name" }), ca, "", "",
		},
		"client certificate for another user": {
			client, issued(client, func(c *x509.Certificate) { c.Subject.CommonName = "root" }), ca,
			WrongSubject, `certificate is for user "root", not "kube-apiserver-kubelet-client"`,
		},
		"client certificate with more groups": {
			client, issued(client, func(c *x509.Certificate) { c.Subject.Organization = []string{"kubeadm:cluster-admins"} }), ca, "", "",
		},
		"client certificate without its group": {
			with(client, func(s *Spec) { s.Organizations = []string{"system:nodes"} }),
			issued(client, func(c *x509.Certificate) { c.Subject.Organization = []string{"nodes"} }), ca,
			WrongSubject, `certificate is for groups ["nodes"], and "system:nodes" is not among them`,
		},
		"system:masters stands in for any group": {
			with(client, func(s *Spec) { s.Organizations = []string{"kubeadm:cluster-admins"} }),
			issued(client, func(c *x509.Certificate) { c.Subject.Organization = []string{"system:masters"} }), ca, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkCase(t, Check(tc.spec, tc.pair.CertPEM, tc.pair.KeyPEM, tc.ca.CertPEM, now), tc.kind, tc.text)
		})
	}
}

func with(s Spec, change func(*Spec)) Spec {
	change(&s)
	return s
}

func checkCase(t *testing.T, err error, kind Kind, text string) {
	t.Helper()
	if err = Locate(err, "/pki"); kind == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	wantReason(t, err, kind, text)
}

// Each reason to refuse a CA. A CA of another name, an intermediate one and one without its key are fine.
func TestCheckCA(t *testing.T) {
	t.Parallel()
	spec := specNamed(t, "ca")
	root := mustCA(t, "etcd/ca")
	own := func(change func(*x509.Certificate)) Pair { return custom(t, spec, nil, change) }
	intermediate := custom(t, spec, &root, unchanged)
	for name, tc := range map[string]struct {
		pair Pair
		kind Kind
		text string
	}{
		"usable": {own(unchanged), "", ""},
		"another name": {own(func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "Example CA", Organization: []string{"Example"}}
		}), "", ""},
		"intermediate": {intermediate, "", ""},
		"no CA bit": {
			own(func(c *x509.Certificate) { c.IsCA = false }), NotACA,
			"cannot use /pki/ca.crt: certificate is not a certificate authority",
		},
		"no constraints": {
			own(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }), NotACA, "basic constraints",
		},
		"may not sign": {own(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), NotACA, "key usage lacks certSign"},
		"expired":      {own(func(c *x509.Certificate) { c.NotAfter = now.Add(-90 * time.Minute) }), Expired, "90 minutes ago"},
		"the future's": {own(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) }), NotYetValid, "not valid before"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkCase(t, Check(spec, tc.pair.CertPEM, tc.pair.KeyPEM, nil, now), tc.kind, tc.text)
			checkCase(t, Check(spec, tc.pair.CertPEM, nil, nil, now), tc.kind, tc.text)
		})
	}
	// An intermediate CA in ca.crt is trusted as it is: its own root need not be there.
	leaf := mustIssue(t, specNamed(t, "apiserver"), intermediate)
	if err := Check(specNamed(t, "apiserver"), leaf.CertPEM, leaf.KeyPEM, intermediate.CertPEM, now); err != nil {
		t.Error(err)
	}
	// And with only the root in ca.crt, the leaf's file has to bring the intermediate along.
	withChain := append(bytes.Clone(leaf.CertPEM), intermediate.CertPEM...)
	if err := Check(specNamed(t, "apiserver"), withChain, leaf.KeyPEM, root.CertPEM, now); err != nil {
		t.Error(err)
	}
	wantReason(t, Check(specNamed(t, "apiserver"), leaf.CertPEM, leaf.KeyPEM, root.CertPEM, now), NotSigned)
}

// Hints must not talk anybody into removing a CA for the sake of a leaf.
func TestHints(t *testing.T) {
	t.Parallel()
	ca, spec := mustCA(t, "ca"), specNamed(t, "apiserver")
	expired := custom(t, spec, &ca, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) })
	oldCA := custom(t, specNamed(t, "ca"), nil, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) })
	underOld := custom(t, spec, &oldCA, unchanged)
	for _, tc := range []struct {
		err  error
		want string
	}{
		{
			Check(spec, expired.CertPEM, expired.KeyPEM, ca.CertPEM, now),
			"renew it with 'kubecrank certs renew all', replace it, or remove /pki/apiserver.crt and /pki/apiserver.key to have both issued anew",
		},
		{
			Check(spec, underOld.CertPEM, underOld.KeyPEM, oldCA.CertPEM, now),
			"put a valid /pki/ca.crt and its key there; remove both, and all that this CA has signed, only if the cluster is to start anew",
		},
		{
			Check(specNamed(t, "ca"), oldCA.CertPEM, nil, nil, now),
			"put a valid /pki/ca.crt and its key there; remove both, and all that this CA has signed, only if the cluster is to start anew",
		},
		{
			CheckServiceAccountKey(nil, ca.CertPEM),
			"put the pair that belongs together there; if both are removed a new pair is made, and no token issued so far is accepted",
		},
	} {
		hinter, ok := Locate(tc.err, "/pki").(interface{ Hint() string })
		if !ok {
			t.Errorf("%v has no hint", tc.err)
		} else if hinter.Hint() != tc.want {
			t.Errorf("%v:\n hint %q\n want %q", tc.err, hinter.Hint(), tc.want)
		}
	}
}

// Files that are not what their name says: the text says which block, line or byte.
func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	ca, spec := mustCA(t, "ca"), specNamed(t, "apiserver")
	good := mustIssue(t, spec, ca)
	crt, key := string(good.CertPEM), string(good.KeyPEM)
	lines := strings.SplitAfter(crt, "\n")
	for name, tc := range map[string]struct {
		cert, key string
		kind      Kind
		texts     []string
	}{
		"empty":           {"", key, Broken, []string{"/pki/apiserver.crt: it is empty"}},
		"blank":           {" \n\n", key, Broken, []string{"it is empty"}},
		"text":            {"hello", key, Broken, []string{"it holds no PEM block in its 5 bytes"}},
		"DER":             {string(good.Certificate().Raw), key, Broken, []string{"it is DER, not PEM"}},
		"byte order mark": {"\xef\xbb\xbf" + crt, key, Broken, []string{"byte order mark"}},
		"cut off": {
			strings.Join(lines[:4], ""), key, Broken,
			[]string{"PEM block 1, which begins on line 1, is broken: its END line is missing"},
		},
		"second cut off": {crt + strings.Join(lines[:4], ""), key, Broken, []string{"PEM block 2", "END line is missing"}},
		"bad byte": {
			strings.Join(lines[:2], "") + "MII\x00" + strings.Join(lines[2:], ""), key, Broken,
			[]string{"no valid base64 at byte 96 (line 3)"},
		},
		"lost line": {
			strings.Join(lines[:2], "") + strings.Join(lines[3:], ""), key, Broken,
			[]string{"PEM block 1 (CERTIFICATE, line 1) is no certificate"},
		},
		"wrong END": {
			strings.Replace(crt, "END CERTIFICATE", "END RSA KEY", 1), key, Broken,
			[]string{`it begins as "CERTIFICATE" and ends as "RSA KEY"`},
		},
		"merge conflict":   {"<<<<<<< HEAD\n" + crt + "=======\n" + crt + ">>>>>>> other\n", key, "", nil},
		"windows lines":    {strings.ReplaceAll(crt, "\n", "\r\n"), key, "", nil},
		"text before":      {"subject=CN = kube-apiserver\n" + crt, key, "", nil},
		"no final newline": {strings.TrimSpace(crt), strings.TrimSpace(key), "", nil},
		"key cut off":      {crt, key[:len(key)/2], Broken, []string{"cannot use /pki/apiserver.key: PEM block 1"}},
		"key empty":        {crt, "", Broken, []string{"/pki/apiserver.key: it is empty"}},
		"key is no key": {
			crt, pemOf("EC PRIVATE KEY", []byte("secret bytes")), Broken,
			[]string{"PEM block 1 (EC PRIVATE KEY, line 1) is no RSA or ECDSA private key"},
		},
		"key of odd type": {
			crt, pemOf("DSA PRIVATE KEY", []byte("x")), Broken,
			[]string{"(DSA PRIVATE KEY, line 1) is no RSA or ECDSA private key"},
		},
		"key PKCS 8":       {crt, pemOf("PRIVATE KEY", pkcs8(t, good.key)), "", nil},
		"key after params": {crt, pemOf("EC PARAMETERS", []byte{6, 8}) + key, "", nil},
		"key encrypted": {
			crt, pemOf("ENCRYPTED PRIVATE KEY", []byte{48}), Encrypted,
			[]string{"/pki/apiserver.key: it is encrypted with a passphrase"},
		},
		"key encrypted, old": {
			crt, strings.Replace(key, "-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1), Encrypted, nil,
		},
		"key Ed25519": {
			crt, pemOf("PRIVATE KEY", pkcs8(t, ed25519.NewKeyFromSeed(make([]byte, 32)))), UnsupportedKey,
			[]string{"neither an RSA nor an ECDSA key"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Locate(Check(spec, []byte(tc.cert), []byte(tc.key), ca.CertPEM, now), "/pki")
			if tc.kind == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			wantReason(t, err, tc.kind, tc.texts...)
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), key[40:60]) {
				t.Errorf("the key is in the error: %v", err)
			}
		})
	}
}

func pemOf(kind string, data []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
}

func pkcs8(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Load has no file names: its errors say which part is meant.
func TestLoad(t *testing.T) {
	t.Parallel()
	ca := mustCA(t, "ca")
	pair, err := Load(ca.CertPEM, ca.KeyPEM)
	if err != nil || !pair.HasKey() || !pair.Certificate().Equal(ca.Certificate()) {
		t.Errorf("%v, %v", pair, err)
	}
	_, err = Load(ca.CertPEM, mustCA(t, "ca").KeyPEM)
	wantReason(t, err, KeyMismatch, "cannot use the private key: it does not belong to the certificate")
	_, err = Load(nil, nil)
	wantReason(t, err, Missing, "cannot use the certificate: it does not exist")
}

// A certificate from outside must not write to the operator's terminal.
func TestSubjectsAreHarmless(t *testing.T) {
	t.Parallel()
	key, err := newKey(testParams().Algorithm)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "\x1b[31mred\n{key}"}, NotAfter: now}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if got := subjectOf(cert); strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("subject is %q", got)
	}
}

// Whatever bytes are in a file: no panic, and an error or exactly the blocks that encoding/pem sees.
func FuzzPEM(f *testing.F) {
	f.Add([]byte("-----BEGIN A-----\nQUJD\n-----END A-----\n"))
	f.Add([]byte("x\n-----BEGIN A-----\nQUJ\x00\n-----END A-----\n-----BEGIN B-----\n-----END B-----"))
	f.Add([]byte("-----BEGIN "))
	f.Fuzz(func(t *testing.T, data []byte) {
		blocks, err := pemBlocks(data)
		if err != nil {
			if err.Error() == "" {
				t.Error("an empty error")
			}
			return
		}
		rest := data
		for _, b := range blocks {
			var want *pem.Block
			if want, rest = pem.Decode(rest); want == nil || want.Type != b.Type || !bytes.Equal(want.Bytes, b.Bytes) {
				t.Fatalf("%v, encoding/pem says %v", b, want)
			}
		}
	})
}
