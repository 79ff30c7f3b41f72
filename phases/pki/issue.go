package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"net"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// Params is what certificates of one run have in common.
type Params struct {
	Algorithm            config.KeyAlgorithm
	Validity, CAValidity time.Duration // counted from Now
	Now                  time.Time
}

// ParamsFor takes the parameters out of a configuration.
func ParamsFor(cfg config.Config, now time.Time) Params {
	return Params{Algorithm: cfg.KeyAlgorithm, Validity: cfg.CertificateValidity, CAValidity: cfg.CACertificateValidity, Now: now}
}

// backdate allows for clocks that are a little apart (kubeadm's CertificateBackdate).
const backdate = 5 * time.Minute

func (p Params) notBefore() time.Time { return p.Now.UTC().Add(-backdate) }

// Pair is a certificate with its private key. It never prints its key,
// whatever the format verb; do not hide it in an unexported field of a struct
// that is printed, for fmt looks behind methods there.
type Pair struct {
	CertPEM []byte
	KeyPEM  []byte `json:"-"` // empty for an external CA

	chain []*x509.Certificate // the certificate, then what follows it in the file
	key   crypto.Signer       // nil for an external CA
}

// Certificate is the certificate itself: the first of its file. It is not to be changed.
func (p Pair) Certificate() *x509.Certificate {
	if len(p.chain) == 0 {
		return nil
	}
	return p.chain[0]
}

// HasKey is false for the CA of somebody else, of which only the certificate is here.
func (p Pair) HasKey() bool { return p.key != nil }

// String tells the subject and whether there is a key.
func (p Pair) String() string {
	cert := p.Certificate()
	if cert == nil {
		return "no certificate"
	}
	key := "no key"
	if p.HasKey() {
		key = "key redacted"
	}
	return fmt.Sprintf("certificate %q (%s)", subjectOf(cert), key)
}

// Format prints String for every verb, %#v and %x among them.
func (p Pair) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(p.String())) }

// LogValue is String.
func (p Pair) LogValue() slog.Value { return slog.StringValue(p.String()) }

// NewCA makes a self-signed certificate authority (kubeadm's NewSelfSignedCACert).
func NewCA(spec Spec, p Params) (Pair, error) {
	if !spec.IsCA() {
		return Pair{}, fmt.Errorf("cannot make %s a certificate authority: it is signed by %s", spec.Name, spec.Signer)
	}
	key, err := newKey(p.Algorithm)
	if err != nil {
		return Pair{}, fmt.Errorf("cannot make %s: %w", spec.KeyFile(), err)
	}
	tmpl, err := template(spec)
	if err != nil {
		return Pair{}, fmt.Errorf("cannot make %s: %w", spec.CertFile(), err)
	}
	tmpl.NotBefore, tmpl.NotAfter = p.notBefore(), p.Now.UTC().Add(p.CAValidity)
	tmpl.KeyUsage |= x509.KeyUsageCertSign
	tmpl.IsCA = true
	pair, err := sign(tmpl, tmpl, key, key)
	if err != nil {
		return Pair{}, fmt.Errorf("cannot make %s: %w", spec.CertFile(), err)
	}
	return pair, nil
}

// Issue makes a key and a certificate that ca signs (kubeadm's
// NewCertAndKey). Without the CA's key the error is a *Reason of kind
// NeedsExternalCA, which says what the user has to provide.
func Issue(spec Spec, ca Pair, p Params) (Pair, error) {
	if spec.IsCA() {
		return Pair{}, fmt.Errorf("cannot issue %s: it is a certificate authority", spec.CertFile())
	}
	if !ca.HasKey() {
		return Pair{}, ExternalCA(spec.Signer+".crt", spec.CertFile(), spec.KeyFile())
	}
	pair, err := issue(spec, ca, p, p.notBefore())
	if err != nil {
		return Pair{}, fmt.Errorf("cannot issue %s: %w", spec.CertFile(), err)
	}
	return pair, nil
}

func issue(spec Spec, ca Pair, p Params, notBefore time.Time) (Pair, error) {
	if len(spec.Usages) == 0 {
		return Pair{}, errors.New("it has no extended key usage")
	}
	key, err := newKey(p.Algorithm)
	if err != nil {
		return Pair{}, err
	}
	tmpl, err := template(spec)
	if err != nil {
		return Pair{}, err
	}
	tmpl.NotBefore, tmpl.NotAfter = notBefore, p.Now.UTC().Add(p.Validity)
	return sign(tmpl, ca.Certificate(), key, ca.key)
}

// template fills in what CAs and leaves have in common (kubeadm's
// NewSignedCert). keyEncipherment stands in ECDSA certificates too, where it
// means nothing, because kubeadm puts it there.
func template(spec Spec) (*x509.Certificate, error) {
	if spec.CommonName == "" {
		return nil, errors.New("it has no common name")
	}
	// A uniform random value in [1, MaxInt64).
	serial, err := rand.Int(rand.Reader, big.NewInt(math.MaxInt64-1))
	if err != nil {
		return nil, fmt.Errorf("cannot make a serial number: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)),
		Subject:               pkix.Name{CommonName: spec.CommonName, Organization: spec.Organizations},
		DNSNames:              spec.DNSNames,
		KeyUsage:              x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           spec.Usages,
		BasicConstraintsValid: true,
	}
	for _, ip := range spec.IPs {
		tmpl.IPAddresses = append(tmpl.IPAddresses, net.IP(ip.AsSlice()))
	}
	return tmpl, nil
}

func sign(tmpl, parent *x509.Certificate, key, parentKey crypto.Signer) (Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), parentKey)
	if err != nil {
		return Pair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return Pair{}, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{CertPEM: encodeCert(cert), KeyPEM: keyPEM, chain: []*x509.Certificate{cert}, key: key}, nil
}

func encodeCert(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: cert.Raw})
}

// Load reads a pair that was made before, by anyone. keyPEM is nil when the
// key is not here (external CA). Errors are *Reason.
func Load(certPEM, keyPEM []byte) (Pair, error) {
	c := candidate{certPEM: certPEM, keyPEM: keyPEM, keyOptional: true}
	if r := c.parse(); r != nil {
		return Pair{}, r
	}
	return Pair{CertPEM: certPEM, KeyPEM: keyPEM, chain: c.chain, key: c.key}, nil
}
