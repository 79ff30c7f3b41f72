package config

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kubecrank/kubecrank/pathname"
)

// validatePlaces checks the directories. reset removes some of them as a whole, so
// these must contain nothing else of ours.
func (c Config) validatePlaces(k *checker) {
	if c.Root != "" && !k.dir("root", "", c.Root) {
		return
	}
	if c.ComponentsDir != "" && !path.IsAbs(c.ComponentsDir) {
		k.bad("componentsDir", c.ComponentsDir, "it is not an absolute path", "Give the whole path, from / on.")
	}
	paths := c.Paths()
	certs := k.dir("certificatesDir", c.Root, c.CertificatesDir)
	if certs && (pathname.Below(c.CertificatesDir, paths.Manifests) || pathname.Below(paths.Manifests, c.CertificatesDir)) {
		k.bad("certificatesDir", c.CertificatesDir, "it overlaps the static pod directory "+paths.Manifests,
			"Choose a directory of its own.")
	}
	const dataField = "etcd.local.dataDir"
	if c.Etcd.External != nil || !k.dir(dataField, c.Root, c.Etcd.DataDir) {
		return
	}
	others := []string{paths.Kubernetes, paths.State, paths.Run, paths.PodLogs}
	if certs {
		others = append(others, c.CertificatesDir)
	}
	for _, other := range others {
		if pathname.Below(c.Etcd.DataDir, other) || pathname.Below(other, c.Etcd.DataDir) {
			k.bad(dataField, c.Etcd.DataDir, "it overlaps "+other, "Give etcd a directory of its own: reset removes it whole.")
			break
		}
	}
}

func (c Config) validatePorts(k *checker) {
	const bindField = "localAPIEndpoint.bindPort"
	if !isPort(c.Node.BindPort) {
		k.bad(bindField, strconv.Itoa(c.Node.BindPort), "it is not a port from 1 to 65535", "Choose another port.")
		return
	}
	k.securePort("controllerManager.extraArgs", c.ControllerManager.ExtraArgs)
	k.securePort("scheduler.extraArgs", c.Scheduler.ExtraArgs)
	if v, ok := ArgValue(c.APIServer.ExtraArgs, "secure-port"); ok && v != strconv.Itoa(c.Ports().APIServer) {
		k.bad(item("apiServer.extraArgs", lastArg(c.APIServer.ExtraArgs, "secure-port")), "secure-port="+v,
			"probes and kubeconfigs use the bind port "+strconv.Itoa(c.Ports().APIServer),
			"Set the port with --apiserver-bind-port or localAPIEndpoint.bindPort.")
	}
	holder := map[int]string{}
	for _, p := range c.usedPorts() {
		field := p.field
		if c.PortOffset != 0 {
			field = "portOffset"
		}
		if !isPort(p.port) {
			k.bad("portOffset", strconv.Itoa(c.PortOffset), fmt.Sprintf("the port of %s becomes %d, which is not a port", p.of, p.port),
				"Choose a smaller offset.")
			return
		}
		if other, ok := holder[p.port]; ok {
			k.bad(field, strconv.Itoa(p.port), fmt.Sprintf("%s and %s would listen on the same port %d", other, p.of, p.port),
				"Choose another port.")
		}
		holder[p.port] = p.of
	}
}

func (k *checker) securePort(field string, args []Arg) {
	if v, ok := ArgValue(args, "secure-port"); ok && !isPortText(v) {
		k.bad(item(field, lastArg(args, "secure-port")), "secure-port="+v, "it is not a port from 1 to 65535",
			"Choose another port, or leave it out.")
	}
}

type usedPort struct {
	port      int
	of, field string
}

