package pki

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// sans collects subject alternative names the way kubeadm does
// (cmd/kubeadm/app/util/pkiutil/pki_helpers.go: GetAPIServerAltNames, getAltNames,
// RemoveDuplicateAltNames).
type sans struct {
	dns []string
	ips []netip.Addr
}

func apiServerSANs(cfg config.Config) sans {
	s := sans{dns: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc"}}
	if cfg.Node.Name != "" {
		s.dns = append(s.dns, cfg.Node.Name)
	}
	if cfg.Networking.DNSDomain != "" {
		s.dns = append(s.dns, "kubernetes.default.svc."+cfg.Networking.DNSDomain)
	}
	if ips := cfg.ServiceIPs(); len(ips) > 0 {
		s.ips = append(s.ips, ips[0]) // kubeadm leaves out that of the second family
	}
	s.ips = append(s.ips, cfg.Node.AdvertiseAddress)
	if host, _, err := config.ParseEndpoint(cfg.ControlPlaneEndpoint); err == nil {
		s.add(host)
	}
	s.add(cfg.APIServer.CertSANs...)
	return s.normal()
}

func etcdSANs(cfg config.Config, extra []string) sans {
	s := sans{
		dns: []string{"localhost"},
		ips: []netip.Addr{cfg.Node.AdvertiseAddress, netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()},
	}
	if cfg.Node.Name != "" {
		s.dns = append(s.dns, cfg.Node.Name)
	}
	s.add(extra...)
	return s.normal()
}

// add sorts names into addresses and DNS names. What is neither is left out,
// as in kubeadm, which warns; here config.Validate has refused it before.
func (s *sans) add(names ...string) {
	for _, name := range names {
		// Sloppy as kubeadm is: 010.0.0.1 would otherwise pass as a DNS name.
		if ip, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(name)); ok {
			s.ips = append(s.ips, ip)
		} else if len(validation.IsDNS1123Subdomain(name)) == 0 || len(validation.IsWildcardDNS1123Subdomain(name)) == 0 {
			s.dns = append(s.dns, name)
		}
	}
}

// normal sorts the DNS names and removes duplicates of both; addresses keep their order.
func (s sans) normal() sans {
	slices.Sort(s.dns)
	s.dns = slices.Compact(s.dns)
	var ips []netip.Addr
	for _, ip := range s.ips {
		if ip = ip.Unmap(); ip.IsValid() && !slices.Contains(ips, ip) {
			ips = append(ips, ip)
		}
	}
	s.ips = ips
	return s
}
