package pki

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Use is a certificate as a running component uses it. Nobody knows what spec
// it was issued from: the files are those that flags name.
type Use struct {
	Cert, Key, CA string // paths, for texts; CA is the one that the other side trusts
	// Names are what clients call the server: host names and IP addresses. None for a client's certificate.
	Names []string
}

// Check says whether the other side will accept the certificate: nil, or a
// *Reason. A nil keyPEM or caPEM leaves out what would be checked with it.
func (u Use) Check(certPEM, keyPEM, caPEM []byte, now time.Time) error {
	c := candidate{certPEM: certPEM, keyPEM: keyPEM, keyOptional: true}
	r := c.parse()
	if r == nil {
		r = first(
			func() *Reason { return checkTime(c.chain[0], now) },
			func() *Reason { return u.checkSigner(c.chain, caPEM, now) },
			func() *Reason { return u.checkNames(c.chain[0]) },
		)
	}
	if r == nil {
		return nil
	}
	return r.about(files{cert: u.Cert, key: u.Key, ca: u.CA})
}

func (u Use) checkSigner(chain []*x509.Certificate, caPEM []byte, now time.Time) *Reason {
	if caPEM == nil {
		return nil
	}
	roots, r := parseCerts(caPEM, partCA)
	if r != nil {
		return r
	}
	return checkChain(chain, roots, now)
}

func (u Use) checkNames(cert *x509.Certificate) *Reason {
	lacking := slices.DeleteFunc(slices.Clone(u.Names), func(name string) bool { return cert.VerifyHostname(name) == nil })
	if len(lacking) == 0 {
		return nil
	}
	valid := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		valid = append(valid, ip.String())
	}
	text := fmt.Sprintf("certificate is not valid for %s, only for %s", strings.Join(lacking, ", "), strings.Join(valid, ", "))
	if len(valid) == 0 {
		text = fmt.Sprintf("certificate is not valid for %s: it has no subject alternative names", strings.Join(lacking, ", "))
	}
	return &Reason{Kind: WrongName, text: text}
}

// Credentials are what a kubeconfig's current context shows and trusts, as
// PEM. A nil slice is what it does not hold itself.
type Credentials struct {
	Server        string // URL
	Cert, Key, CA []byte
}

// CredentialsOf reads a kubeconfig; the error is a *Reason.
func CredentialsOf(name string, data []byte) (Credentials, error) {
	k, r := parseKubeconfig(data)
	if r != nil {
		return Credentials{}, r.about(kubeconfigFiles(name))
	}
	return Credentials{Server: k.cluster.Server, Cert: k.user.ClientCertificateData, Key: k.user.ClientKeyData,
		CA: k.cluster.CertificateAuthorityData}, nil
}
