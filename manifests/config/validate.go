package config

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubecrank/kubecrank/pathname"
)

// Validate returns all errors of a completed Config that can be found without
// looking at the machine, each as a *FieldError. It applies kubeadm's rules
// (cmd/kubeadm/app/apis/kubeadm/validation), and rules that the components apply
// only when they run. Unlike kubeadm it accepts a loopback address as the
// advertise address. It does not check the names of phases.
func (c Config) Validate() []error {
	k := &checker{}
	c.validatePlaces(k)
	c.validateNode(k)
	c.validateNetworking(k)
	c.validateCluster(k)
	c.validatePorts(k)
	c.validateEtcd(k)
	c.validateArgs(k)
	k.component("apiServer", c.APIServer.Component)
	k.sans("apiServer.certSANs", c.APIServer.CertSANs)
	k.component("controllerManager", c.ControllerManager)
	k.component("scheduler", c.Scheduler)
	c.validateTimes(k)
	c.validateRun(k)
	c.validateJoin(k)
	c.validateSupervisor(k)
	return k.errs
}

// checker collects errors.
type checker struct{ errs []error }

func (k *checker) bad(field, value, problem, remedy string) {
	k.errs = append(k.errs, &FieldError{Field: field, Flag: flagOf(field), Value: value, Problem: problem, Remedy: remedy})
}

func (c Config) validateNode(k *checker) {
	const nameField = "nodeRegistration.name"
	if c.Node.Name == "" {
		k.bad(nameField, "", "it is empty, and the machine has no host name", "Give one with --node-name.")
	} else {
		k.subdomain(nameField, c.Node.Name)
	}
	const addrField = "localAPIEndpoint.advertiseAddress"
	addr := c.Node.AdvertiseAddress
	remedy := "Give an address of this machine with --apiserver-advertise-address."
	switch {
	case !addr.IsValid():
		k.bad(addrField, "", "it is empty, and the machine has no default route to take one from", remedy)
	case addr.IsUnspecified():
		k.bad(addrField, addr.String(), "it means every address, so nobody can connect to it", remedy)
	case addr.Zone() != "" || addr.IsLinkLocalUnicast():
		k.bad(addrField, addr.String(), "a link-local address works on one link only", remedy)
	case !addr.IsGlobalUnicast() && !addr.IsLoopback():
		k.bad(addrField, addr.String(), "it is not the address of one machine", remedy)
	}
	if slices.Contains(c.IgnorePreflightErrors, "all") && len(c.IgnorePreflightErrors) > 1 {
		k.bad("nodeRegistration.ignorePreflightErrors", strings.Join(c.IgnorePreflightErrors, ","), `"all" is given together with names`,
			`Give "all" alone, or names alone.`)
	}
}

func (c Config) validateCluster(k *checker) {
	if problem := versionProblem(c.KubernetesVersion); problem != "" {
		k.bad("kubernetesVersion", c.KubernetesVersion, problem, "Give an exact version, such as "+DefaultKubernetesVersion+".")
	}
	if c.ControlPlaneEndpoint != "" {
		if _, _, err := ParseEndpoint(c.ControlPlaneEndpoint); err != nil {
			k.bad("controlPlaneEndpoint", c.ControlPlaneEndpoint, err.Error(), "Give a DNS name or an IP address, with or without :PORT.")
		}
	}
	k.text("clusterName", c.ClusterName)
	k.repository("imageRepository", c.ImageRepository)
	if !slices.Contains(keyAlgorithms(), c.KeyAlgorithm) {
		k.bad("encryptionAlgorithm", string(c.KeyAlgorithm), "there is no such algorithm",
			fmt.Sprintf("Give one of %v.", keyAlgorithms()))
	}
	for _, name := range sortedKeys(c.FeatureGates) {
		if !slices.Contains(featureGates(c.Minor()), name) {
			k.bad("featureGates", name, "kubeadm of that version has no such feature gate",
				"The feature gates of the components go into extraArgs, as feature-gates.")
		}
	}
	switch c.Runtime {
	case RuntimeProcess, RuntimeContainerd, RuntimeKubelet:
	default:
		k.bad("runtime", c.Runtime, "there is no such runtime", "Give one of process, containerd, kubelet.")
	}
}

// featureGates returns kubeadm's gates (cmd/kubeadm/app/features). kubeadm drops a gate two releases after it is always on.
func featureGates(minor int) []string {
	gates := []string{"NodeLocalCRISocket", "PublicKeysECDSA", "RootlessControlPlane"}
	if minor <= 35 {
		gates = append(gates, "ControlPlaneKubeletLocalMode")
	}
	if minor <= 34 {
		gates = append(gates, "WaitForAllControlPlaneComponents")
	}
	return gates
}

