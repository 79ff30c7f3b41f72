//go:build oracle

package kubeadm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/tools/clientcmd/api/v1"
	"k8s.io/client-go/util/keyutil"
	"sigs.k8s.io/yaml"
)

// certificate is what has to be equal of two certificates: all but the keys and
// what follows from them, the serial number and the moment.
type certificate struct {
	Version            int
	Subject            string
	Issuer             string
	SignedBy           string // the file of the CA whose key made the signature
	Serial             string
	NotBefore          string // counted from the program's start, to the minute
	NotAfter           string
	DNSNames           []string
	IPAddresses        []string
	OtherNames         int
	KeyUsage           []string
	ExtKeyUsage        []string
	BasicConstraints   bool
	IsCA               bool
	MaxPathLen         int
	Extensions         []string // in their order
	SignatureAlgorithm string
	Key                string // "ECDSA P-256"
}

type privateKey struct {
	Block string // the PEM block's type
	Key   string
	Of    string // the file of the certificate or public key that it belongs to
}

// view is the content of a file as something that can be compared.
func (s *side) view(path string, data []byte) (any, error) {
	switch name := s.inPKI(path); {
	case strings.HasSuffix(name, ".crt"):
		return s.certificate(data)
	case strings.HasSuffix(name, ".key"):
		return s.privateKey(data)
	case strings.HasSuffix(name, ".pub"):
		return s.publicKey(data)
	case filepath.Dir(path) == "/etc/kubernetes/manifests":
		pod, err := decodePod(data)
		if err != nil {
			return nil, err
		}
		return generic(pod)
	case filepath.Ext(path) == ".conf":
		return s.kubeconfig(data)
	}
	return string(data), nil
}

// decodePod decodes as the kubelet does, and takes what it would ignore for an error.
func decodePod(data []byte) (*corev1.Pod, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	decoder := kjson.NewSerializerWithOptions(kjson.DefaultMetaFactory, scheme, scheme, kjson.SerializerOptions{Yaml: true, Strict: true})
	pod := &corev1.Pod{}
	_, _, err := decoder.Decode(data, nil, pod)
	return pod, err
}

func (s *side) certificate(data []byte) (certificate, error) {
	cert, err := parseCertificate(data)
	if err != nil {
		return certificate{}, err
	}
	signedBy, err := s.signer(cert)
	if err != nil {
		return certificate{}, err
	}
	c := certificate{
		Version: cert.Version, Subject: cert.Subject.String(), Issuer: cert.Issuer.String(), SignedBy: signedBy,
		Serial: "positive, at most 63 bits", NotBefore: s.since(cert.NotBefore), NotAfter: s.since(cert.NotAfter),
		DNSNames: cert.DNSNames, OtherNames: len(cert.EmailAddresses) + len(cert.URIs), KeyUsage: keyUsages(cert.KeyUsage),
		BasicConstraints: cert.BasicConstraintsValid, IsCA: cert.IsCA, MaxPathLen: cert.MaxPathLen,
		SignatureAlgorithm: cert.SignatureAlgorithm.String(), Key: keyName(cert.PublicKey),
	}
	if cert.SerialNumber.Sign() <= 0 || cert.SerialNumber.BitLen() > 63 {
		c.Serial = fmt.Sprintf("%d bits", cert.SerialNumber.BitLen())
	}
	for _, ip := range cert.IPAddresses {
		c.IPAddresses = append(c.IPAddresses, ip.String())
	}
	for _, usage := range cert.ExtKeyUsage {
		c.ExtKeyUsage = append(c.ExtKeyUsage, map[x509.ExtKeyUsage]string{
			x509.ExtKeyUsageServerAuth: "server", x509.ExtKeyUsageClientAuth: "client"}[usage])
	}
	for _, e := range cert.Extensions {
		text := e.Id.String()
		if e.Critical {
			text += " critical"
		}
		c.Extensions = append(c.Extensions, text)
	}
	return c, nil
}

// parseCertificate wants one certificate and nothing else.
func parseCertificate(data []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 || len(rest) > 0 {
		return nil, errors.New("it is not one PEM block CERTIFICATE")
	}
	return x509.ParseCertificate(block.Bytes)
}

