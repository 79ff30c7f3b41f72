package evidence

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/phases/diagnose"
	"github.com/kubecrank/kubecrank/phases/pki"
)

// shown certificate: who shows it to whom, and with which files.
type shownCert struct {
	cert, key, ca          string   // files
	certPEM, keyPEM, caPEM []byte   // in place of the files: what a kubeconfig holds
	names                  []string // of a server, as its client calls it
	client                 bool
	peer                   string // the program at the other end
	pairOnly               bool   // its time, signer and names are no obstacle to this component
}

// certFaults are the faults of certificates that keep a component from being
// healthy: of those it shows, and of those that its servers show to it.
func certFaults(own, server command, root string, now time.Time) []diagnose.CertFault {
	var faults []diagnose.CertFault
	for _, s := range shownCerts(own, server.flags) {
		if f, bad := s.check(root, now); bad {
			faults = append(faults, f)
		}
	}
	return faults
}

// server are the flags of the component that this one is a client of, none if it is not here.
func shownCerts(own command, server map[string]string) []shownCert {
	f := own.flags
	switch own.program {
	case "etcd":
		return []shownCert{
			{cert: f["cert-file"], key: f["key-file"], pairOnly: true},
			{cert: f["peer-cert-file"], key: f["peer-key-file"], pairOnly: true},
		}
	case "kube-apiserver":
		return []shownCert{
			{cert: f["etcd-certfile"], key: f["etcd-keyfile"], ca: server["trusted-ca-file"], client: true, peer: "etcd"},
			{cert: server["cert-file"], ca: f["etcd-cafile"], names: hosts(f["etcd-servers"]), peer: "etcd"},
			{cert: f["tls-cert-file"], key: f["tls-private-key-file"], pairOnly: true},
			{cert: f["kubelet-client-certificate"], key: f["kubelet-client-key"], pairOnly: true},
			{cert: f["proxy-client-cert-file"], key: f["proxy-client-key-file"], pairOnly: true},
		}
	default:
		return kubeconfigCerts(f["kubeconfig"], server)
	}
}

// kubeconfigCerts are the certificates of a client of the API server, and of that.
func kubeconfigCerts(file string, server map[string]string) []shownCert {
	data, err := os.ReadFile(file)
	if file == "" || err != nil {
		return nil
	}
	c, err := pki.CredentialsOf(file, data)
	if err != nil {
		return nil
	}
	return []shownCert{
		{cert: file, key: file, certPEM: c.Cert, keyPEM: c.Key, ca: server["client-ca-file"], client: true, peer: "kube-apiserver"},
		{cert: server["tls-cert-file"], ca: file, caPEM: c.CA, names: hosts(c.Server), peer: "kube-apiserver"},
	}
}

// hosts are the host names in a list of URLs.
func hosts(urls string) []string {
	var names []string
	for _, s := range strings.Split(urls, ",") {
		if u, err := url.Parse(s); err == nil && u.Hostname() != "" {
			names = append(names, u.Hostname())
		}
	}
	return names
}

// read returns a file, or nil: what is not there the program complains of itself.
func read(given []byte, file string) []byte {
	if given != nil || file == "" {
		return given
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return data
}

func (s shownCert) check(root string, now time.Time) (diagnose.CertFault, bool) {
	cert := read(s.certPEM, s.cert)
	if cert == nil {
		return diagnose.CertFault{}, false
	}
	err := pki.Use{Cert: s.cert, Key: s.key, CA: s.ca, Names: s.names}.Check(cert, read(s.keyPEM, s.key), read(s.caPEM, s.ca), now)
	var reason *pki.Reason
	if !errors.As(err, &reason) {
		return diagnose.CertFault{}, false
	}
	if s.pairOnly && reason.Kind != pki.KeyMismatch && reason.Kind != pki.Broken {
		return diagnose.CertFault{}, false
	}
	f := diagnose.CertFault{Kind: string(reason.Kind), File: reason.Path(), Client: s.client, Peer: s.peer,
		Text: strings.Replace(strings.TrimPrefix(reason.Error(), "cannot use "), ": it ", " ", 1), Remedy: remedy(reason, s.cert, root)}
	if info, err := os.Stat(s.cert); err == nil {
		f.Written = info.ModTime()
	}
	if block, _ := pem.Decode(cert); block != nil {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			f.From, f.Until = c.NotBefore, c.NotAfter
		}
	}
	return f, true
}

// remedy is the command that mends a certificate of ours, or what package pki advises. A renewal keeps the names.
func remedy(reason *pki.Reason, cert, root string) string {
	name := renewable(cert)
	if name == "" || reason.Kind != pki.Expired && reason.Kind != pki.NotSigned && reason.Kind != pki.KeyMismatch {
		return reason.Hint()
	}
	kubecrank := "kubecrank"
	if root != "" {
		kubecrank += " --root " + root
	}
	return "'" + kubecrank + " certs renew " + name + "', which starts who uses it again; or " + reason.Hint()
}

// renewable is the name of a certificate in `certs renew`, "" for one that is not where init puts them.
func renewable(file string) string {
	dir, base := filepath.Split(file)
	switch {
	case strings.HasSuffix(dir, "/etc/kubernetes/pki/etcd/"):
		return "etcd-" + strings.TrimSuffix(base, ".crt")
	case strings.HasSuffix(dir, "/etc/kubernetes/pki/"):
		return strings.TrimSuffix(base, ".crt")
	case strings.HasSuffix(dir, "/etc/kubernetes/"):
		return base
	default:
		return ""
	}
}
