package phases

import (
	"path/filepath"

	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
)

// certs makes what kubeadm makes below its certificate directory, in its order.
func certs(s *State) ([]plan.Step, error) {
	steps := []plan.Step{plan.MakeDir{Path: s.Paths.PKI, Mode: 0o755}}
	made := map[string]bool{".": true}
	specs := pki.Specs(s.Config)
	for _, spec := range specs {
		if dir := filepath.Dir(spec.Name); !made[dir] {
			made[dir] = true
			steps = append(steps, plan.MakeDir{Path: filepath.Join(s.Paths.PKI, dir), Mode: 0o755})
		}
	}
	for _, spec := range specs {
		steps = append(steps, plan.IssueCertificate{Spec: spec, Issuing: s.issuing()})
	}
	return append(steps, plan.MakeServiceAccountKey{Issuing: s.issuing()}), nil
}

func (s *State) issuing() plan.Issuing {
	return plan.Issuing{
		PKI:        s.Paths.PKI,
		Algorithm:  s.Config.KeyAlgorithm,
		Validity:   plan.Span(s.Config.CertificateValidity),
		CAValidity: plan.Span(s.Config.CACertificateValidity),
	}
}
