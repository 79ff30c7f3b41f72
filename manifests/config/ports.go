package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The ports of the components, from kubeadm (cmd/kubeadm/app/constants).
const (
	etcdClientPort        = 2379
	etcdPeerPort          = 2380
	etcdMetricsPort       = 2381
	controllerManagerPort = 10257
	schedulerPort         = 10259
)

// Ports returns the ports in use. The user may set a port with the extra argument
// secure-port of the controller manager or the scheduler, or listen-...-urls of
// etcd. PortOffset is not added to such a port.
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

// The arguments with the URLs that etcd listens on.
const (
	listenClientURLs = "listen-client-urls"
	listenPeerURLs   = "listen-peer-urls"
)

// etcdPort returns the port of listenURL, or the default one.
func (c Config) etcdPort(arg string, otherwise int) int {
	if u := c.listenURL(arg); u != nil {
		if port, err := strconv.Atoi(u.Port()); err == nil && isPort(port) {
			return port
		}
	}
	return otherwise + c.PortOffset
}

// listenURL returns the URL at which to reach etcd, from those of an extra argument: the first one on a
// loopback address or on all addresses, or else the first one. It is nil if the user gives none.
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

// EtcdServers returns the URL at which kube-apiserver reaches the local etcd: etcd's extra
// argument advertise-client-urls, as in kubeadm, or the URL that etcd listens on.
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

// EtcdMetrics returns the local etcd's metrics endpoint, which its probes use: the
// first of the extra argument listen-metrics-urls, or http on the loopback address
// (GetEtcdProbeEndpoint in kubeadm's cmd/kubeadm/app/util/staticpod).
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

// ArgValue returns the value of the last argument of that name. If a flag is given
// twice, a component uses the last one.
func ArgValue(args []Arg, name string) (value string, ok bool) {
	if i := lastArg(args, name); i >= 0 {
		return args[i].Value, true
	}
	return "", false
}

// lastArg returns the index of the last argument of that name, or -1.
func lastArg(args []Arg, name string) int {
	for i, a := range slices.Backward(args) {
		if a.Name == name {
			return i
		}
	}
	return -1
}

// ServiceIPs returns the first address of every service subnet, the primary one
// first. That one is the address of the Service "kubernetes", such as 10.96.0.1.
// kubeadm puts only the primary one into the API server's certificate.
func (c Config) ServiceIPs() []netip.Addr {
	ips := make([]netip.Addr, 0, len(c.Networking.ServiceSubnets))
	for _, subnet := range c.Networking.ServiceSubnets {
		ips = append(ips, subnet.Masked().Addr().Next())
	}
	return ips
}
