package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The ports of the components, as kubeadm has them (cmd/kubeadm/app/constants).
const (
	etcdClientPort        = 2379
	etcdPeerPort          = 2380
	etcdMetricsPort       = 2381
	controllerManagerPort = 10257
	schedulerPort         = 10259
)

// Ports returns the ports in use. A --secure-port among the extra arguments of
// the controller manager or the scheduler, or a --listen-...-urls of etcd,
// counts as it stands: PortOffset is not added to what the user wrote out.
func (c Config) Ports() Ports {
	return Ports{
		APIServer:         c.Node.BindPort + c.PortOffset,
		EtcdClient:        c.etcdPort(listenClientURLs, etcdClientPort),
		EtcdPeer:          c.etcdPort(listenPeerURLs, etcdPeerPort),
		EtcdMetrics:       c.EtcdMetrics().Port,
		ControllerManager: securePort(c.ControllerManager.ExtraArgs, controllerManagerPort+c.PortOffset),
		Scheduler:         securePort(c.Scheduler.ExtraArgs, schedulerPort+c.PortOffset),
	}
}

func securePort(args []Arg, otherwise int) int {
	if v, ok := ArgValue(args, "secure-port"); ok {
		if port, err := strconv.Atoi(v); err == nil && isPort(port) {
			return port
		}
	}
	return otherwise
}

// The arguments that say where etcd listens.
const (
	listenClientURLs = "listen-client-urls"
	listenPeerURLs   = "listen-peer-urls"
)

// etcdPort is the port of the URL among an extra argument of the local etcd that the API server would use.
func (c Config) etcdPort(arg string, otherwise int) int {
	if u := c.listenURL(arg); u != nil {
		if port, err := strconv.Atoi(u.Port()); err == nil && isPort(port) {
			return port
		}
	}
	return otherwise + c.PortOffset
}

// listenURL is where to reach etcd, of the URLs of an extra argument: the first on a loopback address or
// on all addresses, or else the first. nil: the user gives none.
func (c Config) listenURL(arg string) *url.URL {
	text, _ := ArgValue(c.Etcd.ExtraArgs, arg)
	var first *url.URL
	for s := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" {
			continue
		}
		addr, err := netip.ParseAddr(u.Hostname())
		switch {
		case err == nil && addr.IsUnspecified():
			u.Host = JoinHostPort(c.Loopback().String(), int(portOf(u)))
			return u
		case err == nil && addr.IsLoopback():
			return u
		case first == nil:
			first = u
		}
	}
	return first
}

func portOf(u *url.URL) uint16 {
	port, _ := strconv.ParseUint(u.Port(), 10, 16) // 0: Validate refuses it
	return uint16(port)
}

// EtcdServers is the URL at which kube-apiserver reaches the local etcd: its extra argument
// advertise-client-urls, as kubeadm has it, or where it listens.
func (c Config) EtcdServers() string {
	if own, ok := ArgValue(c.Etcd.ExtraArgs, "advertise-client-urls"); ok {
		return own
	}
	if u := c.listenURL(listenClientURLs); u != nil {
		return u.String()
	}
	return "https://" + JoinHostPort(c.Loopback().String(), c.Ports().EtcdClient)
}

// MetricsEndpoint is where etcd answers /livez, /readyz and /metrics.
type MetricsEndpoint struct {
	Host   string // an IP address or a name, without brackets
	Port   int
	Scheme string // "http" or "https"
}

// EtcdMetrics is the local etcd's metrics endpoint, which its probes use: the
// first of the extra argument listen-metrics-urls, or http on the loopback
// address (kubeadm's cmd/kubeadm/app/util/staticpod, GetEtcdProbeEndpoint).
func (c Config) EtcdMetrics() MetricsEndpoint {
	endpoint := MetricsEndpoint{Host: c.Loopback().String(), Port: etcdMetricsPort + c.PortOffset, Scheme: "http"}
	urls, ok := ArgValue(c.Etcd.ExtraArgs, "listen-metrics-urls")
	if !ok {
		return endpoint
	}
	first, _, _ := strings.Cut(urls, ",")
	u, err := url.Parse(first)
	if err != nil {
		return endpoint
	}
	if u.Scheme == "https" {
		endpoint.Scheme = "https"
	}
	if host := u.Hostname(); host != "" {
		endpoint.Host = host
	}
	if port, err := strconv.Atoi(u.Port()); err == nil && isPort(port) {
		endpoint.Port = port
	}
	return endpoint
}

// ArgValue is the value of the last argument of that name: the one that counts
// for a component that is given a flag twice.
func ArgValue(args []Arg, name string) (value string, ok bool) {
	if i := lastArg(args, name); i >= 0 {
		return args[i].Value, true
	}
	return "", false
}

// lastArg is the index of the last argument of that name, or -1.
func lastArg(args []Arg, name string) int {
	for i, a := range slices.Backward(args) {
		if a.Name == name {
			return i
		}
	}
	return -1
}

// ServiceIPs is the first address of every service subnet, the primary one
// first: 10.96.0.1, the address of the Service "kubernetes". kubeadm puts only the
// primary one into the API server's certificate.
func (c Config) ServiceIPs() []netip.Addr {
	ips := make([]netip.Addr, 0, len(c.Networking.ServiceSubnets))
	for _, subnet := range c.Networking.ServiceSubnets {
		ips = append(ips, subnet.Masked().Addr().Next())
	}
	return ips
}
