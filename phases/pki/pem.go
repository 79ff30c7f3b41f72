package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

const certificateBlock = "CERTIFICATE"

// block is a PEM block and where it stands in its file, for error texts.
type block struct {
	*pem.Block
	number, line int // both from 1
}

func (b block) String() string {
	return fmt.Sprintf("PEM block %d (%s, line %d)", b.number, b.Type, b.line)
}

// pemBlocks returns all PEM blocks of a file. Unlike pem.Decode it does not
// skip a broken one, but says where it breaks.
func pemBlocks(data []byte) ([]block, error) {
	var blocks []block
	start := nextBegin(data, 0)
	if start == len(data) {
		return nil, noPEM(data)
	}
	for start < len(data) {
		end := nextBegin(data, start+1)
		b := block{number: len(blocks) + 1, line: 1 + bytes.Count(data[:start], []byte("\n"))}
		if b.Block, _ = pem.Decode(data[start:end]); b.Block == nil {
			return nil, fmt.Errorf("PEM block %d, which begins on line %d, is broken: %s", b.number, b.line, whyBroken(data, start, end))
		}
		blocks = append(blocks, b)
		start = end
	}
	return blocks, nil
}

// nextBegin is where the next block begins at or after from: at the start of
// a line, or len(data) if there is none.
func nextBegin(data []byte, from int) int {
	begin := []byte("-----BEGIN ")
	if from == 0 && bytes.HasPrefix(data, begin) {
		return 0
	}
	at := bytes.Index(data[max(from-1, 0):], append([]byte("\n"), begin...))
	if at < 0 {
		return len(data)
	}
	return max(from-1, 0) + at + 1
}

func noPEM(data []byte) error {
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return errors.New("it is empty")
	case len(data) > 1 && data[0] == 0x30 && data[1]&0x80 != 0: // an ASN.1 sequence
		return errors.New("it is DER, not PEM")
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return errors.New("it begins with a byte order mark, which PEM does not allow")
	default:
		return fmt.Errorf("it holds no PEM block in its %d bytes", len(data))
	}
}

// whyBroken looks at data[start:end], which begins with a BEGIN line and does not decode.
func whyBroken(data []byte, start, end int) string {
	text := data[start:end]
	body := bytes.IndexByte(text, '\n')
	last := bytes.Index(text, []byte("-----END "))
	if body < 0 || last < 0 {
		return "its END line is missing, as if the file were cut off"
	}
	label := func(line []byte, prefix string) string {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(string(line)), prefix), "-----")
	}
	if b, e := label(text, "-----BEGIN "), label(text[last:], "-----END "); b != e {
		return fmt.Sprintf("it begins as %q and ends as %q", b, e)
	}
	// Without white space base64 tells where it stops making sense; offsets lead back to the file.
	var clean []byte
	var offsets []int
	for i := body; i < last; i++ {
		if !bytes.ContainsRune([]byte(" \t\r\n"), rune(text[i])) {
			clean, offsets = append(clean, text[i]), append(offsets, start+i)
		}
	}
	_, err := base64.StdEncoding.DecodeString(string(clean))
	var corrupt base64.CorruptInputError
	if errors.As(err, &corrupt) && int(corrupt) < len(offsets) {
		at := offsets[corrupt]
		return fmt.Sprintf("no valid base64 at byte %d (line %d)", at, 1+bytes.Count(data[:at], []byte("\n")))
	}
	if err != nil {
		return "its base64 text is cut off"
	}
	return "its BEGIN or END line is malformed"
}

func broken(p part, err error) *Reason { return &Reason{Kind: Broken, part: p, text: err.Error()} }

// parseCerts returns the certificates of a file, at least one. Other blocks
// are skipped, as all of Kubernetes skips them.
func parseCerts(data []byte, p part) ([]*x509.Certificate, *Reason) {
	blocks, err := pemBlocks(data)
	if err != nil {
		return nil, broken(p, err)
	}
	var certs []*x509.Certificate
	for _, b := range blocks {
		if b.Type != certificateBlock {
			continue
		}
		cert, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, broken(p, fmt.Errorf("%v is no certificate: %w", b, err))
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, broken(p, fmt.Errorf("it holds no certificate, only %v", blocks[0]))
	}
	return certs, nil
}

// parseKey returns the first private key of a file: RSA or ECDSA, in any of
// the three unencrypted forms. Texts never quote the file's content.
func parseKey(data []byte) (crypto.Signer, *Reason) {
	blocks, err := pemBlocks(data)
	if err != nil {
		return nil, broken(partKey, err)
	}
	for _, b := range blocks {
		if !strings.HasSuffix(b.Type, "PRIVATE KEY") {
			continue // openssl puts EC PARAMETERS in front
		}
		if b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, &Reason{Kind: Encrypted, part: partKey, text: "it is encrypted with a passphrase"}
		}
		key, err := parsePrivate(b)
		if err != nil {
			// The parser's own error describes bytes of the key: it stays inside.
			return nil, broken(partKey, fmt.Errorf("%v is no RSA or ECDSA private key", b))
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			return key, nil
		case *ecdsa.PrivateKey:
			return key, nil
		default:
			return nil, &Reason{Kind: UnsupportedKey, part: partKey, text: fmt.Sprintf("it is neither an RSA nor an ECDSA key (%T)", key)}
		}
	}
	return nil, broken(partKey, fmt.Errorf("it holds no private key, only %v", blocks[0]))
}

func parsePrivate(b block) (crypto.PrivateKey, error) {
	switch b.Type {
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(b.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(b.Bytes)
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(b.Bytes)
	default:
		return nil, errors.New("its type is unknown")
	}
}