// usedPorts lists the API server last, because the user chose its port: an error names that one.
func (c Config) usedPorts() []usedPort {
	p := c.Ports()
	var used []usedPort
	if c.Etcd.External == nil {
		used = append(used,
			usedPort{p.EtcdClient, "etcd (clients)", "etcd.local.extraArgs"},
			usedPort{p.EtcdPeer, "etcd (peers)", "etcd.local.extraArgs"},
			usedPort{p.EtcdMetrics, "etcd (metrics)", "etcd.local.extraArgs"})
	}
	return append(used,
		usedPort{p.ControllerManager, "kube-controller-manager", "controllerManager.extraArgs"},
		usedPort{p.Scheduler, "kube-scheduler", "scheduler.extraArgs"},
		usedPort{p.APIServer, "kube-apiserver", "localAPIEndpoint.bindPort"})
}

func isPort(n int) bool { return n >= 1 && n <= 65535 }

func isPortText(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && isPort(n)
}

func (c Config) validateEtcd(k *checker) {
	if c.Etcd.External != nil {
		c.validateExternalEtcd(k, *c.Etcd.External)
		return
	}
	const field = "etcd.local"
	if c.Etcd.ImageRepository != "" {
		k.repository(field+".imageRepository", c.Etcd.ImageRepository)
	}
	k.tag(field+".imageTag", c.Etcd.ImageTag)
	k.args(field+".extraArgs", c.Etcd.ExtraArgs)
	k.envs(field+".extraEnvs", c.Etcd.ExtraEnvs)
	k.sans(field+".serverCertSANs", c.Etcd.ServerCertSANs)
	k.sans(field+".peerCertSANs", c.Etcd.PeerCertSANs)
	if i := lastArg(c.Etcd.ExtraArgs, "listen-metrics-urls"); i >= 0 {
		for _, u := range strings.Split(c.Etcd.ExtraArgs[i].Value, ",") {
			k.url(item(field+".extraArgs", i), u, false)
		}
	}
}

func (c Config) validateExternalEtcd(k *checker, e ExternalEtcd) {
	const field = "etcd.external"
	if (e.CertFile == "") != (e.KeyFile == "") {
		k.bad(field, "", "only one of certFile and keyFile is set", "Set both or none.")
	}
	if e.CertFile != "" && e.CAFile == "" {
		k.bad(field+".caFile", "", "it is empty, but certFile and keyFile are set",
			"Give the CA that signed the servers' certificates.")
	}
	if len(e.Endpoints) == 0 {
		k.bad(field+".endpoints", "", "the list is empty", "Give the members' client URLs.")
	}
	k.urls(field+".endpoints", e.Endpoints, e.CAFile != "" || e.CertFile != "" || e.KeyFile != "")
	k.urls(field+".httpEndpoints", e.HTTPEndpoints, false)
	for _, f := range [][2]string{{"caFile", e.CAFile}, {"certFile", e.CertFile}, {"keyFile", e.KeyFile}} {
		if f[1] != "" {
			k.dir(field+"."+f[0], c.Root, f[1])
		}
	}
	if c.Etcd.hasLocal() {
		k.bad("etcd", "", "it has settings of a local etcd and an external one", "Keep etcd.local or etcd.external.")
	}
}

// hasLocal reports whether the user set anything of a local etcd except its directory.
func (e Etcd) hasLocal() bool {
	return e.ImageRepository != "" || e.ImageTag != "" || len(e.ExtraArgs)+len(e.ExtraEnvs)+len(e.ServerCertSANs)+len(e.PeerCertSANs) > 0
}

func (k *checker) urls(field string, urls []string, https bool) {
	for i, s := range urls {
		k.url(item(field, i), s, https)
	}
}

func (k *checker) url(at, s string, https bool) {
	u, err := url.Parse(s)
	if err == nil {
		s = u.Redacted() // it may contain a password
	}
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		k.bad(at, s, "it is not a URL of the form https://HOST:PORT", "Write scheme, host and port.")
	case u.Port() != "" && !isPortText(u.Port()):
		k.bad(at, s, "it has no port from 1 to 65535", "Correct its port.")
	case https && u.Scheme != "https":
		k.bad(at, s, "certificates are configured, but it is not https", "Use https, or leave caFile, certFile and keyFile out.")
	}
}

func isUTF8(s string) bool { return utf8.ValidString(s) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
