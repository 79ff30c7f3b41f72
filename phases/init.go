package phases

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
)

// initPhases is what init does. The order is the one in which it is shown; a
// phase runs as soon as those it comes after are done, so that the components
// are staged while certificates are made. Manifests come after all that their
// pods need, because a supervisor may be running already.
func initPhases() []phase {
	return []phase{
		{"preflight", "check that this machine can hold a control plane", nil, preflight, nil},
		{"components", "put the components on disk", []string{"preflight"}, components, nil},
		{"certs", "make the certificate authorities, certificates and the service account key", []string{"preflight"}, certs, certParts()},
		{"kubeconfig", "write the kubeconfigs of the administrators and the components", []string{"certs"}, kubeconfigs, kubeconfigParts()},
		{"etcd", "write etcd's static pod manifest", []string{"certs", "components"}, etcd, etcdParts()},
		{"control-plane", "write the control plane's static pod manifests", []string{"components", "etcd", "kubeconfig"}, controlPlane,
			controlPlaneParts()},
		{"supervise", "leave a supervisor running that runs the static pods", []string{"control-plane"}, supervise, nil},
		{"bootstrap-policy", "create the cluster's default roles before kube-apiserver does", []string{"supervise"}, bootstrapPolicy, nil},
		{"wait-control-plane", "wait until all components are ready", []string{"supervise"}, waitControlPlane, nil},
		{"admin-rbac", "give the group of admin.conf its rights", []string{"wait-control-plane"}, adminRBAC, nil},
		{"summary", "say what to do next", []string{"admin-rbac"}, summary, nil},
	}
}

// withoutCounterpart are kubeadm's phases of a verb that have nothing like them
// here (cmd/kubeadm/app/cmd/init.go): a kubeadm file that skips them gets what it asks for.
func withoutCounterpart(verb string) []string {
	if verb != journal.VerbInit {
		return nil
	}
	return []string{"kubelet-start", "certs/all", "kubeconfig/all", "control-plane/all",
		"upload-config", "upload-config/all", "upload-config/kubeadm", "upload-config/kubelet", "upload-certs",
		"mark-control-plane",
		"bootstrap-token", "kubelet-finalize", "kubelet-finalize/all", "kubelet-finalize/enable-client-cert-rotation",
		"addon", "addon/all", "addon/coredns", "addon/kube-proxy", "show-join-command"}
}

// InitPhases names the phases of init, in order.
func InitPhases() []PhaseInfo { return infos(initPhases()) }

// Init plans the bring-up of a control plane node. cfg is completed and valid.
//
// The plan is whole even when the error is one of these two, so that a dry-run
// can show it: a *plan.RefusedError if the node was set up with another
// configuration, or if files that are not ours are in the way; a
// *plan.PreflightError if checks fail that are not ignored. With any other
// error (*UnknownPhaseError, *MissingCAError, *journal.Error) there is no plan.
func Init(cfg config.Config, f facts.Facts, payload Payload) (plan.Plan, error) {
	list, err := without(journal.VerbInit, initPhases(), cfg.SkipPhases)
	if err != nil {
		return plan.Plan{}, err
	}
	return initPlan(cfg, f, payload, list)
}

// InitPhase plans one phase of init, or one part of a phase ("certs/ca"), alone.
func InitPhase(name string, cfg config.Config, f facts.Facts, payload Payload) (plan.Plan, error) {
	list := initPhases()
	only, ok := find(list, name)
	if !ok {
		return plan.Plan{}, &UnknownPhaseError{Verb: journal.VerbInit, Name: name, Known: names(list)}
	}
	return initPlan(cfg, f, payload, []phase{only})
}

func initPlan(cfg config.Config, f facts.Facts, payload Payload, list []phase) (plan.Plan, error) {
	if err := trustJournal(f); err != nil {
		return plan.Plan{}, err
	}
	files, remarks, err := render(cfg, f)
	if err != nil {
		return plan.Plan{}, err
	}
	if payload.Pods != nil {
		if err := errors.Join(RefusedManifests(files, payload.Pods)...); err != nil {
			return plan.Plan{}, err
		}
	}
	s := &State{Config: cfg, Paths: cfg.Paths(), Facts: f, Payload: payload, Manifests: files, Remarks: remarks}
	p, err := build(journal.VerbInit, list, s)
	if err != nil {
		return plan.Plan{}, err
	}
	p.SetsUp = slices.ContainsFunc(list, func(ph phase) bool { return ph.name == "supervise" })
	p.Node = journal.Identity{Name: cfg.Node.Name, AdvertiseAddress: cfg.Node.AdvertiseAddress.String()}
	settled := cfg.Settled()
	p.Settled = &settled
	refused := refuse(p, f)
	if refused != nil && refused.OtherConfig() {
		return p, refused // what else there is to say would only be noise
	}
	if err := missingCA(p, s); err != nil {
		return plan.Plan{}, err
	}
	if failed := plan.Preflight(p.Checks()); failed != nil {
		return p, failed
	}
	if refused != nil {
		return p, refused
	}
	return p, nil
}

// refuse is what stands in the way of the plan: what is not ours, and another
// configuration than the one that the node was set up with.
func refuse(p plan.Plan, f facts.Facts) *plan.RefusedError {
	refused := plan.Refuse(p, f.Host())
	if h := f.History; h.SetUp && h.Config != nil {
		if differences := h.Config.Differences(*p.Settled); len(differences) > 0 {
			if refused == nil {
				refused = &plan.RefusedError{Verb: p.Verb}
			}
			refused.Differences = differences
		}
	}
	return refused
}

// render makes the manifests, with the user's patches applied. All patches that cannot be applied are named.
func render(cfg config.Config, f facts.Facts) (files []manifests.File, remarks []string, err error) {
	if f.PatchesError != nil {
		return nil, nil, f.PatchesError
	}
	if f.AccountsError != nil {
		return nil, nil, f.AccountsError
	}
	if files, err = manifests.Render(cfg, f.ManifestsHost(cfg)); err != nil {
		return nil, nil, err
	}
	files, remarks, errs := manifests.ApplyPatches(files, f.Patches)
	return files, remarks, errors.Join(errs...)
}

// trustJournal refuses a journal that cannot be understood. One that this user
// may not read is another matter: a dry-run goes without it.
func trustJournal(f facts.Facts) error {
	err := f.JournalError
	if errors.Is(err, fs.ErrPermission) || err != nil && strings.Contains(err.Error(), syscall.EACCES.Error()) {
		return nil
	}
	return err
}
