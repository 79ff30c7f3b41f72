package steps

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// Issuing is what certificates of one plan have in common; the time comes from the host.
type Issuing struct {
	PKI        string              `json:"pki"` // the certificates' directory
	Algorithm  config.KeyAlgorithm `json:"algorithm"`
	Validity   Span                `json:"validity"`
	CAValidity Span                `json:"caValidity"`
}

// Span is a duration that is text in JSON: "8760h0m0s".
type Span time.Duration

// MarshalText implements encoding.TextMarshaler.
func (s Span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

func (i Issuing) params(now time.Time) pki.Params {
	return pki.Params{Algorithm: i.Algorithm, Validity: time.Duration(i.Validity), CAValidity: time.Duration(i.CAValidity), Now: now}
}

func (i Issuing) path(name string) string { return filepath.Join(i.PKI, name) }

// signer loads a CA, from the disk or from what this phase is about to write.
func (i Issuing) signer(h plan.Host, name string) (pki.Pair, error) {
	crt, key := h.Look(i.path(name+".crt")), h.Look(i.path(name+".key"))
	for _, seen := range []resource.Seen{crt, key} {
		if seen.Kind == resource.Unreadable {
			return pki.Pair{}, fmt.Errorf("cannot read the certificate authority %s: %s", i.path(name), seen.Error)
		}
	}
	pair, err := pki.Load(crt.Data, key.Data)
	return pair, pki.Locate(err, i.PKI)
}

// anew says whether the CA of this name is going to be made in this run, so
// that what another one has signed cannot stay.
func (i Issuing) anew(h plan.Host, name string) bool {
	w := IssueCertificate{Spec: pki.Spec{Name: name}, Issuing: i}.Compare(h)
	return w.State == plan.New || w.State == plan.Changed
}

// external is the error for files that cannot be issued because the CA that
// signs them is here without its key, nil if it is not so.
func (i Issuing) external(h plan.Host, ca string, missing ...string) error {
	if pair, err := i.signer(h, ca); err != nil || pair.HasKey() {
		return nil // what is wrong with a CA is said of the CA
	}
	return pki.ExternalCA(i.path(ca+".crt"), missing...)
}

// cannotIssue is external, for a run that makes what is missing of a CA first. A CA signs itself ("").
func (i Issuing) cannotIssue(h plan.Host, ca string, missing ...string) error {
	if ca == "" || i.anew(h, ca) {
		return nil
	}
	return i.external(h, ca, missing...)
}

// IssueCertificate makes a CA, or a certificate that one signs, with its key.
type IssueCertificate struct {
	Spec pki.Spec `json:"certificate"`
	Issuing
}

// Kind implements Step.
func (IssueCertificate) Kind() string { return "IssueCertificate" }

// Describe implements Step.
func (s IssueCertificate) Describe() string {
	if s.Spec.IsCA() {
		return fmt.Sprintf("make certificate authority %s (%s)", s.path(s.Spec.CertFile()), s.Algorithm)
	}
	return fmt.Sprintf("issue certificate %s for %s, signed by %s (%s)", s.path(s.Spec.CertFile()), s.Spec.CommonName, s.Spec.Signer,
		s.Algorithm)
}

// Where is the certificate's path.
func (s IssueCertificate) Where() string { return s.path(s.Spec.CertFile()) }

// Compare implements Step. What is there is used if it is valid. It is made
// anew only if it is ours, untouched, and of a run that never ended.
func (s IssueCertificate) Compare(h plan.Host) plan.Work {
	p := pair{first: s.path(s.Spec.CertFile()), second: s.path(s.Spec.KeyFile())}
	if w, ok := p.look(h); !ok {
		return w
	}
	if p.absent() {
		if err := s.cannotIssue(h, s.Spec.Signer, p.first, p.second); err != nil {
			return invalid(err)
		}
		return s.issue(plan.New, nil)
	}
	err := s.check(h, p)
	if err == nil {
		return p.found(h)
	}
	if p.modifiable(h) && s.cannotIssue(h, s.Spec.Signer) == nil {
		return s.issue(plan.Changed, err)
	}
	return p.refuse(h, err)
}

func (s IssueCertificate) check(h plan.Host, p pair) error {
	if s.Spec.IsCA() {
		if _, ours := h.At(p.second); ours && p.two.Kind == resource.Absent && !h.History.SetUp {
			return errors.New("its key was not written before the last run ended")
		}
		return pki.Locate(pki.Check(s.Spec, p.one.Data, p.two.Data, nil, h.Now), s.PKI)
	}
	if s.anew(h, s.Spec.Signer) {
		return fmt.Errorf("cannot use %s: it is signed by a certificate authority that is not there (%s)", p.first,
			s.path(s.Spec.Signer+".crt"))
	}
	ca := h.Look(s.path(s.Spec.Signer + ".crt"))
	return pki.Locate(pki.Check(s.Spec, p.one.Data, p.two.Data, ca.Data, h.Now), s.PKI)
}

func (s IssueCertificate) issue(state plan.State, why error) plan.Work {
	w := plan.Work{State: state, Late: !s.Spec.IsCA(), Files: func(h plan.Host) ([]durable.File, error) {
		made, err := s.newPair(h)
		if err != nil {
			return nil, err
		}
		return []durable.File{
			{Path: s.path(s.Spec.CertFile()), Data: made.CertPEM, Mode: 0o644},
			{Path: s.path(s.Spec.KeyFile()), Data: made.KeyPEM, Mode: 0o600},
		}, nil
	}}
	if why != nil {
		w.Detail = why.Error()
	}
	return w
}

func (s IssueCertificate) newPair(h plan.Host) (pki.Pair, error) {
	if s.Spec.IsCA() {
		return pki.NewCA(s.Spec, s.params(h.Now))
	}
	ca, err := s.signer(h, s.Spec.Signer)
	if err != nil {
		return pki.Pair{}, err
	}
	return pki.Issue(s.Spec, ca, s.params(h.Now))
}

// MakeServiceAccountKey makes the key pair that signs and verifies service account tokens.
type MakeServiceAccountKey struct{ Issuing }

// Kind implements Step.
func (MakeServiceAccountKey) Kind() string { return "MakeServiceAccountKey" }

// Describe implements Step.
func (s MakeServiceAccountKey) Describe() string {
	return fmt.Sprintf("make service account key %s (%s)", s.Where(), s.Algorithm)
}

// Where is the private key's path.
func (s MakeServiceAccountKey) Where() string { return s.path(pki.ServiceAccountKeyFile) }

// Compare implements Step.
func (s MakeServiceAccountKey) Compare(h plan.Host) plan.Work {
	p := pair{first: s.Where(), second: s.path(pki.ServiceAccountPublicFile)}
	if w, ok := p.look(h); !ok {
		return w
	}
	if p.absent() {
		return s.make(plan.New, "")
	}
	err := pki.Locate(pki.CheckServiceAccountKey(p.one.Data, p.two.Data), s.PKI)
	switch {
	case err == nil:
		return p.found(h)
	case p.modifiable(h):
		return s.make(plan.Changed, err.Error())
	default:
		return p.refuse(h, err)
	}
}

func (s MakeServiceAccountKey) make(state plan.State, why string) plan.Work {
	return plan.Work{State: state, Detail: why, Files: func(plan.Host) ([]durable.File, error) {
		key, pub, err := pki.NewServiceAccountKey(s.Algorithm)
		if err != nil {
			return nil, err
		}
		return []durable.File{
			{Path: s.Where(), Data: key, Mode: 0o600},
			{Path: s.path(pki.ServiceAccountPublicFile), Data: pub, Mode: 0o600},
		}, nil
	}}
}

// WriteKubeconfig makes a kubeconfig with a client certificate in it, signed by the cluster's CA.
type WriteKubeconfig struct {
	Spec pki.KubeconfigSpec `json:"kubeconfig"`
	Dir  string             `json:"dir"`
	Issuing
}

// clusterCA is the name of the CA that signs the users of kubeconfigs.
const clusterCA = "ca"

// Kind implements Step.
func (WriteKubeconfig) Kind() string { return "WriteKubeconfig" }

// Describe implements Step.
func (s WriteKubeconfig) Describe() string {
	return fmt.Sprintf("write kubeconfig %s for %s at %s", s.Where(), s.Spec.User, s.Spec.Server)
}

// Where is the path.
func (s WriteKubeconfig) Where() string { return filepath.Join(s.Dir, s.Spec.Name) }

// Compare implements Step.
func (s WriteKubeconfig) Compare(h plan.Host) plan.Work {
	seen := h.Look(s.Where())
	switch seen.Kind {
	case resource.Absent:
		if err := s.cannotIssue(h, clusterCA, s.Where()); err != nil {
			return invalid(err)
		}
		return s.write(plan.New, "")
	case resource.Unreadable:
		return plan.Work{State: plan.Unknown, Detail: seen.Error}
	case resource.Regular:
	default:
		return plan.Work{State: plan.Conflict, Refused: plan.NotOurs, Detail: fmt.Sprintf("it is a %s, not a file", seen.Kind)}
	}
	err := s.check(h, seen)
	var reason *pki.Reason
	warning := errors.As(err, &reason) && reason.Warning()
	switch {
	case err == nil:
		return found(h, s.Where(), seen)
	case modifiable(h, s.Where(), seen) && s.cannotIssue(h, clusterCA) == nil:
		return s.write(plan.Changed, err.Error())
	case warning:
		w := found(h, s.Where(), seen)
		w.Detail = err.Error()
		return w
	default:
		return invalid(err)
	}
}

func (s WriteKubeconfig) check(h plan.Host, seen resource.Seen) error {
	if s.anew(h, clusterCA) {
		return fmt.Errorf("cannot use %s: it trusts a certificate authority that is not there (%s)", s.Where(), s.path(clusterCA+".crt"))
	}
	ca := h.Look(s.path(clusterCA + ".crt"))
	return pki.Locate(pki.CheckKubeconfig(s.Spec, seen.Data, ca.Data, h.Now), s.Dir)
}

func (s WriteKubeconfig) write(state plan.State, why string) plan.Work {
	return plan.Work{State: state, Detail: why, Files: func(h plan.Host) ([]durable.File, error) {
		ca, err := s.signer(h, clusterCA)
		if err != nil {
			return nil, err
		}
		data, err := pki.NewKubeconfig(s.Spec, ca, s.params(h.Now))
		if err != nil {
			return nil, err
		}
		return []durable.File{{Path: s.Where(), Data: data, Mode: 0o600}}, nil
	}}
}

// pair is two files that belong together.
type pair struct {
	first, second string // paths
	one, two      resource.Seen
}

// look looks at both. If it is not ok, the Work says why.
func (p *pair) look(h plan.Host) (w plan.Work, ok bool) {
	p.one, p.two = h.Look(p.first), h.Look(p.second)
	for _, file := range []struct {
		path string
		resource.Seen
	}{{p.first, p.one}, {p.second, p.two}} {
		switch file.Kind {
		case resource.Unreadable:
			return plan.Work{State: plan.Unknown, Detail: file.Error}, false
		case resource.Absent, resource.Regular:
		default:
			detail := fmt.Sprintf("%s is a %s, not a file", file.path, file.Kind)
			return plan.Work{State: plan.Conflict, Refused: plan.NotOurs, Detail: detail}, false
		}
	}
	return plan.Work{}, true
}

func (p *pair) absent() bool { return p.one.Kind == resource.Absent && p.two.Kind == resource.Absent }

// modifiable says whether what is there of the pair is ours to replace.
func (p *pair) modifiable(h plan.Host) bool {
	return (p.one.Kind == resource.Absent || modifiable(h, p.first, p.one)) &&
		(p.two.Kind == resource.Absent || modifiable(h, p.second, p.two))
}

func (p *pair) found(h plan.Host) plan.Work {
	w := found(h, p.first, p.one)
	if p.two.Kind == resource.Regular {
		w.Makes = append(w.Makes, found(h, p.second, p.two).Makes...)
	}
	return w
}

// refuse tells a pair that was right when we wrote it from one that never was.
func (p *pair) refuse(h plan.Host, err error) plan.Work {
	w := invalid(err)
	o, ours := h.At(p.first)
	var reason *pki.Reason
	if ours && o.Wrote(p.one.SHA256) && h.History.SetUp && errors.As(err, &reason) &&
		(reason.Kind == pki.WrongName || reason.Kind == pki.WrongSubject) {
		w.Refused = plan.OtherConfig
	}
	return w
}

func invalid(err error) plan.Work {
	w := plan.Work{State: plan.Conflict, Refused: plan.NotValid, Detail: err.Error()}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		w.Hint = h.Hint()
	}
	return w
}
