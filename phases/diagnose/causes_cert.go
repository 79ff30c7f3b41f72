package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The kinds of faults of certificates, as package pki has them.
const (
	expired     = "expired"
	notYetValid = "not-yet-valid"
	wrongName   = "wrong-name"
	notSigned   = "not-signed"
	keyMismatch = "key-mismatch"
	broken      = "broken"
)

// certCauses are about certificates. The faults are found in the files; the
// log shows whether they are what the component suffers from.
func certCauses() []Cause {
	cause := func(name, summary, kind string) Cause {
		return Cause{
			Name: name, Summary: summary, Explain: "{end}{text}", Remedy: "{remedy}",
			Look: func(e Evidence, v Values) Certainty { return certFault(e, v, kind) },
		}
	}
	return []Cause{
		cause("certificate-expired", "a certificate has expired", expired),
		cause("certificate-not-yet-valid", "a certificate is not valid yet: mostly a clock that is wrong", notYetValid),
		cause("certificate-wrong-name", "a server's certificate lacks the name or address by which it is called", wrongName),
		cause("certificate-wrong-ca", "a certificate is signed by another CA than the one that the other side trusts", notSigned),
		cause("key-mismatch", "a private key does not belong to its certificate", keyMismatch),
		cause("certificate-broken", "a file holds no certificate or no key", broken),
	}
}

// tlsTrouble are the ways in which components say that a connection failed for
// its certificates. Whoever is refused often sees only that the connection is closed.
const tlsTrouble = `x509: |tls: |certificate|Unauthorized|broken pipe|connection reset|handshake|deadline exceeded|PEM|asn1`

func certFault(e Evidence, v Values, kind string) Certainty {
	i := slices.IndexFunc(e.Certs, func(c CertFault) bool { return c.Kind == kind })
	if i < 0 {
		return ""
	}
	fault := e.Certs[i]
	v["end"], v["text"], v["remedy"], v["file"] = "", fault.Text, fault.Remedy, fault.File
	if fault.Peer != "" {
		v["end"] = fmt.Sprintf("%s and %s cannot talk: ", e.Program, fault.Peer)
	}
	trouble := regexp.MustCompile(tlsTrouble)
	if slices.ContainsFunc(slices.Concat(e.Log, e.Messages), trouble.MatchString) {
		return Certain
	}
	return Probable
}

// clockTolerance is how far the clock and the machine's own count of time may differ by small corrections.
const clockTolerance = time.Minute

// clockCauses come before those of certificates: a clock that was set makes good certificates invalid.
func clockCauses() []Cause {
	return []Cause{{
		Name: "clock-jump", Summary: "the machine's clock was set while the component ran, or before its certificates were made",
		Look:    clockJump,
		Explain: "the machine's clock says {now}: {why}",
		Remedy: "set it: 'timedatectl set-ntp true', or 'date -s \"2026-01-31 12:00\"'; " +
			"then '{kubecrank} init' starts what has failed again",
	}}
}

func clockJump(e Evidence, v Values) Certainty {
	v["now"] = e.Now.UTC().Format("2006-01-02 15:04:05 UTC")
	jumped := e.ClockSkew.Abs() > clockTolerance
	if jumped {
		direction := "forward"
		if e.ClockSkew < 0 {
			direction = "back"
		}
		v["why"] = fmt.Sprintf("it was set %s by %s after %s was started", direction, e.ClockSkew.Abs().Round(time.Second), e.Program)
	}
	for _, c := range e.Certs {
		before := e.Now.Add(-e.ClockSkew) // what the clock would say
		fits := c.From.Before(before) && before.Before(c.Until)
		switch {
		case jumped && fits && (c.Kind == expired || c.Kind == notYetValid):
			v["why"] += ", and so " + strings.TrimPrefix(c.Text, "cannot use ")
			return Certain
		case c.Kind == notYetValid && c.Written.After(e.Now.Add(clockTolerance)):
			v["why"] = fmt.Sprintf("%s was written on %s, which is still to come, so the clock was set back (or is wrong since a boot)",
				c.File, c.Written.UTC().Format("2006-01-02 15:04:05 UTC"))
			return Certain
		}
	}
	if jumped {
		return Probable
	}
	return ""
}
