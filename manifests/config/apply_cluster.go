package config

import (
	"time"

	"github.com/kubecrank/kubecrank/manifests/config/kubeadmapi"
	"github.com/kubecrank/kubecrank/pathname"
)

const defaultTokenTTL = 24 * time.Hour

func (a *applier) cluster(in *kubeadmapi.ClusterConfiguration) {
	if in == nil {
		return
	}
	c := &a.config
	set(&c.KubernetesVersion, in.KubernetesVersion)
	set(&c.ClusterName, in.ClusterName)
	set(&c.ImageRepository, in.ImageRepository)
	set(&c.ControlPlaneEndpoint, in.ControlPlaneEndpoint)
	setBelow(&c.CertificatesDir, c.Root, in.CertificatesDir)
	set(&c.Networking.DNSDomain, in.Networking.DNSDomain)
	a.subnetList(&c.Networking, in.Networking)
	a.etcd(in.Etcd)
	c.APIServer = APIServer{Component: component(in.APIServer.ControlPlaneComponent), CertSANs: in.APIServer.CertSANs}
	c.ControllerManager = component(in.ControllerManager)
	c.Scheduler = component(in.Scheduler)
	c.DNS = Addon{ImageRepository: in.DNS.ImageRepository, ImageTag: in.DNS.ImageTag, Disabled: in.DNS.Disabled}
	c.Proxy = Addon{Disabled: in.Proxy.Disabled}
	if in.FeatureGates != nil {
		c.FeatureGates = in.FeatureGates
	}
	set(&c.KeyAlgorithm, KeyAlgorithm(in.EncryptionAlgorithm))
	// As in kubeadm, the gate wins over the field (cmd/kubeadm/app/apis/kubeadm/types.go, EncryptionAlgorithmType).
	if ecdsa, ok := in.FeatureGates["PublicKeysECDSA"]; ok {
		c.KeyAlgorithm = RSA2048
		if ecdsa {
			c.KeyAlgorithm = ECDSAP256
		}
	}
	setDuration(&c.CertificateValidity, in.CertificateValidityPeriod)
	setDuration(&c.CACertificateValidity, in.CACertificateValidityPeriod)
}

func (a *applier) subnetList(to *Networking, in kubeadmapi.Networking) {
	const remedy = "Give a CIDR, or an IPv4 and an IPv6 one with a comma and no space between them."
	if in.ServiceSubnet != "" {
		subnets, err := ParseSubnets(in.ServiceSubnet)
		if err != nil {
			a.bad("networking.serviceSubnet", "", err.Error(), remedy)
		} else {
			to.ServiceSubnets = subnets
		}
	}
	if in.PodSubnet != "" {
		subnets, err := ParseSubnets(in.PodSubnet)
		if err != nil {
			a.bad("networking.podSubnet", "", err.Error(), remedy)
		} else {
			to.PodSubnets = subnets
		}
	}
}

func (a *applier) etcd(in kubeadmapi.Etcd) {
	c := &a.config
	if in.Local != nil && in.External != nil {
		a.bad("etcd", "", "it has both local and external", "Keep one of them.")
	}
	if l := in.Local; l != nil {
		c.Etcd.ImageRepository, c.Etcd.ImageTag = l.ImageRepository, l.ImageTag
		c.Etcd.ExtraArgs, c.Etcd.ExtraEnvs = args(l.ExtraArgs), envs(l.ExtraEnvs)
		c.Etcd.ServerCertSANs, c.Etcd.PeerCertSANs = l.ServerCertSANs, l.PeerCertSANs
		setBelow(&c.Etcd.DataDir, c.Root, l.DataDir)
		c.Etcd.External = nil
		return
	}
	if e := in.External; e != nil {
		external := ExternalEtcd{Endpoints: e.Endpoints, HTTPEndpoints: e.HTTPEndpoints}
		setBelow(&external.CAFile, c.Root, e.CAFile)
		setBelow(&external.CertFile, c.Root, e.CertFile)
		setBelow(&external.KeyFile, c.Root, e.KeyFile)
		c.Etcd.External = &external
	}
}

func component(in kubeadmapi.ControlPlaneComponent) Component {
	out := Component{ExtraArgs: args(in.ExtraArgs), ExtraEnvs: envs(in.ExtraEnvs)}
	for _, v := range in.ExtraVolumes {
		out.ExtraVolumes = append(out.ExtraVolumes, HostPathMount(v))
	}
	return out
}

func args(in []kubeadmapi.Arg) []Arg {
	var out []Arg
	for _, a := range in {
		out = append(out, Arg(a))
	}
	return out
}

func envs(in []kubeadmapi.EnvVar) []Env {
	var out []Env
	for _, e := range in {
		out = append(out, Env{Name: e.Name, Value: e.Value, ValueFrom: e.ValueFrom})
	}
	return out
}

// set and the functions below change a value only if the document has one.
func set[T comparable](to *T, value T) {
	var zero T
	if value != zero {
		*to = value
	}
}

func setList[T any](to *[]T, values []T) {
	if len(values) > 0 {
		*to = values
	}
}

func setDuration(to *time.Duration, value *kubeadmapi.Duration) {
	if value != nil {
		*to = value.Duration
	}
}

func setSecret(to *Secret, value string) {
	if value != "" {
		*to = Secret(value)
	}
}

func setBelow(to *string, root, p string) {
	if p != "" {
		*to = pathname.Rebase(root, p)
	}
}
