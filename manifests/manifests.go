// Package manifests renders the static pods of the control plane.
//
//	Config + Host --template--> YAML bytes --strict decode--> corev1.Pod --> []File
//
// It is pure: what it needs to know about the machine comes in as Host, and
// the same input gives the same bytes.
package manifests

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// Host is what rendering needs to know of the machine; facts.Gather finds it out.
type Host struct {
	CADirs   []string     // the CA directories that exist on this machine, of those kubeadm mounts; none with a root
	ProxyEnv []config.Env // the non-empty *_proxy variables, sorted by name
}

// File is one rendered manifest.
type File struct {
	Name string // "kube-apiserver.yaml"
	Data []byte
	Pod  *corev1.Pod // Data, strictly decoded
}

// StartAfterAnnotation names the static pod (metadata.name) whose startup
// probe must have succeeded before this one starts. Without it a pod starts at once.
const StartAfterAnnotation = "kubecrank.dev/start-after"

// EagerProbeAnnotation asks the supervisor to probe startup and readiness at
// this period (a Go duration) from the container's start until the first
// success; such early failures do not count against the probe's threshold.
const EagerProbeAnnotation = "kubecrank.dev/eager-probe-period"

// Render returns the manifests of the control plane, in start order: etcd
// (unless external), kube-apiserver, kube-controller-manager, kube-scheduler.
func Render(cfg config.Config, host Host) ([]File, error) {
	panic("TODO")
}
