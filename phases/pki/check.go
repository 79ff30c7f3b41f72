package pki

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Check says whether an existing certificate can be used for spec as it is;
// nil means yes, anything else is a *Reason. A nil slice stands for a file
// that is not there: a CA may lack its key (external CA), a leaf may not.
// caPEM is the signer's file, nil for a CA. Checked are, in this order: both
// files parse, certificate and key belong together, the time, the CA's rights
// or the signature, the usages, the subject, the alternative names.
//
// For a certificate that is there, `kubeadm init` checks the signature alone
// (runCertPhase in cmd/kubeadm/app/cmd/phases/init/certs.go) and warns about the time.
func Check(spec Spec, certPEM, keyPEM, caPEM []byte, now time.Time) error {
	c := candidate{certPEM: certPEM, keyPEM: keyPEM, keyOptional: spec.IsCA()}
	r := c.parse()
	if r == nil && spec.IsCA() {
		r = first(
			func() *Reason { return checkTime(c.chain[0], now) },
			func() *Reason { return checkCA(c.chain[0]) },
		)
	} else if r == nil {
		r = checkLeaf(spec, c.chain, caPEM, now)
	}
	if r != nil {
		return r.about(spec.files())
	}
	return nil
}

// first returns the first Reason there is. The checks build on one another:
// what comes after a Reason would only repeat it.
func first(checks ...func() *Reason) *Reason {
	for _, check := range checks {
		if r := check(); r != nil {
			return r
		}
	}
	return nil
}

// candidate is a pair of files that may or may not be usable.
type candidate struct {
	certPEM, keyPEM []byte
	keyOptional     bool

	chain []*x509.Certificate
	key   crypto.Signer
}

func (c *candidate) parse() (r *Reason) {
	if c.certPEM == nil {
		text := "it does not exist"
		if c.keyPEM != nil {
			text += ", but {key} does"
		}
		return &Reason{Kind: Missing, part: partCert, text: text}
	}
	if c.chain, r = parseCerts(c.certPEM, partCert); r != nil {
		return r
	}
	if c.keyPEM == nil {
		if c.keyOptional {
			return nil
		}
		return &Reason{Kind: Missing, part: partKey, text: "it does not exist, but {cert} does"}
	}
	if c.key, r = parseKey(c.keyPEM); r != nil {
		return r
	}
	if !samePublic(c.key.Public(), c.chain[0].PublicKey) {
		return &Reason{Kind: KeyMismatch, part: partKey, text: "it does not belong to {cert}"}
	}
	return nil
}

func checkTime(cert *x509.Certificate, now time.Time) *Reason {
	switch {
	case now.After(cert.NotAfter):
		text := fmt.Sprintf("certificate expired on %s, %s ago", stamp(cert.NotAfter), span(now.Sub(cert.NotAfter)))
		return &Reason{Kind: Expired, text: text}
	case now.Before(cert.NotBefore):
		text := fmt.Sprintf("certificate is not valid before %s, and it is now %s", stamp(cert.NotBefore), stamp(now))
		return &Reason{Kind: NotYetValid, text: text}
	default:
		return nil
	}
}

func checkCA(cert *x509.Certificate) *Reason {
	switch {
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return &Reason{Kind: NotACA, text: "certificate is not a certificate authority (basic constraints lack CA:TRUE)"}
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return &Reason{Kind: NotACA, text: "certificate may not sign certificates (key usage lacks certSign)"}
	default:
		return nil
	}
}

func checkLeaf(spec Spec, chain []*x509.Certificate, caPEM []byte, now time.Time) *Reason {
	if caPEM == nil {
		return &Reason{Kind: Missing, part: partCA, text: "it does not exist, so {cert} cannot be verified"}
	}
	roots, r := parseCerts(caPEM, partCA)
	if r != nil {
		return r
	}
	return first(
		func() *Reason { return checkTime(chain[0], now) },
		func() *Reason { return checkChain(chain, roots, now) },
		func() *Reason { return checkUsages(spec.Usages, chain, roots, now) },
		func() *Reason { return checkSubject(spec, chain[0]) },
		func() *Reason { return checkNames(spec, chain[0]) },
	)
}

