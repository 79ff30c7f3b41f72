package config

import (
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"
)

// DefaultKubernetesVersion is the version of the embedded components. kubeadm's
// labels "stable" and "stable-1" mean it too: nothing is looked up on the network.
const DefaultKubernetesVersion = "v1.36.3"

// kubeadm's defaults (cmd/kubeadm/app/apis/kubeadm/v1beta4/defaults.go and constants.go).
const (
	DefaultClusterName     = "kubernetes"
	DefaultImageRepository = "registry.k8s.io"
	DefaultDNSDomain       = "cluster.local"
	DefaultServiceSubnet   = "10.96.0.0/12"
	DefaultBindPort        = 6443

	defaultLeafValidity = 365 * 24 * time.Hour
	defaultCAValidity   = 10 * defaultLeafValidity
)

// Default returns kubeadm's default configuration with every path below root. A
// root of "" or "/" means the host's own paths. Two defaults differ from kubeadm's:
// the key algorithm is ECDSA P-256, and the version is the embedded one.
// Complete adds the values that depend on the machine.
func Default(root string) Config {
	root = cleanRoot(root)
	paths := PathsBelow(root)
	return Config{
		Root:              root,
		Runtime:           RuntimeProcess,
		KubernetesVersion: DefaultKubernetesVersion,
		ClusterName:       DefaultClusterName,
		ImageRepository:   DefaultImageRepository,
		CertificatesDir:   paths.PKI,
		Networking: Networking{
			ServiceSubnets: []netip.Prefix{netip.MustParsePrefix(DefaultServiceSubnet)},
			DNSDomain:      DefaultDNSDomain,
		},
		Node:                  Node{BindPort: DefaultBindPort, ImagePullPolicy: "IfNotPresent", ImagePullSerial: true},
		Etcd:                  Etcd{DataDir: paths.EtcdData},
		KeyAlgorithm:          ECDSAP256,
		CertificateValidity:   defaultLeafValidity,
		CACertificateValidity: defaultCAValidity,
		Timeouts: Timeouts{
			ControlPlaneComponentHealthCheck: 4 * time.Minute,
			KubernetesAPICall:                time.Minute,
			EtcdAPICall:                      2 * time.Minute,
			Discovery:                        5 * time.Minute,
			KubeletHealthCheck:               4 * time.Minute,
			TLSBootstrap:                     5 * time.Minute,
			UpgradeManifests:                 5 * time.Minute,
		},
		// The kubelet's defaults (pkg/kubelet/apis/config/v1beta1/defaults.go; the first back-off is 10 s).
		Supervisor: Supervisor{
			BackOffInitial:     10 * time.Second,
			BackOffMax:         5 * time.Minute,
			LogMaxSize:         10 << 20,
			LogMaxFiles:        5,
			FileCheckFrequency: 20 * time.Second,
			HTTPCheckFrequency: 20 * time.Second,
		},
	}
}

// HostFacts holds the facts about the machine that Complete needs.
type HostFacts struct {
	Hostname       string     // the kernel's, in any case
	DefaultAddress netip.Addr // of the interface with the default route; the zero Addr if there is no such route
}

// Complete fills in the node name and the advertise address from the machine's if
// they are empty. It normalizes values as kubeadm does: names and SANs in lower
// case, the version with its v. It does not change c's slices.
func (c Config) Complete(h HostFacts) Config {
	if c.Node.Name == "" {
		c.Node.Name = h.Hostname
	}
	// kubeadm: cmd/kubeadm/app/util/nodeutil, GetHostname.
	c.Node.Name = strings.ToLower(strings.TrimSpace(c.Node.Name))
	if !c.Node.AdvertiseAddress.IsValid() {
		c.Node.AdvertiseAddress = h.DefaultAddress
	}
	c.Node.AdvertiseAddress = c.Node.AdvertiseAddress.Unmap()
	c.CertificatesDir, c.Etcd.DataDir = cleanPath(c.CertificatesDir), cleanPath(c.Etcd.DataDir)
	c.KubernetesVersion = normalVersion(c.KubernetesVersion)
	c.APIServer.CertSANs = lowerCase(c.APIServer.CertSANs)
	c.Etcd.ServerCertSANs = lowerCase(c.Etcd.ServerCertSANs)
	c.Etcd.PeerCertSANs = lowerCase(c.Etcd.PeerCertSANs)
	c.IgnorePreflightErrors = lowerCase(c.IgnorePreflightErrors)
	if ext := c.Etcd.External; ext != nil && len(ext.HTTPEndpoints) == 0 {
		completed := *ext
		completed.HTTPEndpoints = slices.Clone(ext.Endpoints)
		c.Etcd.External = &completed
	}
	return c
}

// cleanRoot returns the clean root, or "" if it means the host itself.
func cleanRoot(root string) string {
	if root == "" {
		return ""
	}
	root = path.Clean(root)
	if root == "/" {
		return ""
	}
	return root
}

// cleanPath returns the clean form of an absolute path. Any other path stays, so that Validate can refuse it.
func cleanPath(p string) string {
	if !path.IsAbs(p) {
		return p
	}
	return path.Clean(p)
}

func lowerCase(in []string) []string {
	if in == nil {
		return nil
	}
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = strings.ToLower(s)
	}
	return out
}
