package config

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// validateArgs refuses extra arguments that move an address, a port or a directory where kubecrank does not look:
// probes, kubeconfigs, port checks and reset would use the old one. It allows etcd's ports, because Ports reads them.
func (c Config) validateArgs(k *checker) {
	c.validateEtcdArgs(k)
	const field = "apiServer.extraArgs"
	args, addr := c.APIServer.ExtraArgs, c.Node.AdvertiseAddress
	if v, ok := ArgValue(args, "advertise-address"); ok && v != addr.String() {
		k.arg(field, args, "advertise-address", "certificates, kubeconfigs and probes use the address "+addr.String(),
			"Set the address with --apiserver-advertise-address or localAPIEndpoint.advertiseAddress.")
	}
	if v, ok := ArgValue(args, "bind-address"); ok && !answersAt(v, addr) {
		k.arg(field, args, "bind-address",
			"the API server would not answer at the advertise address "+addr.String()+", which kubeconfigs and probes use",
			"Give that address, 0.0.0.0 or ::, or leave it out.")
	}
	if v, ok := ArgValue(args, "etcd-servers"); ok && c.Etcd.External == nil && !slices.Contains(strings.Split(v, ","), c.EtcdServers()) {
		k.arg(field, args, "etcd-servers", "this node's etcd, "+c.EtcdServers()+", is not among them",
			"Add it; or give etcd.external for an etcd elsewhere, and none is run here.")
	}
	const signing, verifying = "service-account-signing-key-file", "service-account-key-file"
	_, signs := ArgValue(args, signing)
	if _, verifies := ArgValue(args, verifying); signs && !verifies {
		k.arg(field, args, signing,
			"the API server would refuse the tokens that it signs: it verifies them with "+path.Join(c.CertificatesDir, "sa.pub"),
			"Give "+verifying+" with the public key that belongs to it, too, "+
				"or put both keys at sa.key and sa.pub in the certificates directory.")
	}
}

func (c Config) validateEtcdArgs(k *checker) {
	const field = "etcd.local.extraArgs"
	args := c.Etcd.ExtraArgs
	if c.Etcd.External != nil {
		return
	}
	if v, ok := ArgValue(args, "data-dir"); ok && path.Clean(v) != path.Clean(c.Etcd.DataDir) {
		k.arg(field, args, "data-dir", "kubecrank makes, checks and resets the directory "+c.Etcd.DataDir,
			"Set it with etcd.local.dataDir.")
	}
	for _, name := range []string{listenClientURLs, listenPeerURLs} {
		if v, ok := ArgValue(args, name); ok {
			for u := range strings.SplitSeq(v, ",") {
				k.url(item(field, lastArg(args, name)), u, true)
			}
		}
	}
}

// arg adds an error about the last argument of a name.
func (k *checker) arg(field string, args []Arg, name, problem, remedy string) {
	i := lastArg(args, name)
	k.bad(item(field, i), name+"="+args[i].Value, problem, remedy)
}

// answersAt reports whether a server that listens on bound answers at addr.
func answersAt(bound string, addr netip.Addr) bool {
	b, err := netip.ParseAddr(bound)
	return err == nil && (b == addr || b.IsUnspecified() && (b.Is6() || addr.Is4()))
}

// nodeMask returns the prefix length of a node's part of a pod subnet, and the argument that
// sets it (setNodeCIDRMaskSizes in cmd/kube-controller-manager/app/core.go).
func (c Config) nodeMask(p netip.Prefix) (mask int, flag string, err error) {
	mask, flag = 24, "node-cidr-mask-size-ipv4"
	if p.Addr().Is6() {
		mask, flag = 64, "node-cidr-mask-size-ipv6"
	}
	args := c.ControllerManager.ExtraArgs
	v, ok := ArgValue(args, flag)
	if !ok {
		if v, ok = ArgValue(args, nodeMaskSize); ok {
			flag = nodeMaskSize
		}
	}
	if !ok || v == "0" { // 0 is the default
		return mask, flag, nil
	}
	if _, err = fmt.Sscanf(v, "%d", &mask); err != nil || mask < 1 || mask > p.Addr().BitLen() {
		return 0, flag, fmt.Errorf("%s is not a mask size", v)
	}
	return mask, flag, nil
}

// nodeMaskSize is the argument for a cluster of one family. It excludes the arguments for each family.
const nodeMaskSize = "node-cidr-mask-size"

// allocated returns the subnets that the controller manager divides among the nodes, and their field.
func (c Config) allocated() (subnets []netip.Prefix, field string) {
	args := c.ControllerManager.ExtraArgs
	does, ok := ArgValue(args, "allocate-node-cidrs")
	controllers, _ := ArgValue(args, "controllers")
	off := strings.Contains(","+controllers, ",-node-ipam-controller") || strings.Contains(","+controllers, ",-nodeipam")
	if does == "false" || !ok && len(c.Networking.PodSubnets) == 0 || off {
		return nil, ""
	}
	subnets, field = c.Networking.PodSubnets, "networking.podSubnet"
	if v, ok := ArgValue(args, "cluster-cidr"); ok {
		field = item("controllerManager.extraArgs", lastArg(args, "cluster-cidr"))
		subnets, _ = ParseSubnets(v) // the controller manager reports a bad value when it starts
	}
	return subnets, field
}

// validateNodeMasks applies kubeadm's rule that each node gets a part of the pod subnet, and the rules of the
// controller manager, which exits only after it has become the leader.
func (c Config) validateNodeMasks(k *checker) {
	subnets, field := c.allocated()
	const argsField = "controllerManager.extraArgs"
	args := c.ControllerManager.ExtraArgs
	families := map[bool]bool{}
	for _, p := range subnets {
		families[p.Addr().Is4()] = true
	}
	if i := lastArg(args, nodeMaskSize); i >= 0 && args[i].Value != "0" {
		if len(families) > 1 {
			k.arg(argsField, args, nodeMaskSize, "the controller manager does not take it with two pod subnets",
				"Give node-cidr-mask-size-ipv4 and node-cidr-mask-size-ipv6 in its place.")
			return
		}
		for _, other := range []string{"node-cidr-mask-size-ipv4", "node-cidr-mask-size-ipv6"} {
			if v, ok := ArgValue(args, other); ok && v != "0" && len(families) > 0 {
				k.arg(argsField, args, nodeMaskSize, "the controller manager does not take it beside "+other, "Give one of them.")
				return
			}
		}
	}
	for four, other := range map[bool]string{true: "node-cidr-mask-size-ipv6", false: "node-cidr-mask-size-ipv4"} {
		if v, ok := ArgValue(args, other); ok && v != "0" && len(families) == 1 && families[four] {
			k.arg(argsField, args, other, "no pod subnet is of that family, and the controller manager does not take it then",
				"Leave it out.")
			return
		}
	}
	for _, p := range subnets {
		if !p.IsValid() {
			continue
		}
		mask, flag, err := c.nodeMask(p)
		if err != nil {
			k.arg(argsField, args, flag, "it is not a mask size", "Give a number of bits, such as 24.")
			continue
		}
		remedy := "Change the subnet, or the controller manager's extra argument " + flag + "."
		switch {
		case p.Bits() > mask:
			k.bad(field, p.String(), fmt.Sprintf("it is smaller than one node's part of it, a /%d", mask), remedy)
		case mask-p.Bits() > maxNodeMaskDiff:
			problem := fmt.Sprintf("it is more than %d bits larger than one node's part of it, a /%d", maxNodeMaskDiff, mask)
			k.bad(field, p.String(), problem, remedy)
		}
	}
}
