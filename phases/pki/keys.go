package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"k8s.io/client-go/util/keyutil"

	"github.com/kubecrank/kubecrank/manifests/config"
)

func newKey(alg config.KeyAlgorithm) (crypto.Signer, error) {
	switch alg {
	case config.ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case config.ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case config.RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case config.RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case config.RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	default:
		return nil, fmt.Errorf("unknown key algorithm %q", alg)
	}
}

// encodeKey writes the traditional forms, "EC PRIVATE KEY" and "RSA PRIVATE
// KEY", because kubeadm writes them (keyutil.MarshalPrivateKeyToPEM).
func encodeKey(key crypto.Signer) ([]byte, error) {
	return keyutil.MarshalPrivateKeyToPEM(key)
}

// NewServiceAccountKey makes the key pair that signs and verifies service
// account tokens: the bytes of sa.key and sa.pub.
func NewServiceAccountKey(alg config.KeyAlgorithm) (keyPEM, pubPEM []byte, err error) {
	key, err := newKey(alg)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make %s: %w", ServiceAccountKeyFile, err)
	}
	if keyPEM, err = encodeKey(key); err != nil {
		return nil, nil, fmt.Errorf("cannot make %s: %w", ServiceAccountKeyFile, err)
	}
	if pubPEM, err = encodePublic(key.Public()); err != nil {
		return nil, nil, fmt.Errorf("cannot make %s: %w", ServiceAccountPublicFile, err)
	}
	return keyPEM, pubPEM, nil
}

// ServiceAccountPublicKey is sa.pub for an sa.key: what to write when only the
// key is there. Errors are *Reason.
func ServiceAccountPublicKey(keyPEM []byte) ([]byte, error) {
	key, r := parseKey(keyPEM)
	if r != nil {
		return nil, r.about(serviceAccountFiles())
	}
	return encodePublic(key.Public())
}

func encodePublic(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// serviceAccountFiles lets a Reason name the pair; sa.pub stands where a certificate would.
func serviceAccountFiles() files {
	return files{cert: ServiceAccountPublicFile, key: ServiceAccountKeyFile, owner: ownerServiceAccount}
}

// CheckServiceAccountKey says whether sa.key and sa.pub can be used together;
// nil stands for a file that is not there. sa.pub may hold more keys than the
// one of sa.key, as it does while keys are rotated. The error is a *Reason.
func CheckServiceAccountKey(keyPEM, pubPEM []byte) error {
	if r := checkServiceAccount(keyPEM, pubPEM); r != nil {
		return r.about(serviceAccountFiles())
	}
	return nil
}

func checkServiceAccount(keyPEM, pubPEM []byte) *Reason {
	switch {
	case keyPEM == nil && pubPEM == nil:
		return &Reason{Kind: Missing, part: partKey, text: "it does not exist"}
	case keyPEM == nil:
		return &Reason{Kind: Missing, part: partKey, text: "it does not exist, but {cert} does"}
	}
	key, r := parseKey(keyPEM)
	if r != nil {
		return r
	}
	if pubPEM == nil {
		return &Reason{Kind: Missing, part: partCert, text: "it does not exist, but {key} does"}
	}
	if _, err := pemBlocks(pubPEM); err != nil {
		return broken(partCert, err)
	}
	// The API server reads the file with the same function.
	keys, err := keyutil.ParsePublicKeysPEM(pubPEM)
	if err != nil {
		return &Reason{Kind: Broken, part: partCert, text: "it holds no RSA or ECDSA public key"}
	}
	for _, pub := range keys {
		if samePublic(key.Public(), pub) {
			return nil
		}
	}
	return &Reason{Kind: KeyMismatch, part: partCert, text: "it does not belong to the private key in {key}"}
}

func samePublic(a, b crypto.PublicKey) bool {
	derA, errA := x509.MarshalPKIXPublicKey(a)
	derB, errB := x509.MarshalPKIXPublicKey(b)
	return errA == nil && errB == nil && bytes.Equal(derA, derB)
}