func keyAlgorithms() []KeyAlgorithm {
	return []KeyAlgorithm{ECDSAP256, ECDSAP384, RSA2048, RSA3072, RSA4096}
}

func (c Config) validateTimes(k *checker) {
	k.duration("certificateValidityPeriod", c.CertificateValidity)
	k.duration("caCertificateValidityPeriod", c.CACertificateValidity)
	if c.CertificateValidity > c.CACertificateValidity {
		k.bad("certificateValidityPeriod", c.CertificateValidity.String(),
			"it is longer than the CAs' own "+c.CACertificateValidity.String(),
			"A certificate is of no use once its CA has expired.")
	}
	t := c.Timeouts
	k.duration("timeouts.controlPlaneComponentHealthCheck", t.ControlPlaneComponentHealthCheck)
	k.duration("timeouts.kubeletHealthCheck", t.KubeletHealthCheck)
	k.duration("timeouts.kubernetesAPICall", t.KubernetesAPICall)
	k.duration("timeouts.etcdAPICall", t.EtcdAPICall)
	k.duration("timeouts.tlsBootstrap", t.TLSBootstrap)
	k.duration("timeouts.discovery", t.Discovery)
	k.duration("timeouts.upgradeManifests", t.UpgradeManifests)
}

func (k *checker) positive(field string, n int64, value string) {
	if n <= 0 {
		k.bad(field, value, "it is not more than zero", "Give a duration such as 4m or 8760h.")
	}
}

// subdomain checks a node name or a DNS domain (RFC 1123, lower case).
func (k *checker) subdomain(field, name string) {
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		k.bad(field, name, "it is not a DNS name",
			"A DNS name is of lower case letters, digits, '-' and '.', at most 253, and each part starts and ends with a letter or digit.")
	}
}

// sans checks subject alternative names: IP addresses and DNS names, which may start with "*.".
func (k *checker) sans(field string, names []string) {
	for i, name := range names {
		if _, err := netip.ParseAddr(name); err == nil && !strings.Contains(name, "%") {
			continue
		}
		if len(validation.IsDNS1123Subdomain(name)) > 0 && len(validation.IsWildcardDNS1123Subdomain(name)) > 0 {
			k.bad(item(field, i), name, "it is neither an IP address nor a DNS name",
				"Give names without scheme and port, such as api.example.com, *.example.com or 192.0.2.1.")
		}
	}
}

// repository checks the image grammar of github.com/distribution/reference, which kubeadm uses.
func (k *checker) repository(field, repository string) {
	if !regexp.MustCompile(imageName).MatchString(repository + "/name") {
		k.bad(field, repository, "it is not an image repository",
			"Give a registry with or without a path, such as registry.example.com:5000/k8s, without a scheme.")
	}
}

const (
	domainPart = `(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])`
	domain     = `(?:` + domainPart + `(?:\.` + domainPart + `)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`
	pathPart   = `[a-z0-9]+(?:(?:[_.]|__|[-]+)[a-z0-9]+)*`
	imageName  = `^(?:` + domain + `/)?` + pathPart + `(?:/` + pathPart + `)*$`
)

func (k *checker) tag(field, tag string) {
	if tag != "" && !regexp.MustCompile(`^\w[\w.-]{0,127}$`).MatchString(tag) {
		k.bad(field, tag, "it is not an image tag", "A tag is of letters, digits, '_', '-' and '.', at most 128: 3.6.8-0.")
	}
}

// text refuses a text that cannot be an argument of a process.
func (k *checker) text(field, s string) {
	if strings.ContainsRune(s, 0) || !isUTF8(s) {
		k.bad(field, strconv.QuoteToASCII(s), "it contains NUL or invalid UTF-8", "Write it as plain UTF-8 text.")
	}
}

// dir checks that a path of ours is absolute, clean, below root and mountable.
func (k *checker) dir(field, root, p string) bool {
	switch {
	case !path.IsAbs(p):
		k.bad(field, p, "it is not an absolute path", "Give the whole path, from / on.")
	case path.Clean(p) != p || strings.ContainsRune(p, 0) || !isUTF8(p):
		k.bad(field, p, "it is not a clean path", "Give it without . and .. and doubled slashes.")
	case strings.Contains(p, ":"):
		k.bad(field, p, "a path with a colon cannot be mounted into a container", "Choose a path without a colon.")
	case root != "" && !pathname.Below(root, p):
		k.bad(field, p, "it lies outside of the root "+root,
			"With --root every path lies below it; leave this one out, or choose one below the root.")
	default:
		return true
	}
	return false
}
