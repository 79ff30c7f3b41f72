package pki

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net/netip"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// Renew makes a new key and certificate in place of an existing certificate
// file, with its common name, groups, alternative names and usages: what the
// configuration says by now is not asked, as in `kubeadm certs renew`
// (RenewUsingLocalCA, certToConfig). spec gives file names and signer alone.
// An expired certificate can be renewed; a CA cannot.
func Renew(spec Spec, existing []byte, ca Pair, p Params) (Pair, error) {
	if spec.IsCA() {
		return Pair{}, fmt.Errorf("cannot renew %s: all that it has signed would have to be made anew, too", spec.CertFile())
	}
	chain, r := parseCerts(existing, partCert)
	if r != nil {
		return Pair{}, r.about(spec.files())
	}
	same := specOf(chain[0])
	same.Name, same.Signer = spec.Name, spec.Signer
	return Issue(same, ca, p)
}

// RenewKubeconfig makes a new client key and certificate in an existing
// kubeconfig, with the same user and groups, and puts ca's certificate into
// its current cluster. All other entries stay; comments do not, as in
// kubeadm's renewal.
func RenewKubeconfig(name string, existing []byte, ca Pair, p Params) ([]byte, error) {
	f := kubeconfigFiles(name)
	k, r := parseKubeconfig(existing)
	if r != nil {
		return nil, r.about(f)
	}
	if len(k.user.ClientCertificateData) == 0 {
		return nil, (&Reason{Kind: NotEmbedded, text: "it holds no client certificate that could be renewed"}).about(f)
	}
	chain, r := parseCerts(k.user.ClientCertificateData, partCert)
	if r != nil {
		return nil, r.about(f)
	}
	if !ca.HasKey() {
		return nil, ExternalCA("", name)
	}
	same := specOf(chain[0])
	same.Name, same.Signer = name, "ca"
	pair, err := issue(same, ca, p, p.notBefore())
	if err != nil {
		return nil, fmt.Errorf("cannot renew %s: %w", name, err)
	}
	k.user.ClientCertificateData, k.user.ClientKeyData = pair.CertPEM, pair.KeyPEM
	k.user.ClientCertificate, k.user.ClientKey = "", ""
	k.cluster.CertificateAuthorityData, k.cluster.CertificateAuthority = encodeCert(ca.Certificate()), ""
	data, err := clientcmd.Write(*k.config)
	if err != nil {
		return nil, fmt.Errorf("cannot renew %s: %w", name, err)
	}
	return data, nil
}

// AlgorithmOf is the algorithm of a certificate file's key, or of the
// certificate's in a kubeconfig. Of a key that kubeadm has no name for it is the
// most similar that has one, and of what cannot be read the default.
func AlgorithmOf(file []byte) config.KeyAlgorithm {
	cert, r := certFromPEM(file)
	if r != nil {
		if cert, r = certFromKubeconfig(file); r != nil {
			return config.ECDSAP256
		}
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		switch bits := key.N.BitLen(); {
		case bits >= 4096:
			return config.RSA4096
		case bits >= 3072:
			return config.RSA3072
		}
		return config.RSA2048
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize >= 384 {
			return config.ECDSAP384
		}
	}
	return config.ECDSAP256
}

// specOf describes an existing certificate; Name and Signer are left open.
func specOf(cert *x509.Certificate) Spec {
	s := Spec{
		CommonName:    cert.Subject.CommonName,
		Organizations: cert.Subject.Organization,
		DNSNames:      cert.DNSNames,
		Usages:        cert.ExtKeyUsage,
	}
	for _, ip := range cert.IPAddresses {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			s.IPs = append(s.IPs, addr.Unmap())
		}
	}
	return s
}