func verify(chain, roots []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	opts := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	}
	for _, root := range roots {
		opts.Roots.AddCert(root)
	}
	for _, cert := range chain[1:] {
		opts.Intermediates.AddCert(cert)
	}
	_, err := chain[0].Verify(opts)
	return err
}

func checkChain(chain, roots []*x509.Certificate, now time.Time) *Reason {
	err := verify(chain, roots, x509.ExtKeyUsageAny, now)
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		if r := checkTime(invalid.Cert, now); r != nil {
			r.part, r.text = partCA, fmt.Sprintf("CA %q: %s", subjectOf(invalid.Cert), r.text)
			return r
		}
	case errors.As(err, &unknown):
		issuer, ours := chain[0].Issuer.CommonName, roots[0].Subject.CommonName
		text := fmt.Sprintf("certificate is not signed by the CA in {ca}, but by %q", issuer)
		if issuer == ours {
			text = fmt.Sprintf("certificate is not signed by the CA in {ca}, but by another one that is named %q, too", issuer)
		}
		return &Reason{Kind: NotSigned, text: text}
	}
	return &Reason{Kind: NotSigned, text: fmt.Sprintf("certificate does not verify against {ca}: %v", err)}
}

// checkUsages looks at the whole chain: a CA can forbid what the leaf allows.
func checkUsages(usages []x509.ExtKeyUsage, chain, roots []*x509.Certificate, now time.Time) *Reason {
	for _, usage := range usages {
		if err := verify(chain, roots, usage, now); err != nil {
			text := fmt.Sprintf("certificate is not for use as a %s (extended key usage lacks %[1]sAuth)", usageName(usage))
			return &Reason{Kind: WrongUsage, text: text}
		}
	}
	return nil
}

// systemMasters bypasses authorization, so it stands in for any other group;
// kubeadm before 1.29 put it into admin.conf.
const systemMasters = "system:masters"

// checkSubject looks at the user and the groups that a client certificate
// stands for. More groups than wanted are fine: older kubeadm versions gave
// the API server's client certificates some. Whoever connects to a server
// looks at its alternative names alone.
func checkSubject(spec Spec, cert *x509.Certificate) *Reason {
	if slices.Contains(spec.Usages, x509.ExtKeyUsageServerAuth) {
		return nil
	}
	if cert.Subject.CommonName != spec.CommonName {
		text := fmt.Sprintf("certificate is for user %q, not %q", cert.Subject.CommonName, spec.CommonName)
		return &Reason{Kind: WrongSubject, text: text}
	}
	groups := cert.Subject.Organization
	if slices.Contains(groups, systemMasters) {
		return nil
	}
	for _, group := range spec.Organizations {
		if !slices.Contains(groups, group) {
			text := fmt.Sprintf("certificate is for groups %q, and %q is not among them", groups, group)
			return &Reason{Kind: WrongSubject, text: text}
		}
	}
	return nil
}

func checkNames(spec Spec, cert *x509.Certificate) *Reason {
	var lacking []string
	for _, name := range spec.DNSNames {
		if cert.VerifyHostname(name) != nil {
			lacking = append(lacking, name)
		}
	}
	for _, ip := range spec.IPs {
		if cert.VerifyHostname(ip.String()) != nil {
			lacking = append(lacking, ip.String())
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	return &Reason{Kind: WrongName, text: "certificate is not valid for " + strings.Join(lacking, ", ")}
}

// subjectOf is for people: a certificate may come from anywhere, so control
// characters do not reach their terminal.
func subjectOf(cert *x509.Certificate) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, cert.Subject.String())
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// span is a duration at the precision that matters.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	default:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
}
