package phases

import (
	"path/filepath"

	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// certs makes what kubeadm makes below its certificate directory, in its order.
func certs(s *State) ([]plan.Step, error) {
	list := []plan.Step{steps.MakeDir{Path: s.Paths.PKI, Mode: 0o755}}
	made := map[string]bool{".": true}
	specs := pki.Specs(s.Config)
	for _, spec := range specs {
		if dir := filepath.Dir(spec.Name); !made[dir] {
			made[dir] = true
			list = append(list, steps.MakeDir{Path: filepath.Join(s.Paths.PKI, dir), Mode: 0o755})
		}
	}
	for _, spec := range specs {
		list = append(list, steps.IssueCertificate{Spec: spec, Issuing: s.issuing()})
	}
	return append(list, steps.MakeServiceAccountKey{Issuing: s.issuing()}), nil
}

func (s *State) issuing() steps.Issuing {
	return steps.Issuing{
		PKI:        s.Paths.PKI,
		Algorithm:  s.Config.KeyAlgorithm,
		Validity:   steps.Span(s.Config.CertificateValidity),
		CAValidity: steps.Span(s.Config.CACertificateValidity),
	}
}
