package phases

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/phases/accounts"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// rootless are the steps of the feature gate RootlessControlPlane for some pods:
// the users, unless a root directory gives them numbers, and what the components read or write
// given to them, as kubeadm does it (cmd/kubeadm/app/util/staticpod/utils_linux.go). They come
// before the manifests, because a supervisor may be running already.
func (s *State) rootless(pods ...string) []plan.Step {
	if !s.Config.Rootless() {
		return nil
	}
	list := []plan.Step{
		// Its directory is root's alone otherwise, and the components are in it.
		steps.Own{Path: s.Paths.State, Mode: 0o711, To: "root, for others to pass through"},
	}
	if s.Config.Root == "" {
		list = append([]plan.Step{
			steps.AddAccounts{File: "/etc/group", Lines: accounts.Lines(s.Facts.Accounts.Groups)},
			steps.AddAccounts{File: "/etc/passwd", Lines: accounts.Lines(s.Facts.Accounts.Users)},
		}, list...)
	}
	if slices.Contains(pods, manifests.ControllerManager) { // it would make it, and may not
		list = append(list, steps.MakeDir{Path: s.Paths.FlexVolumes, Mode: 0o755, Tree: true})
	}
	for _, own := range s.owned() {
		if slices.ContainsFunc(own.For, func(pod string) bool { return slices.Contains(pods, pod) }) {
			list = append(list, own)
		}
	}
	return list
}

// owned is what belongs to the users.
func (s *State) owned() []steps.Own {
	users := s.Facts.ManifestsHost(s.Config).Users
	key := func(name string, to string, user manifests.User, pod string) steps.Own {
		return steps.Own{Path: filepath.Join(s.Paths.PKI, name), UID: user.UID, GID: user.GID, Mode: 0o600, To: to, For: []string{pod}}
	}
	conf := func(name string, to string, user manifests.User, pod string) steps.Own {
		own := key("", to, user, pod)
		own.Path = filepath.Join(s.Paths.Kubernetes, name)
		return own
	}
	var list []steps.Own
	apiServerKeys := []string{pki.ServiceAccountPublicFile, "apiserver.key", "apiserver-kubelet-client.key", "front-proxy-client.key"}
	if s.Config.Etcd.External == nil {
		data := key("", accounts.Etcd, users.Etcd, manifests.Etcd)
		data.Path, data.Mode, data.Tree = s.Paths.EtcdData, 0o700, true
		list = append(list, data,
			key("etcd/server.key", accounts.Etcd, users.Etcd, manifests.Etcd),
			key("etcd/peer.key", accounts.Etcd, users.Etcd, manifests.Etcd))
		apiServerKeys = append(apiServerKeys, "apiserver-etcd-client.key")
	}
	for _, name := range apiServerKeys {
		list = append(list, key(name, accounts.APIServer, users.APIServer, manifests.APIServer))
	}
	list = append(list,
		steps.Own{Path: filepath.Join(s.Paths.PKI, pki.ServiceAccountKeyFile), GID: users.KeyReaders, Mode: 0o640,
			To: "the group " + accounts.KeyReaders, For: []string{manifests.APIServer, manifests.ControllerManager}},
		conf(pki.ControllerManagerConf, accounts.ControllerManager, users.ControllerManager, manifests.ControllerManager),
		conf(pki.SchedulerConf, accounts.Scheduler, users.Scheduler, manifests.Scheduler))
	if !s.Facts.ManifestsHost(s.Config).ExternalCA {
		list = append(list, key("ca.key", accounts.ControllerManager, users.ControllerManager, manifests.ControllerManager))
	}
	return list
}

// passable: what the components read lies behind directories that all may pass through.
func passable(s *State) []plan.Check {
	if !s.Config.Rootless() {
		return nil
	}
	dirs := []string{s.Paths.Kubernetes, s.Paths.PKI, filepath.Dir(s.Paths.EtcdData), filepath.Dir(s.Paths.State)}
	if s.Config.ComponentsDir != "" {
		dirs = append(dirs, s.Config.ComponentsDir)
	}
	var checks []plan.Check
	told := map[string]bool{}
	for _, dir := range dirs {
		for at := dir; !told[at]; at = filepath.Dir(at) {
			told[at] = true
			if seen := s.Facts.Look(at); seen.Kind == resource.Directory && seen.Mode&0o001 == 0 {
				checks = append(checks, failed(s.label("Passable", at),
					fmt.Sprintf("%s (%04o) cannot be entered by the users of RootlessControlPlane, and %s is in it", at, seen.Mode, dir),
					"chmod o+x "+at)...)
			}
		}
	}
	if len(checks) == 0 {
		return ok(s.label("Passable", s.Paths.Kubernetes), "")
	}
	return checks
}

// readable: the files of an external etcd are not ours to give away, and the API server reads them.
func readable(s *State) []plan.Check {
	e, users := s.Config.Etcd.External, s.Facts.ManifestsHost(s.Config).Users
	if e == nil || users == nil {
		return nil
	}
	var checks []plan.Check
	for _, file := range []string{e.CAFile, e.CertFile, e.KeyFile} {
		seen := s.Facts.Look(file)
		may := seen.Mode&0o004 != 0 || seen.UID == users.APIServer.UID && seen.Mode&0o400 != 0 ||
			seen.GID == users.APIServer.GID && seen.Mode&0o040 != 0
		if seen.Kind != resource.Regular {
			continue // ExternalEtcdClientCertificates tells
		}
		if may {
			checks = append(checks, ok(s.label("Readable", file), "")...)
			continue
		}
		checks = append(checks, failed(s.label("Readable", file), fmt.Sprintf("%s (%04o) cannot be read by %s, which is user %d", file,
			seen.Mode, accounts.APIServer, users.APIServer.UID), fmt.Sprintf("chown %d %s", users.APIServer.UID, file))...)
	}
	return checks
}
