package pki

import (
	"crypto/x509"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// Expiry is one line of `certs check`.
type Expiry struct {
	// Name is the target's name in `certs renew`: "apiserver", "etcd-server", "admin.conf".
	Name    string    `json:"name"`
	File    string    `json:"file"` // "etcd/server.crt", "admin.conf": relative to its directory
	Subject string    `json:"subject,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	// Days are whole days left, rounded down: negative after the expiry.
	Days int `json:"daysLeft"`
	// CA is the Name of the signer's line; "" for a CA.
	CA string `json:"ca,omitempty"`
	// ExternallyManaged means that the CA's key is not here, so that we cannot renew it.
	ExternallyManaged bool `json:"externallyManaged"`
	// Problem is why there is no expiry: the file is missing or broken.
	Problem string `json:"problem,omitempty"`
}

// Expiries lists the certificates, then the kubeconfigs, then the CAs, each
// in kubeadm's order of making them. have holds the files by their names
// (Spec.CertFile, Spec.KeyFile of CAs, KubeconfigSpec.Name); what is not in
// it does not exist. Kubeadm leaves kubelet.conf out, because the kubelet
// renews it by itself; so do we.
func Expiries(cfg config.Config, have map[string][]byte, now time.Time) []Expiry {
	external := func(ca string) bool { return have[ca+".crt"] != nil && have[ca+".key"] == nil }
	var leaves, cas []Expiry
	for _, spec := range Specs(cfg) {
		e := Expiry{Name: spec.PhaseName(), File: spec.CertFile()}
		if spec.IsCA() {
			e.ExternallyManaged = external(spec.Name)
			cas = append(cas, e.read(have[e.File], now, certFromPEM))
			continue
		}
		signer := Spec{Name: spec.Signer}
		e.CA, e.ExternallyManaged = signer.PhaseName(), external(spec.Signer)
		leaves = append(leaves, e.read(have[e.File], now, certFromPEM))
	}
	for _, spec := range KubeconfigSpecs(cfg) {
		if spec.Name == KubeletConf {
			continue
		}
		e := Expiry{Name: spec.Name, File: spec.Name, CA: "ca", ExternallyManaged: external("ca")}
		leaves = append(leaves, e.read(have[e.File], now, certFromKubeconfig))
	}
	return append(leaves, cas...)
}

func (e Expiry) read(data []byte, now time.Time, parse func([]byte) (*x509.Certificate, *Reason)) Expiry {
	if data == nil {
		e.Problem = "missing"
		return e
	}
	cert, r := parse(data)
	if r != nil {
		e.Problem = r.about(files{cert: e.File}).expand(r.text)
		return e
	}
	const day = 24 * time.Hour
	left := cert.NotAfter.Sub(now)
	e.Subject, e.Expires, e.Days = subjectOf(cert), cert.NotAfter, int(left/day)
	if left < 0 && left%day != 0 {
		e.Days-- // division rounds towards zero
	}
	return e
}

func certFromPEM(data []byte) (*x509.Certificate, *Reason) {
	certs, r := parseCerts(data, partCert)
	if r != nil {
		return nil, r
	}
	return certs[0], nil
}

func certFromKubeconfig(data []byte) (*x509.Certificate, *Reason) {
	k, r := parseKubeconfig(data)
	if r != nil {
		return nil, r
	}
	if len(k.user.ClientCertificateData) == 0 {
		return nil, &Reason{Kind: NotEmbedded, text: "it holds no client certificate"}
	}
	return certFromPEM(k.user.ClientCertificateData)
}
