package config

import "path"

// PathsBelow returns the paths for a root ("" for the host's own), with the
// default certificate and etcd directories.
func PathsBelow(root string) Paths {
	below := func(p string) string { return path.Join("/", root, p) }
	return Paths{
		Kubernetes:       below("/etc/kubernetes"),
		Manifests:        below("/etc/kubernetes/manifests"),
		PKI:              below("/etc/kubernetes/pki"),
		EtcdData:         below("/var/lib/etcd"),
		State:            below("/var/lib/kubecrank"),
		Journal:          below("/var/lib/kubecrank/journal.jsonl"),
		Components:       below("/var/lib/kubecrank/components"),
		SupervisorLog:    below("/var/lib/kubecrank/supervisor.log"),
		Timeline:         below("/var/lib/kubecrank/timeline.jsonl"),
		Events:           below("/var/lib/kubecrank/events.jsonl"),
		PodState:         below("/var/lib/kubecrank/pods"),
		Run:              below("/run/kubecrank"),
		Socket:           below("/run/kubecrank/supervisor.sock"),
		Lock:             below("/run/kubecrank/kubecrank.lock"),
		SupervisorLock:   below("/run/kubecrank/supervisor.lock"),
		SupervisorConfig: below("/var/lib/kubecrank/supervisor.yaml"),
		PodLogs:          below("/var/log/pods"),
		FlexVolumes:      below("/var/lib/kubecrank/flexvolumes"),
	}
}

// Paths returns the paths of this control plane: those below its root, with the
// configured certificate and etcd directories.
func (c Config) Paths() Paths {
	p := PathsBelow(c.Root)
	if c.CertificatesDir != "" {
		p.PKI = c.CertificatesDir
	}
	if c.Etcd.DataDir != "" {
		p.EtcdData = c.Etcd.DataDir
	}
	return p
}

// Kubeconfig returns the path of a kubeconfig: Kubeconfig("admin") is /etc/kubernetes/admin.conf.
func (p Paths) Kubeconfig(name string) string { return path.Join(p.Kubernetes, name+".conf") }
