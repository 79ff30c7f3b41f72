package phases

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// VerbRenew is the verb of `certs renew` in plans and in the journal.
const VerbRenew = "certs renew"

// Renewable is a certificate that can be renewed, by kubeadm's name.
type Renewable struct {
	Name string // "apiserver", "admin.conf"
	Path string // the file, or the certificate's
	// Pod is the static pod that has it in use, "" for none.
	Pod string
	// signer is the path of the CA's key.
	signer string
	step   func(steps.Issuing) plan.Step
}

// Renewables lists the certificates and kubeconfigs of a control plane, in the
// order of `certs check`. cfg is completed.
func Renewables(cfg config.Config) []Renewable {
	s := &State{Config: cfg, Paths: cfg.Paths()}
	key := func(ca string) string { return filepath.Join(s.Paths.PKI, ca+".key") }
	var all []Renewable
	for _, spec := range pki.Specs(cfg) {
		if spec.IsCA() {
			continue
		}
		all = append(all, Renewable{Name: spec.PhaseName(), Path: filepath.Join(s.Paths.PKI, spec.CertFile()), Pod: podOf(spec.PhaseName()),
			signer: key(spec.Signer), step: func(i steps.Issuing) plan.Step { return steps.RenewCertificate{Spec: spec, Issuing: i} }})
	}
	for _, spec := range pki.KubeconfigSpecs(cfg) {
		if spec.Name == pki.KubeletConf { // the kubelet renews it by itself
			continue
		}
		all = append(all, Renewable{Name: spec.Name, Path: filepath.Join(s.Paths.Kubernetes, spec.Name), Pod: podOf(spec.Name),
			signer: key("ca"), step: func(i steps.Issuing) plan.Step {
				return steps.RenewKubeconfig{Name: spec.Name, Dir: s.Paths.Kubernetes, Issuing: i}
			}})
	}
	return all
}

// podOf is the pod that has a certificate in use.
func podOf(name string) string {
	switch name {
	case pki.ControllerManagerConf:
		return manifests.ControllerManager
	case pki.SchedulerConf:
		return manifests.Scheduler
	case "etcd-server", "etcd-peer":
		return manifests.Etcd
	case "etcd-healthcheck-client", pki.AdminConf, pki.SuperAdminConf:
		return ""
	}
	return manifests.APIServer
}

// Renew plans the renewal of one certificate, or of "all": of those that are
// there and whose authority's key is. The names are those of Renewables; pods
// are those that have to be restarted afterwards. Without a KeyAlgorithm in cfg
// each new key is of the old one's: kubeadm asks the configuration in the
// cluster, which says the same unless somebody changed it.
func Renew(cfg config.Config, f facts.Facts, name string) (p plan.Plan, pods []string, err error) {
	if err := trustJournal(f); err != nil {
		return plan.Plan{}, nil, err
	}
	s := &State{Config: cfg, Paths: cfg.Paths(), Facts: f}
	renew := plan.Phase{Name: "renew", Short: "renew certificates with the names that they have", After: []string{"preflight"}}
	var known []string
	for _, r := range Renewables(cfg) {
		known = append(known, r.Name)
		if name != r.Name && name != "all" {
			continue
		}
		if why := r.skip(f); name == "all" && why != "" {
			renew.Steps = append(renew.Steps, plan.Note{Text: why})
			continue
		}
		issuing := s.issuing()
		if issuing.Algorithm == "" {
			issuing.Algorithm = pki.AlgorithmOf(f.Look(r.Path).Data)
		}
		renew.Steps = append(renew.Steps, r.step(issuing))
		if r.Pod != "" && !slices.Contains(pods, r.Pod) {
			pods = append(pods, r.Pod)
		}
	}
	if len(renew.Steps) == 0 {
		return plan.Plan{}, nil, &UnknownCertificateError{Name: name, Known: known}
	}
	checks := ignore(privileged(s), cfg.IgnorePreflightErrors)
	p = plan.Plan{Verb: VerbRenew, Phases: []plan.Phase{
		{Name: "preflight", Short: "check that this user may renew certificates", Steps: checkSteps(checks)}, renew,
	}}
	if failed := plan.Preflight(checks); failed != nil {
		return p, pods, failed
	}
	if refused := plan.Refuse(p, f.Host()); refused != nil {
		return p, pods, refused
	}
	return p, pods, nil
}

// skip says why "all" leaves a certificate out, "" if it does not.
func (r Renewable) skip(f facts.Facts) string {
	switch {
	case f.Look(r.Path).Kind == resource.Absent:
		return fmt.Sprintf("%s is not there, and was left out.", r.Path)
	case f.Look(r.signer).Kind == resource.Absent:
		return fmt.Sprintf("%s was left out: the key of its certificate authority is not on this machine.", r.Path)
	}
	return ""
}

// UnknownCertificateError is a name that no certificate has (exit code 2).
type UnknownCertificateError struct {
	Name  string
	Known []string
}

func (e *UnknownCertificateError) Error() string {
	return fmt.Sprintf("cannot renew %q: there is no such certificate", e.Name)
}

// Hint lists the names.
func (e *UnknownCertificateError) Hint() string {
	return "there are all, " + strings.Join(e.Known, ", ")
}
