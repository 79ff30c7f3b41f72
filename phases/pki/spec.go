// Package pki makes and judges certificates, service account keys and
// kubeconfigs, as bytes in memory. What it makes is what kubeadm makes, name
// for name (cmd/kubeadm/app/phases/certs, util/pkiutil, phases/kubeconfig of
// Kubernetes 1.36.3); what it judges, it judges harder: kubeadm reuses an
// existing certificate if the CA signed it and looks at little else.
//
//	config.Config --Specs, KubeconfigSpecs--> what there has to be, as data (the plan)
//	                                            |
//	   nothing on disk --NewCA, Issue, NewKubeconfig--> bytes to write
//	   bytes from disk --Check, CheckKubeconfig--> nil, or a *Reason with a hint
//	   bytes from disk --Expiries--> certs check     --Renew, RenewKubeconfig--> certs renew
//
// Nothing here reads or writes a file or looks at a clock: callers pass bytes
// and the time, and get bytes. All functions may be called concurrently.
package pki

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// Spec says what one certificate has to be. It is comparable data
// (reflect.DeepEqual), so that a plan can hold it.
type Spec struct {
	// Name is the path in the PKI directory without extension: "ca", "apiserver", "etcd/server".
	Name          string       `json:"name"`
	CommonName    string       `json:"commonName"`
	Organizations []string     `json:"organizations,omitempty"`
	DNSNames      []string     `json:"dnsNames,omitempty"` // sorted, as kubeadm sorts them
	IPs           []netip.Addr `json:"ips,omitempty"`      // in kubeadm's order
	Usages        Usages       `json:"usages,omitempty"`   // none for a CA
	// Signer is the Name of the CA's Spec, "" for a self-signed CA.
	Signer string `json:"signer,omitempty"`
}

// IsCA says whether the certificate is a certificate authority. All of
// kubeadm's CAs are roots, and nothing else is self-signed.
func (s Spec) IsCA() bool { return s.Signer == "" }

// CertFile is the certificate's file below the PKI directory; its mode is 0644.
func (s Spec) CertFile() string { return s.Name + ".crt" }

// KeyFile is the private key's file below the PKI directory; its mode is 0600.
func (s Spec) KeyFile() string { return s.Name + ".key" }

// PhaseName is kubeadm's name for the certificate, in `init phase certs` and
// `certs renew`: "etcd-server" for etcd/server.
func (s Spec) PhaseName() string { return strings.ReplaceAll(s.Name, "/", "-") }

// Usages are extended key usages. In JSON they are words: "server", "client".
type Usages []x509.ExtKeyUsage

// MarshalJSON writes the usages as words.
func (u Usages) MarshalJSON() ([]byte, error) {
	words := make([]string, len(u))
	for i, usage := range u {
		words[i] = usageName(usage)
	}
	return json.Marshal(words)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (u *Usages) UnmarshalJSON(data []byte) error {
	var words []string
	if err := json.Unmarshal(data, &words); err != nil {
		return err
	}
	*u = nil
	for _, word := range words {
		switch word {
		case "server":
			*u = append(*u, x509.ExtKeyUsageServerAuth)
		case "client":
			*u = append(*u, x509.ExtKeyUsageClientAuth)
		default:
			return fmt.Errorf("cannot read certificate usage %q: it is neither server nor client", word)
		}
	}
	return nil
}

func usageName(u x509.ExtKeyUsage) string {
	switch u {
	case x509.ExtKeyUsageServerAuth:
		return "server"
	case x509.ExtKeyUsageClientAuth:
		return "client"
	default:
		return fmt.Sprintf("usage-%d", int(u))
	}
}

// The base names of the service account key pair, which is no certificate
// and has no Spec. Both files have mode 0600.
const (
	ServiceAccountKeyFile    = "sa.key"
	ServiceAccountPublicFile = "sa.pub"
)

// Specs returns the certificates of a control plane node in kubeadm's order
// (GetDefaultCertList in cmd/kubeadm/app/phases/certs/certlist.go). With an external etcd
// there are none of etcd's. cfg has to be completed: node name and address
// go into SANs and subjects.
func Specs(cfg config.Config) []Spec {
	server := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	// etcd's gateway dials the server with the server's own certificate, so that one needs both
	// usages (etcd-io/etcd#9785).
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}

	// Up to 1.35 kubeadm reaches kubelets as an administrator; 1.36 binds the user to what it needs.
	var kubeletClient []string
	if cfg.Minor() < 36 {
		kubeletClient = []string{clusterAdmins}
	}
	apiserver := apiServerSANs(cfg)
	specs := []Spec{
		caSpec("ca", "kubernetes"),
		{Name: "apiserver", CommonName: "kube-apiserver", DNSNames: apiserver.dns, IPs: apiserver.ips, Usages: server, Signer: "ca"},
		{Name: "apiserver-kubelet-client", CommonName: "kube-apiserver-kubelet-client", Organizations: kubeletClient, Usages: client,
			Signer: "ca"},
		caSpec("front-proxy-ca", "front-proxy-ca"),
		{Name: "front-proxy-client", CommonName: "front-proxy-client", Usages: client, Signer: "front-proxy-ca"},
	}
	if cfg.Etcd.External != nil {
		return specs
	}
	node := cfg.Node.Name
	etcdServer, etcdPeer := etcdSANs(cfg, cfg.Etcd.ServerCertSANs), etcdSANs(cfg, cfg.Etcd.PeerCertSANs)
	return append(specs,
		caSpec("etcd/ca", "etcd-ca"),
		Spec{Name: "etcd/server", CommonName: node, DNSNames: etcdServer.dns, IPs: etcdServer.ips, Usages: both, Signer: "etcd/ca"},
		Spec{Name: "etcd/peer", CommonName: node, DNSNames: etcdPeer.dns, IPs: etcdPeer.ips, Usages: slices.Clone(both), Signer: "etcd/ca"},
		Spec{Name: "etcd/healthcheck-client", CommonName: "kube-etcd-healthcheck-client", Usages: client, Signer: "etcd/ca"},
		Spec{Name: "apiserver-etcd-client", CommonName: "kube-apiserver-etcd-client", Usages: client, Signer: "etcd/ca"},
	)
}

// caSpec is a root CA; kubeadm puts its common name into a DNS SAN as well (NewSelfSignedCACert).
func caSpec(name, commonName string) Spec {
	return Spec{Name: name, CommonName: commonName, DNSNames: []string{commonName}}
}
