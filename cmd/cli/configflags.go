package cli

import (
	"errors"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// configFlags are the flags that make a config.Config, with kubeadm's names
// (cmd/kubeadm/app/cmd/options/constant.go) wherever kubeadm has the flag.
type configFlags struct {
	advertiseAddress     string
	bindPort             int
	nodeName             string
	serviceCIDR          []string // one, or two for dual stack
	podNetworkCIDR       []string
	serviceDNSDomain     string
	controlPlaneEndpoint string
	certExtraSANs        []string
	certDir              string
	kubernetesVersion    string
	imageRepository      string
	ignorePreflight      []string
	skipPhases           []string
	runtime              string
	patches              string
	file                 string
}

func (f *configFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.advertiseAddress, "apiserver-advertise-address", "",
		"The IP `address` at which others reach the API server; 127.0.0.1 is allowed. Default: that of the default route.")
	flags.IntVar(&f.bindPort, "apiserver-bind-port", config.DefaultBindPort,
		"Port for the API server to bind to; --port-offset is added.")
	flags.StringVar(&f.nodeName, "node-name", "",
		"The node's name. Default: the host name, in lower case.")
	flags.StringSliceVar(&f.serviceCIDR, "service-cidr", []string{config.DefaultServiceSubnet},
		"`CIDR` of the virtual IPs of Services; two, separated by a comma, for dual stack.")
	flags.StringSliceVar(&f.podNetworkCIDR, "pod-network-cidr", nil,
		"`CIDR` of the pod network, from which each node gets a part; two for dual stack. Default: none.")
	flags.StringVar(&f.serviceDNSDomain, "service-dns-domain", config.DefaultDNSDomain,
		"`Domain` of Services, such as myorg.internal.")
	flags.StringVar(&f.controlPlaneEndpoint, "control-plane-endpoint", "",
		"A stable IP address or DNS name for the control plane, with or without :port.")
	flags.StringSliceVar(&f.certExtraSANs, "apiserver-cert-extra-sans", nil,
		"More IP addresses and DNS `names` for the API server's certificate.")
	flags.StringVar(&f.certDir, "cert-dir", defaultCertDir,
		"Directory of the certificates, below --root.")
	flags.StringVar(&f.kubernetesVersion, "kubernetes-version", config.DefaultKubernetesVersion,
		"Kubernetes `version` of the control plane.")
	flags.StringVar(&f.imageRepository, "image-repository", config.DefaultImageRepository,
		"`Registry` of the images that the manifests name.")
	flags.StringSliceVar(&f.ignorePreflight, "ignore-preflight-errors", nil,
		"`Checks` whose errors are shown as warnings, such as 'NumCPU,Mem'; 'all' for all of them.")
	flags.StringSliceVar(&f.skipPhases, "skip-phases", nil, "`Phases` to leave out, or parts of them: certs/sa.")
	flags.StringVar(&f.runtime, "runtime", config.RuntimeProcess,
		"What runs the components: process (host processes).")
	flags.StringVar(&f.patches, "patches", "",
		"`Directory` with patches for the manifests, as kubeadm has them: kube-apiserver0+merge.yaml, etcd+json.json.")
	flags.StringVar(&f.file, "config", "",
		"kubeadm `file` (kubeadm.k8s.io/v1beta4 or v1beta3) with the configuration; - for standard input.")
}

// defaultCertDir is kubeadm's, as it is shown in help texts.
const defaultCertDir = "/etc/kubernetes/pki"

// config merges the flags that were given into base. What is left for the
// machine to say (node name, advertise address) stays empty. The errors are
// those of values that are no addresses, CIDRs and so on; Validate finds the rest.
func (f *configFlags) config(flags *pflag.FlagSet, base config.Config) (config.Config, error) {
	cfg := base
	given := func(name string, take func()) {
		if flags.Changed(name) {
			take()
		}
	}
	given("runtime", func() { cfg.Runtime = f.runtime })
	given("node-name", func() { cfg.Node.Name = f.nodeName })
	given("apiserver-bind-port", func() { cfg.Node.BindPort = f.bindPort })
	given("service-dns-domain", func() { cfg.Networking.DNSDomain = f.serviceDNSDomain })
	given("control-plane-endpoint", func() { cfg.ControlPlaneEndpoint = f.controlPlaneEndpoint })
	given("apiserver-cert-extra-sans", func() { cfg.APIServer.CertSANs = f.certExtraSANs })
	given("kubernetes-version", func() { cfg.KubernetesVersion = f.kubernetesVersion })
	given("image-repository", func() { cfg.ImageRepository = f.imageRepository })
	given("cert-dir", func() { cfg.CertificatesDir = belowRoot(base.Root, f.certDir) })
	cfg.IgnorePreflightErrors = f.ignorePreflight
	cfg.SkipPhases = f.skipPhases
	var errs []error
	given("patches", func() {
		dir, err := filepath.Abs(f.patches)
		errs = append(errs, flagValueError("patches.directory", "--patches", f.patches, err))
		cfg.Patches = dir
	})
	errs = append(errs, f.runtimeError())
	given("apiserver-advertise-address", func() {
		addr, err := config.ParseAddr(f.advertiseAddress)
		errs = append(errs, flagValueError("localAPIEndpoint.advertiseAddress", "--apiserver-advertise-address", f.advertiseAddress, err))
		cfg.Node.AdvertiseAddress = addr
	})
	for _, subnets := range []struct {
		field, flag string
		value       []string
		into        *[]netip.Prefix
	}{
		{"networking.serviceSubnet", "service-cidr", f.serviceCIDR, &cfg.Networking.ServiceSubnets},
		{"networking.podSubnet", "pod-network-cidr", f.podNetworkCIDR, &cfg.Networking.PodSubnets},
	} {
		given(subnets.flag, func() {
			text := strings.Join(subnets.value, ",")
			prefixes, err := config.ParseSubnets(text)
			errs = append(errs, flagValueError(subnets.field, "--"+subnets.flag, text, err))
			*subnets.into = prefixes
		})
	}
	return cfg, errors.Join(errs...)
}

// runtimeError is there because validation knows more runtimes than there are yet.
func (f *configFlags) runtimeError() error {
	if f.runtime == config.RuntimeProcess {
		return nil
	}
	return &config.FieldError{Field: "runtime", Flag: "--runtime", Value: f.runtime,
		Problem: "this version of kubecrank has no such runtime", Remedy: "The one there is runs host processes: process."}
}

// flagValueError says that a flag's text could not be parsed; nil when it could.
func flagValueError(field, flag, value string, err error) error {
	if err == nil {
		return nil
	}
	return &config.FieldError{Field: field, Flag: flag, Value: value, Problem: err.Error()}
}

// belowRoot places a path below the root, unless it lies there already.
func belowRoot(root, path string) string {
	if root == "" || !filepath.IsAbs(path) {
		return path
	}
	if path == root || strings.HasPrefix(path, root+"/") {
		return filepath.Clean(path)
	}
	return filepath.Join(root, path)
}
