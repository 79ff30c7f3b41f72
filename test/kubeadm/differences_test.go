//go:build oracle

package kubeadm

import (
	"net/netip"
	"path"
	"regexp"
)

// allowed is one deliberate difference: one line of the table. It allows the
// differences whose place and values match; a * stands for any text.
type allowed struct {
	Where     string // "FILE", or "FILE FIELD"
	Kubeadm   string // what kubeadm writes there; "" for nothing
	Kubecrank string // what kubecrank writes there; "" for nothing
	When      string // for people; "" is always
	Why       string

	// What follows holds When: "" and 0 are all.
	Runtimes     string // space-separated
	Cases        string // which cases, by name
	Since, Until int    // minor versions
	// Same makes the one of the other: what it returns for kubeadm's value has to be kubecrank's.
	Same func(string) string
}

const (
	manifestsDir  = "/etc/kubernetes/manifests/"
	manager       = manifestsDir + "kube-controller-manager.yaml "
	managerFlag   = manager + "spec.containers[kube-controller-manager].command"
	apiServerFile = manifestsDir + "kube-apiserver.yaml "
)

// deliberate is the table of all that differs, and why. docs/reference/differences.md is made from it.
func deliberate() []allowed {
	return []allowed{
		{Where: manifestsDir + "*.yaml metadata.annotations.kubecrank.dev/eager-probe-period", Kubecrank: "25ms",
			Why: "Until a probe has succeeded once the supervisor repeats it that often, and so starts seconds earlier. A kubelet ignores it."},
		{Where: manifestsDir + "kube-*.yaml metadata.annotations.kubecrank.dev/start-after", Kubecrank: "kube-apiserver",
			Why: "Started before the API server answers, the component would run into its own back-off. A kubelet ignores it."},
		{Where: apiServerFile + "metadata.annotations.kubecrank.dev/stop-before", Kubecrank: "etcd", When: "etcd is local",
			Why: "An API server that loses etcd first hangs in its own shutdown. A kubelet ignores it."},

		{Where: managerFlag + "[--flex-volume-plugin-dir]", Kubecrank: "/var/lib/kubecrank/flexvolumes", When: "runtime process",
			Runtimes: "process",
			Why: "The controller manager makes the directory when it starts, and here it has the host's file system before it: " +
				"/usr/libexec is not ours, and may be read-only."},
		{Where: manager + "spec.*[flexvolume-dir].*ath", Kubeadm: "/usr/libexec/kubernetes/kubelet-plugins/volume/exec",
			Kubecrank: "/var/lib/kubecrank/flexvolumes", When: "runtime process, Kubernetes 1.34 and 1.35", Runtimes: "process", Until: 35,
			Why: "The volume of that flag; kubeadm 1.36 has dropped it."},

		{Where: "/etc/kubernetes/kubelet.conf", Kubeadm: "a file", When: "runtime process or containerd", Runtimes: "process containerd",
			Why: "There is no kubelet to use it, and it is a credential."},
		{Where: "/var/lib/kubelet/*", Kubeadm: "a file",
			Why: "There is no kubelet to read it. With the runtime kubelet, the kubelet is the user's, with its own configuration."},

		{Where: manager + "spec.containers[kube-controller-manager].ports[probe-port].containerPort", Kubeadm: "10257", Kubecrank: "11257",
			When: "extraArgs has secure-port", Cases: "controllerManager secure-port",
			Why: "The probes follow the port. kubeadm's ask the old one, and the component is restarted for ever."},
		{Where: manifestsDir + "kube-scheduler.yaml spec.containers[kube-scheduler].ports[probe-port].containerPort", Kubeadm: "10259",
			Kubecrank: "11259", When: "extraArgs has secure-port", Cases: "scheduler secure-port", Why: "The same for the scheduler."},

		{Where: apiServerFile + "spec.*[etcd-certs-*", Kubeadm: "*", Kubecrank: "*", Cases: "etcd external beside pki",
			When: "the name of a directory of external etcd certificates begins like the name of another one (/srv/a, /srv/ab)",
			Why:  "kubeadm takes the one for a part of the other and does not mount it, so that the API server cannot read its certificate."},
		{Where: apiServerFile + "spec.*[etcd-certs-0]*", Kubecrank: "*", Cases: "real, external etcd in CA directory",
			When: "an external etcd's certificates lie in a CA directory of another distribution, such as /etc/pki/ca-trust",
			Why:  "kubeadm takes the directory for mounted, although it mounts only those that were there before."},

		{Where: manifestsDir + "*", Kubeadm: "/srv/*", Kubecrank: "/srv/*", Cases: "*Dir with *", Same: path.Clean,
			When: "certificatesDir or etcd's dataDir is written with a slash behind, or dots", Why: "The same path, in its plain form."},
		{Where: manifestsDir + "*", Kubeadm: "FD00:*", Kubecrank: "fd00:*", Cases: "serviceSubnet spelled otherwise", Same: canonicalPrefix,
			When: "an IPv6 subnet is not written in its shortest form", Why: "The same subnet, in its canonical form."},
		{Where: "/etc/kubernetes/*admin.conf clusters[kubernetes].cluster.server", Kubeadm: "https://*", Kubecrank: "https://*",
			Cases: "controlPlaneEndpoint spelled otherwise", Same: plainPort, When: "the port of controlPlaneEndpoint has leading zeros",
			Why: "The same port, as a number."},

		{Where: "/etc/kubernetes/*Key", Kubeadm: "RSA 2048, exponent 65537", Kubecrank: "ECDSA P-256", Cases: "defaultAlgorithm",
			When: "encryptionAlgorithm is not given",
			Why:  "Keys of ECDSA P-256 take 30 ms to make instead of a second, and sign faster. encryptionAlgorithm: RSA-2048 gives kubeadm's."},
		{Where: "/etc/kubernetes/*Block", Kubeadm: "RSA PRIVATE KEY", Kubecrank: "EC PRIVATE KEY", Cases: "defaultAlgorithm",
			When: "encryptionAlgorithm is not given", Why: "The same."},
		{Where: "/etc/kubernetes/*SignatureAlgorithm", Kubeadm: "SHA256-RSA", Kubecrank: "ECDSA-SHA256", Cases: "defaultAlgorithm",
			When: "encryptionAlgorithm is not given", Why: "The same."},
	}
}

func canonicalPrefix(text string) string {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return text
	}
	return prefix.String()
}

func plainPort(url string) string {
	return regexp.MustCompile(`:0+([0-9]+)$`).ReplaceAllString(url, ":$1")
}
