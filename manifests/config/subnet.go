package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// kubeadm's limits (cmd/kubeadm/app/constants). kube-apiserver sets the largest service subnet.
const (
	minServiceAddresses = 10
	maxServiceBits      = 20
	minPodAddresses     = 14
	maxNodeMaskDiff     = 16
)

// ParseSubnets reads one CIDR or two with a comma between them, as in the flags and
// documents of kubeadm. "" is no subnet. Validate checks whether they fit together.
func ParseSubnets(s string) ([]netip.Prefix, error) {
	if s == "" {
		return nil, nil
	}
	var out []netip.Prefix
	for _, part := range strings.Split(s, ",") {
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, fmt.Errorf("%q is not a CIDR such as 10.96.0.0/12 or fd00::/108", part)
		}
		if p.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is an IPv4 subnet in IPv6 notation", part)
		}
		out = append(out, p)
	}
	return out, nil
}

// JoinSubnets returns the text that ParseSubnets reads, which is also the value of the components' flags.
func JoinSubnets(subnets []netip.Prefix) string {
	texts := make([]string, len(subnets))
	for i, p := range subnets {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}

// ParseAddr reads an IP address without a zone.
func ParseAddr(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is not an IP address such as 192.0.2.1 or 2001:db8::1", s)
	}
	if addr.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("an address with a zone (%q) works on one machine only", s)
	}
	return addr, nil
}

func (c Config) validateNetworking(k *checker) {
	n := c.Networking
	k.subdomain("networking.dnsDomain", n.DNSDomain)
	const serviceField, podField = "networking.serviceSubnet", "networking.podSubnet"
	if len(n.ServiceSubnets) == 0 {
		k.bad(serviceField, "", "it is empty", "Give one, such as "+DefaultServiceSubnet+".")
	}
	k.subnets(serviceField, n.ServiceSubnets, minServiceAddresses)
	k.subnets(podField, n.PodSubnets, minPodAddresses)
	for _, s := range n.ServiceSubnets {
		if s.IsValid() && hostBits(s) > maxServiceBits {
			problem := fmt.Sprintf("it is too large, kube-apiserver takes at most a /%d here", s.Addr().BitLen()-maxServiceBits)
			k.bad(serviceField, s.String(), problem, "Take a smaller part of it.")
		}
		for _, p := range n.PodSubnets {
			if s.IsValid() && p.IsValid() && s.Overlaps(p) {
				k.bad(serviceField, s.String(), "it overlaps the pod subnet "+p.String(),
					"Choose subnets that have no address in common.")
			}
		}
	}
	c.validateNodeMasks(k)
	c.validateFamilies(k, serviceField, podField)
}

// validateFamilies refuses what the components refuse only after they have
// started: kube-apiserver compares the families of its address and of the first
// service subnet (validatePublicIPServiceClusterIPRangeIPFamilies in
// cmd/kube-apiserver/app/options/validation.go). It also refuses services of a first family without pod addresses.
func (c Config) validateFamilies(k *checker, serviceField, podField string) {
	services, pods := c.Networking.ServiceSubnets, c.Networking.PodSubnets
	if len(services) == 0 || !services[0].IsValid() {
		return
	}
	addr, primary := c.Node.AdvertiseAddress, services[0].Addr()
	reconciler, _ := ArgValue(c.APIServer.ExtraArgs, "endpoint-reconciler-type")
	if addr.IsValid() && addr.Is4() != primary.Is4() && reconciler != "none" {
		k.bad(serviceField, JoinSubnets(services),
			fmt.Sprintf("its first subnet is %s, but the advertise address %s is not", family(primary), addr),
			"Put a subnet of the address's family first, or advertise an "+family(primary)+" address with --apiserver-advertise-address.")
	}
	if len(pods) == 0 {
		return
	}
	// A cluster that changes to dual stack has a second family for services alone. That is allowed.
	if s := services[0]; !hasFamily(pods, s.Addr().Is4()) {
		k.bad(podField, JoinSubnets(pods), fmt.Sprintf("it has no %s subnet, but the service subnet %s is one", family(s.Addr()), s),
			"Give pods a subnet of the services' first family.")
	}
}

// subnets checks the rules that service and pod subnets share.
func (k *checker) subnets(field string, subnets []netip.Prefix, minAddresses int) {
	const remedy = "Give one subnet, or an IPv4 and an IPv6 one for dual stack."
	for _, p := range subnets {
		if !p.IsValid() || p.Addr().Is4In6() {
			k.bad(field, p.String(), "it is not a subnet", remedy)
			continue
		}
		// kubeadm counts with RangeSize of k8s.io/utils/net, which cannot count half of all addresses or more.
		bits := hostBits(p)
		if bits < 31 && 1<<bits < minAddresses {
			k.bad(field, p.String(), fmt.Sprintf("it has %d addresses, at least %d are needed", 1<<bits, minAddresses),
				"Give a larger subnet.")
		}
		if p.Bits() < 2 {
			k.bad(field, p.String(), "it is too large", "Give a smaller subnet.")
		}
	}
	switch {
	case len(subnets) > 2:
		k.bad(field, JoinSubnets(subnets), "there are more than two subnets", remedy)
	case len(subnets) == 2 && subnets[0].Addr().Is4() == subnets[1].Addr().Is4():
		k.bad(field, JoinSubnets(subnets), "both subnets are "+family(subnets[0].Addr()), remedy)
	}
}

func hostBits(p netip.Prefix) int { return p.Addr().BitLen() - p.Bits() }

func hasFamily(subnets []netip.Prefix, is4 bool) bool {
	for _, p := range subnets {
		if p.Addr().Is4() == is4 {
			return true
		}
	}
	return false
}

func family(addr netip.Addr) string {
	if addr.Is4() {
		return "IPv4"
	}
	return "IPv6"
}
