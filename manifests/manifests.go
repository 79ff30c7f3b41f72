// Package manifests renders the static pods of the control plane, as kubeadm
// writes them (cmd/kubeadm/app/phases/{controlplane,etcd} of Kubernetes 1.34 to 1.36).
//
//	Config + Host --values, template--> JSON --strict decode--> corev1.Pod --marshal--> []File
//
// It is pure: what it needs to know about the machine comes in as Host, and
// the same input gives the same bytes.
//
// Deliberately different from kubeadm's, all for a reason given where it is done:
// the annotations of package runtime; with a port offset, the ports; with a root, the paths
// and no CA directories of the host; a volume for each directory of external etcd
// certificates that is not mounted yet, where kubeadm compares prefixes of names;
// --flex-volume-plugin-dir when the controller manager has the host's file
// system before it; a loopback advertise address, which kubeadm refuses; the
// probe's port follows an extra argument secure-port.
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

// Host is what rendering needs to know of the machine; facts.Gather finds it out.
type Host struct {
	CADirs     []string     // the CA directories that exist on this machine, of OptionalCADirs
	ProxyEnv   []config.Env // the non-empty *_proxy variables, sorted by name
	ExternalCA bool         // the certificates directory has a ca.crt and no ca.key: nothing is signed here
	Users      *Users       // with the feature gate RootlessControlPlane; nil: all run as root
}

// OptionalCADirs are the directories into which files of /etc/ssl/certs may
// link: kubeadm mounts those that exist (phases/controlplane/volumes.go).
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
	Pod  *corev1.Pod // what Data is
	// Patches are the names of the patches that were applied, in their order.
	Patches []string
}

// Render returns the manifests of the control plane, in start order: etcd
// (unless external), kube-apiserver, kube-controller-manager, kube-scheduler.
// cfg is completed and valid.
func Render(cfg config.Config, host Host) ([]File, error) {
	var pods []pod
	if cfg.Etcd.External == nil {
		pods = append(pods, etcdPod(cfg, host))
	}
	pods = append(pods, apiServerPod(cfg, host), controllerManagerPod(cfg, host), schedulerPod(cfg, host))
	files := make([]File, len(pods))
	errs := make([]error, len(pods))
	var all sync.WaitGroup // side by side: reading and writing YAML is most of a dry-run
	for i, p := range pods {
		all.Go(func() { files[i], errs[i] = p.render() })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return files, nil
}
