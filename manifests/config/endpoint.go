package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// ParseEndpoint splits a control plane endpoint into its host, a DNS name or an IP
// address, and its port, 0 if it has none. An IPv6 address with a port is in
// brackets. See ParseHostPort in kubeadm's cmd/kubeadm/app/util/endpoint.go.
func ParseEndpoint(s string) (host string, port int, err error) {
	if strings.Contains(s, "/") {
		return "", 0, errors.New("it is not a host with or without a port, but looks like a URL")
	}
	host, portText := splitHostPort(s)
	if portText != "" {
		port, err = strconv.Atoi(portText)
		if err != nil || !isPort(port) || portText[0] == '+' {
			return "", 0, fmt.Errorf("its port %q is not a number from 1 to 65535", portText)
		}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return "", 0, errors.New("an address with a zone works on one machine only")
		}
		return host, port, nil
	}
	if len(validation.IsDNS1123Subdomain(host)) > 0 {
		return "", 0, fmt.Errorf("its host %q is neither an IP address nor a DNS name in lower case", host)
	}
	return host, port, nil
}

// ControlPlaneAddress returns the host and port at which clients reach the control
// plane: the ControlPlaneEndpoint, or this node's API server if there is none. An
// endpoint without a port gets the API server's.
func (c Config) ControlPlaneAddress() (host string, port int) {
	own := c.Ports().APIServer
	if c.ControlPlaneEndpoint != "" {
		if host, port, err := ParseEndpoint(c.ControlPlaneEndpoint); err == nil {
			if port == 0 {
				port = own
			}
			return host, port
		}
	}
	return c.Node.AdvertiseAddress.String(), own
}

// ControlPlaneURL returns the server of the kubeconfigs admin, super-admin and, after
// a join, kubelet: "https://10.1.2.3:6443".
func (c Config) ControlPlaneURL() string {
	host, port := c.ControlPlaneAddress()
	return httpsURL(host, port)
}

// LocalAPIURL returns the server of this node's own kubeconfigs (controller-manager, scheduler).
func (c Config) LocalAPIURL() string {
	return httpsURL(c.Node.AdvertiseAddress.String(), c.Ports().APIServer)
}

// Loopback returns 127.0.0.1, or ::1 if the advertise address is IPv6. etcd and its
// clients on this node use it.
func (c Config) Loopback() netip.Addr {
	if c.Node.AdvertiseAddress.Is6() {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

func httpsURL(host string, port int) string {
	return "https://" + JoinHostPort(host, port)
}

// splitHostPort splits "host:port", "[ipv6]:port" and "[ipv6]". A text without a port is all host, also an IPv6 address without brackets.
func splitHostPort(s string) (host, port string) {
	if strings.HasPrefix(s, "[") {
		inside, rest, ok := strings.Cut(s[1:], "]")
		if ok && (rest == "" || rest[0] == ':') {
			return inside, strings.TrimPrefix(rest, ":")
		}
		return s, ""
	}
	if strings.Count(s, ":") == 1 {
		host, port, _ = strings.Cut(s, ":")
		return host, port
	}
	return s, ""
}

// JoinHostPort returns "host:port", with brackets around an IPv6 address.
func JoinHostPort(host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}
