package steps

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// RenewCertificate makes a certificate and its key anew, with the subject,
// names and usages that the present one has (pki.Renew).
type RenewCertificate struct {
	Spec pki.Spec `json:"certificate"` // the names of the files and of the signer
	Issuing
}

// Kind implements Step.
func (RenewCertificate) Kind() string { return "RenewCertificate" }

// Describe implements Step.
func (s RenewCertificate) Describe() string {
	return fmt.Sprintf("renew certificate %s, signed by %s (%s)", s.Where(), s.Spec.Signer, s.Algorithm)
}

// Where is the certificate's path.
func (s RenewCertificate) Where() string { return s.path(s.Spec.CertFile()) }

// Compare implements Step.
func (s RenewCertificate) Compare(h plan.Host) plan.Work {
	if err := s.external(h, s.Spec.Signer, s.Where(), s.path(s.Spec.KeyFile())); err != nil {
		return invalid(err)
	}
	return renewal(h, []string{s.Where(), s.path(s.Spec.KeyFile())}, func(h plan.Host, data []byte) ([]durable.File, error) {
		ca, err := s.signer(h, s.Spec.Signer)
		if err != nil {
			return nil, err
		}
		made, err := pki.Renew(s.Spec, data, ca, s.params(h.Now))
		if err != nil {
			return nil, pki.Locate(err, s.PKI)
		}
		return []durable.File{
			{Path: s.Where(), Data: made.CertPEM, Mode: 0o644},
			{Path: s.path(s.Spec.KeyFile()), Data: made.KeyPEM, Mode: 0o600},
		}, nil
	})
}

// RenewKubeconfig makes the client certificate and key inside a kubeconfig anew (pki.RenewKubeconfig).
type RenewKubeconfig struct {
	Name string `json:"name"` // "admin.conf"
	Dir  string `json:"dir"`
	Issuing
}

// Kind implements Step.
func (RenewKubeconfig) Kind() string { return "RenewKubeconfig" }

// Describe implements Step.
func (s RenewKubeconfig) Describe() string {
	return fmt.Sprintf("renew the certificate in %s, signed by %s (%s)", s.Where(), clusterCA, s.Algorithm)
}

// Where is the path.
func (s RenewKubeconfig) Where() string { return filepath.Join(s.Dir, s.Name) }

// Compare implements Step.
func (s RenewKubeconfig) Compare(h plan.Host) plan.Work {
	if err := s.external(h, clusterCA, s.Where()); err != nil {
		return invalid(err)
	}
	return renewal(h, []string{s.Where()}, func(h plan.Host, data []byte) ([]durable.File, error) {
		ca, err := s.signer(h, clusterCA)
		if err != nil {
			return nil, err
		}
		made, err := pki.RenewKubeconfig(s.Name, data, ca, s.params(h.Now))
		if err != nil {
			return nil, pki.Locate(err, s.Dir)
		}
		return []durable.File{{Path: s.Where(), Data: made, Mode: 0o600}}, nil
	})
}

// renewal is the Work of replacing files, the first of which must be there.
// Whose they are does not change: what was there before kubecrank, reset
// leaves, so the journal must not take the new bytes for ours.
func renewal(h plan.Host, paths []string, files func(h plan.Host, first []byte) ([]durable.File, error)) plan.Work {
	first := h.Look(paths[0])
	switch first.Kind {
	case resource.Regular:
	case resource.Absent:
		return plan.Work{State: plan.Conflict, Refused: plan.NotValid, Detail: "it is not there",
			Hint: "kubecrank init makes what is missing"}
	case resource.Unreadable:
		return plan.Work{State: plan.Unknown, Detail: first.Error}
	default:
		return plan.Work{State: plan.Conflict, Refused: plan.NotOurs, Detail: fmt.Sprintf("it is a %s, not a file", first.Kind)}
	}
	ours := true
	for _, path := range paths {
		if kind := h.Look(path).Kind; kind != resource.Regular && kind != resource.Absent {
			return plan.Work{State: plan.Conflict, Refused: plan.NotOurs, Detail: fmt.Sprintf("%s is a %s, not a file", path, kind)}
		}
		_, owned := h.At(path)
		ours = ours && owned
	}
	renewed := func(h plan.Host) ([]durable.File, error) {
		made, err := files(h, first.Data)
		keepOwners(h, made)
		return made, err
	}
	if ours {
		return plan.Work{State: plan.Changed, Files: renewed}
	}
	return plan.Work{State: plan.Changed, Do: func(_ context.Context, n *plan.Node) (plan.Outcome, error) {
		h := h
		h.Now = n.Now()
		made, err := renewed(h)
		if err != nil {
			return plan.Outcome{}, err
		}
		return plan.Outcome{}, resource.WriteFiles(made)
	}}
}

// keepOwners gives new files to whom those belong that they replace: a component that does not run as root reads its own.
func keepOwners(h plan.Host, files []durable.File) {
	for i, f := range files {
		if seen := h.Look(f.Path); seen.Kind == resource.Regular && seen.UID != int64(os.Geteuid()) {
			files[i].Owner = &durable.Owner{UID: int(seen.UID), GID: int(seen.GID)}
		}
	}
}
