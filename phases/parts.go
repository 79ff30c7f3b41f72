package phases

import (
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// part is one of kubeadm's sub-phases, which can be run and skipped one by one.
// It is a choice of its phase's steps, so that a part does what the phase does. A step
// that no part has serves whichever are left.
type part struct {
	name, short string // "apiserver"; its full name is "certs/apiserver"
	reads       []string
	has         func(plan.Step) bool
}

// choose leaves the phase with those of its parts that keep says.
func (ph phase) choose(keep func(part string) bool) phase {
	all := ph.steps
	ph.steps = func(s *State) ([]plan.Step, error) {
		list, err := all(s)
		kept := slices.DeleteFunc(list, func(step plan.Step) bool {
			has := func(p part) bool { return p.has(step) }
			kept := func(p part) bool { return p.has(step) && keep(p.name) }
			return slices.ContainsFunc(ph.parts, has) && !slices.ContainsFunc(ph.parts, kept)
		})
		return slices.DeleteFunc(slices.Clone(kept), func(step plan.Step) bool { return isUnusedDir(step, kept) }), err
	}
	return ph
}

// isUnusedDir says whether a step makes a directory that nothing is put into.
func isUnusedDir(step plan.Step, list []plan.Step) bool {
	dir, ok := step.(steps.MakeDir)
	return ok && !dir.Tree && !slices.ContainsFunc(list, func(other plan.Step) bool {
		_, isDir := other.(steps.MakeDir)
		at, ok := other.(interface{ Where() string })
		return !isDir && ok && strings.HasPrefix(at.Where(), dir.Path+"/")
	})
}

// find returns a phase by its name, or by the name of one of its parts as a phase that is that part.
func find(list []phase, name string) (phase, bool) {
	for _, ph := range list {
		if ph.name == name {
			return ph, true
		}
		for _, p := range ph.parts {
			if name == ph.name+"/"+p.name {
				ph = ph.choose(func(part string) bool { return part == p.name })
				ph.name, ph.short = name, p.short
				return ph, true
			}
		}
	}
	return phase{}, false
}

// certParts are those of kubeadm: the names of the certificates, and sa.
func certParts() []part {
	// Names and signers do not depend on the machine.
	cfg := config.Default("").Complete(config.HostFacts{Hostname: "node", DefaultAddress: netip.IPv6Loopback()})
	dir := config.PathsBelow("").PKI
	var list []part
	for _, spec := range pki.Specs(cfg) {
		p := part{name: spec.PhaseName(), short: "make the certificate authority " + spec.CommonName, has: func(step plan.Step) bool {
			issue, ok := step.(steps.IssueCertificate)
			return ok && issue.Spec.Name == spec.Name
		}}
		if !spec.IsCA() {
			p.short = fmt.Sprintf("issue the certificate %s, signed by %s", spec.CertFile(), spec.Signer)
			p.reads = []string{path.Join(dir, spec.Signer+".crt"), path.Join(dir, spec.Signer+".key")}
		}
		list = append(list, p)
	}
	return append(list, part{name: "sa", short: "make the key pair that signs service account tokens", has: func(step plan.Step) bool {
		_, ok := step.(steps.MakeServiceAccountKey)
		return ok
	}})
}

func kubeconfigParts() []part {
	dir := config.PathsBelow("").PKI
	ca := []string{path.Join(dir, "ca.crt"), path.Join(dir, "ca.key")}
	var list []part
	for _, file := range []struct{ name, short string }{
		{pki.AdminConf, "write the kubeconfig of the administrators"},
		{pki.SuperAdminConf, "write the kubeconfig of the administrator whom no RBAC can shut out"},
		{pki.KubeletConf, "write the kubelet's kubeconfig, if a kubelet is to run the pods"},
		{pki.ControllerManagerConf, "write the kubeconfig of kube-controller-manager"},
		{pki.SchedulerConf, "write the kubeconfig of kube-scheduler"},
	} {
		list = append(list, part{strings.TrimSuffix(file.name, ".conf"), file.short, ca, func(step plan.Step) bool {
			conf, ok := step.(steps.WriteKubeconfig)
			return ok && conf.Spec.Name == file.name
		}})
	}
	return list
}

func etcdParts() []part {
	return []part{{"local", "make the data directory and write the static pod manifest of an etcd on this machine", nil,
		func(plan.Step) bool { return true }}}
}

func controlPlaneParts() []part {
	var list []part
	for _, name := range []string{manifests.APIServer, manifests.ControllerManager, manifests.Scheduler} {
		list = append(list, part{componentPart(name), "write the static pod manifest of " + name, nil, func(step plan.Step) bool {
			if own, ok := step.(steps.Own); ok {
				return slices.Contains(own.For, name)
			}
			if volume, ok := step.(steps.MakeVolume); ok {
				return slices.Contains(volume.For, name)
			}
			file, ok := step.(steps.WriteFile)
			return ok && filepath.Base(file.Path) == name+".yaml"
		}})
	}
	return list
}

// componentPart is kubeadm's name of a component among sub-phases.
func componentPart(component string) string { return strings.TrimPrefix(component, "kube-") }

// MissingCAError is a phase that was asked for alone, or whose phase before it was
// skipped, and that needs a certificate authority that is not there.
type MissingCAError struct {
	Phase string // "certs/apiserver"
	Path  string // of the certificate
	part  string // that makes it
}

func (e *MissingCAError) Error() string {
	return fmt.Sprintf("cannot plan phase %s: there is no certificate authority %s", e.Phase, e.Path)
}

// Hint says what makes it.
func (e *MissingCAError) Hint() string {
	return "make it first: kubecrank init phase certs " + e.part
}

// missingCA returns a *MissingCAError if a step of the plan is to sign with an authority that is neither there nor in the plan.
func missingCA(p plan.Plan, s *State) error {
	made := map[string]bool{}
	for _, ph := range p.Phases {
		for _, step := range ph.Steps {
			signer := ""
			switch step := step.(type) {
			case steps.IssueCertificate:
				made[step.Spec.Name] = true
				signer = step.Spec.Signer
			case steps.WriteKubeconfig:
				signer = "ca"
			}
			crt := filepath.Join(s.Paths.PKI, signer+".crt")
			if signer != "" && !made[signer] && s.Facts.Look(crt).Kind == resource.Absent {
				return &MissingCAError{Phase: ph.Name, Path: crt, part: pki.Spec{Name: signer}.PhaseName()}
			}
		}
	}
	return nil
}