// signer is the file of the CA that signed a certificate.
func (s *side) signer(cert *x509.Certificate) (string, error) {
	for _, name := range []string{"ca.crt", "front-proxy-ca.crt", "etcd/ca.crt"} {
		ca, err := parseCertificate(s.files[filepath.Join(s.pki, name)].data)
		if err != nil {
			continue
		}
		if cert.CheckSignatureFrom(ca) == nil && bytes.Equal(cert.AuthorityKeyId, ca.SubjectKeyId) {
			return name, nil
		}
		if cert.Equal(ca) && cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("none of the CAs here has signed %s", cert.Subject)
}

// since rounds to the minute: programs take a moment to start.
func (s *side) since(t time.Time) string { return t.Sub(s.started).Round(time.Minute).String() }

func keyUsages(usage x509.KeyUsage) []string {
	var out []string
	for bit, name := range map[x509.KeyUsage]string{
		x509.KeyUsageDigitalSignature: "digitalSignature", x509.KeyUsageKeyEncipherment: "keyEncipherment",
		x509.KeyUsageCertSign: "certSign",
	} {
		if usage&bit != 0 {
			out = append(out, name)
			usage &^= bit
		}
	}
	if usage != 0 {
		out = append(out, fmt.Sprintf("other %b", usage))
	}
	return sorted(out)
}

func keyName(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d, exponent %d", k.N.BitLen(), k.E)
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	}
	return fmt.Sprintf("%T", public)
}

// privateKey wants one key, or an EC key behind its parameters.
func (s *side) privateKey(data []byte) (privateKey, error) {
	block, rest := pem.Decode(data)
	if block == nil || len(rest) > 0 {
		return privateKey{}, errors.New("it is not one PEM block")
	}
	parsed, err := keyutil.ParsePrivateKeyPEM(data)
	if err != nil {
		return privateKey{}, err
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return privateKey{}, fmt.Errorf("it is a %T", parsed)
	}
	key := privateKey{Block: block.Type, Key: keyName(signer.Public()), Of: "nothing"}
	for path, f := range s.files {
		name := s.inPKI(path)
		switch filepath.Ext(name) {
		case ".crt":
			if cert, err := parseCertificate(f.data); err == nil && samePublic(cert.PublicKey, signer.Public()) {
				key.Of = name
			}
		case ".pub":
			keys, err := keyutil.ParsePublicKeysPEM(f.data)
			if err == nil && len(keys) == 1 && samePublic(keys[0], signer.Public()) {
				key.Of = name
			}
		}
	}
	return key, nil
}

func (s *side) publicKey(data []byte) (privateKey, error) {
	block, rest := pem.Decode(data)
	keys, err := keyutil.ParsePublicKeysPEM(data)
	if err != nil {
		return privateKey{}, err
	}
	if len(keys) != 1 || len(rest) > 0 {
		return privateKey{}, errors.New("it is not one public key")
	}
	return privateKey{Block: block.Type, Key: keyName(keys[0])}, nil
}

func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// kubeconfig has the embedded certificates and key replaced by what is compared of them.
func (s *side) kubeconfig(data []byte) (any, error) {
	conf := v1.Config{}
	if err := yaml.UnmarshalStrict(data, &conf); err != nil {
		return nil, err
	}
	embedded := map[string]any{}
	for i := range conf.Clusters {
		cluster := &conf.Clusters[i]
		embedded["cluster "+cluster.Name] = "another CA than ca.crt"
		if bytes.Equal(cluster.Cluster.CertificateAuthorityData, s.files[filepath.Join(s.pki, "ca.crt")].data) {
			embedded["cluster "+cluster.Name] = "ca.crt"
		}
		cluster.Cluster.CertificateAuthorityData = nil
	}
	for i := range conf.AuthInfos {
		user := &conf.AuthInfos[i]
		cert, err := s.certificate(user.AuthInfo.ClientCertificateData)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		key, err := s.privateKey(user.AuthInfo.ClientKeyData)
		if err != nil {
			return nil, fmt.Errorf("client key: %w", err)
		}
		parsed, err := parseCertificate(user.AuthInfo.ClientCertificateData)
		if err != nil {
			return nil, err
		}
		private, err := keyutil.ParsePrivateKeyPEM(user.AuthInfo.ClientKeyData)
		if signer, ok := private.(crypto.Signer); err == nil && ok && samePublic(parsed.PublicKey, signer.Public()) {
			key.Of = "the certificate beside it"
		}
		embedded["certificate of "+user.Name], embedded["key of "+user.Name] = cert, key
		user.AuthInfo.ClientCertificateData, user.AuthInfo.ClientKeyData = nil, nil
	}
	rest, err := generic(conf)
	if err != nil {
		return nil, err
	}
	out, err := generic(embedded)
	if err != nil {
		return nil, err
	}
	for k, v := range rest.(map[string]any) {
		out.(map[string]any)[k] = v
	}
	return out, nil
}

// generic is a typed value as maps, lists and scalars, empty fields left out as in its JSON.
func generic(v any) (any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	return out, decoder.Decode(&out)
}
