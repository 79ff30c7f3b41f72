// Package manifests renders the static pods of the control plane, as kubeadm
// writes them (cmd/kubeadm/app/phases/{controlplane,etcd} of Kubernetes 1.34 to 1.36).
//
//	Config + Host --etcdPod, apiServerPod, ...--> pod --template--> YAML --strict decode--> corev1.Pod --encode--> []File
//
// Each component has one file (etcd.go, apiserver.go, ...) with its arguments,
// mounts, ports and probes. The other files hold what the components share.
//
// The package is pure: facts about the machine come in as Host, and the same
// input gives the same bytes.
//
// The manifests differ from kubeadm's on purpose in these points. The reason
// stands beside the code:
//   - the annotations of package runtime
//   - the ports, with a port offset; the probe's port follows an extra argument secure-port
//   - the paths, with a root; the CA directories of the host are not mounted then
//   - a volume for each directory of external etcd certificates that no other volume covers
//   - --flex-volume-plugin-dir, where the controller manager runs on the host's file system
//   - a loopback address as the advertise address, which kubeadm refuses
package manifests

import (
	"errors"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// The static pods, by metadata.name.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
)

// Host holds the facts about the machine that rendering needs. facts.Gather finds them.
type Host struct {
	CADirs     []string     // the CA directories that exist on this machine, a subset of OptionalCADirs
	ProxyEnv   []config.Env // the non-empty *_proxy variables, sorted by name
	ExternalCA bool         // the certificates directory has a ca.crt and no ca.key: another machine signs
	Users      *Users       // with the feature gate RootlessControlPlane; nil if all run as root
}

// OptionalCADirs returns the directories that links in /etc/ssl/certs may point
// into. kubeadm mounts those that exist (cmd/kubeadm/app/phases/controlplane/volumes.go).
func OptionalCADirs() []string {
	return []string{"/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/ca-certificates", "/usr/share/ca-certificates",
		"/usr/local/share/ca-certificates"}
}

// Users are the unprivileged users that kubeadm makes for RootlessControlPlane
// (cmd/kubeadm/app/util/users): kubeadm-etcd, kubeadm-kas, kubeadm-kcm, kubeadm-ks.
type Users struct {
	Etcd, APIServer, ControllerManager, Scheduler User
	KeyReaders                                    int64 // group kubeadm-sa-key-readers, which may read sa.key
}

// User is a user and its own group.
type User struct{ UID, GID int64 }

// File is one rendered manifest.
type File struct {
	Name string // "kube-apiserver.yaml"
	Data []byte
	Pod  *corev1.Pod // Data, decoded
	// Patches names the patches that were applied, in order.
	Patches []string
}

// Render returns the manifests of the control plane, in start order: etcd
// (unless external), kube-apiserver, kube-controller-manager, kube-scheduler.
// cfg must be completed and valid. Errors of several manifests are joined.
func Render(cfg config.Config, host Host) ([]File, error) {
	var pods []pod
	if cfg.Etcd.External == nil {
		pods = append(pods, etcdPod(cfg, host))
	}
	pods = append(pods, apiServerPod(cfg, host), controllerManagerPod(cfg, host), schedulerPod(cfg, host))
	files := make([]File, len(pods))
	errs := make([]error, len(pods))
	var all sync.WaitGroup // in parallel: YAML is most of a dry-run's time
	for i, p := range pods {
		all.Go(func() { files[i], errs[i] = p.render() })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return files, nil
}
