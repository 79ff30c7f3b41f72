package kubeadmapi

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// InitConfigurationV1beta3 is the InitConfiguration of kubeadm.k8s.io/v1beta3:
// extra arguments are maps there, and there are no timeouts.
type InitConfigurationV1beta3 struct {
	TypeMeta         `json:",inline"`
	BootstrapTokens  []BootstrapToken     `json:"bootstrapTokens,omitempty"`
	NodeRegistration nodeRegistrationBeta `json:"nodeRegistration,omitzero"`
	LocalAPIEndpoint APIEndpoint          `json:"localAPIEndpoint,omitzero"`
	CertificateKey   string               `json:"certificateKey,omitempty" datapolicy:"security-key"`
	SkipPhases       []string             `json:"skipPhases,omitempty"`
	Patches          *Patches             `json:"patches,omitempty"`
}

// ClusterConfigurationV1beta3 is the ClusterConfiguration of kubeadm.k8s.io/v1beta3.
type ClusterConfigurationV1beta3 struct {
	TypeMeta             `json:",inline"`
	Etcd                 etcdBeta        `json:"etcd,omitzero"`
	Networking           Networking      `json:"networking,omitzero"`
	KubernetesVersion    string          `json:"kubernetesVersion,omitempty"`
	ControlPlaneEndpoint string          `json:"controlPlaneEndpoint,omitempty"`
	APIServer            apiServerBeta   `json:"apiServer,omitzero"`
	ControllerManager    componentBeta   `json:"controllerManager,omitzero"`
	Scheduler            componentBeta   `json:"scheduler,omitzero"`
	DNS                  ImageMeta       `json:"dns,omitzero"`
	CertificatesDir      string          `json:"certificatesDir,omitempty"`
	ImageRepository      string          `json:"imageRepository,omitempty"`
	FeatureGates         map[string]bool `json:"featureGates,omitempty"`
	ClusterName          string          `json:"clusterName,omitempty"`
}

// JoinConfigurationV1beta3 is the JoinConfiguration of kubeadm.k8s.io/v1beta3.
type JoinConfigurationV1beta3 struct {
	TypeMeta         `json:",inline"`
	NodeRegistration nodeRegistrationBeta `json:"nodeRegistration,omitzero"`
	CACertPath       string               `json:"caCertPath,omitempty"`
	Discovery        discoveryBeta        `json:"discovery,omitzero"`
	ControlPlane     *JoinControlPlane    `json:"controlPlane,omitempty"`
	SkipPhases       []string             `json:"skipPhases,omitempty"`
	Patches          *Patches             `json:"patches,omitempty"`
}

type nodeRegistrationBeta struct {
	Name                  string            `json:"name,omitempty"`
	CRISocket             string            `json:"criSocket,omitempty"`
	Taints                []corev1.Taint    `json:"taints,omitzero"`
	KubeletExtraArgs      map[string]string `json:"kubeletExtraArgs,omitempty"`
	IgnorePreflightErrors []string          `json:"ignorePreflightErrors,omitempty"`
	ImagePullPolicy       string            `json:"imagePullPolicy,omitempty"`
}

type componentBeta struct {
	ExtraArgs    map[string]string `json:"extraArgs,omitempty"`
	ExtraVolumes []HostPathMount   `json:"extraVolumes,omitempty"`
}

type apiServerBeta struct {
	componentBeta          `json:",inline"`
	CertSANs               []string  `json:"certSANs,omitempty"`
	TimeoutForControlPlane *Duration `json:"timeoutForControlPlane,omitempty"`
}

type etcdBeta struct {
	Local    *localEtcdBeta    `json:"local,omitempty"`
	External *externalEtcdBeta `json:"external,omitempty"`
}

type localEtcdBeta struct {
	ImageMeta      `json:",inline"`
	DataDir        string            `json:"dataDir,omitempty"`
	ExtraArgs      map[string]string `json:"extraArgs,omitempty"`
	ServerCertSANs []string          `json:"serverCertSANs,omitempty"`
	PeerCertSANs   []string          `json:"peerCertSANs,omitempty"`
}

type externalEtcdBeta struct {
	Endpoints []string `json:"endpoints,omitempty"`
	CAFile    string   `json:"caFile,omitempty"`
	CertFile  string   `json:"certFile,omitempty"`
	KeyFile   string   `json:"keyFile,omitempty"`
}

type discoveryBeta struct {
	BootstrapToken    *BootstrapTokenDiscovery `json:"bootstrapToken,omitempty"`
	File              *FileDiscovery           `json:"file,omitempty"`
	TLSBootstrapToken string                   `json:"tlsBootstrapToken,omitempty" datapolicy:"token"`
	Timeout           *Duration                `json:"timeout,omitempty"`
}

// Convert returns the document in v1beta4.
func (in *InitConfigurationV1beta3) Convert() *InitConfiguration {
	return &InitConfiguration{
		TypeMeta:         TypeMeta{V1beta4, in.Kind},
		BootstrapTokens:  in.BootstrapTokens,
		NodeRegistration: in.NodeRegistration.convert(),
		LocalAPIEndpoint: in.LocalAPIEndpoint,
		CertificateKey:   in.CertificateKey,
		SkipPhases:       in.SkipPhases,
		Patches:          in.Patches,
	}
}

// Convert returns the document in v1beta4. It also returns the timeout that v1beta4
// has in the InitConfiguration (timeouts.controlPlaneComponentHealthCheck), or nil.
func (in *ClusterConfigurationV1beta3) Convert() (*ClusterConfiguration, *Duration) {
	return &ClusterConfiguration{
		TypeMeta:             TypeMeta{V1beta4, in.Kind},
		Etcd:                 in.Etcd.convert(),
		Networking:           in.Networking,
		KubernetesVersion:    in.KubernetesVersion,
		ControlPlaneEndpoint: in.ControlPlaneEndpoint,
		APIServer:            APIServer{ControlPlaneComponent: in.APIServer.convert(), CertSANs: in.APIServer.CertSANs},
		ControllerManager:    in.ControllerManager.convert(),
		Scheduler:            in.Scheduler.convert(),
		DNS:                  DNS{ImageMeta: in.DNS},
		CertificatesDir:      in.CertificatesDir,
		ImageRepository:      in.ImageRepository,
		FeatureGates:         in.FeatureGates,
		ClusterName:          in.ClusterName,
	}, in.APIServer.TimeoutForControlPlane
}

// Convert returns the document in v1beta4.
func (in *JoinConfigurationV1beta3) Convert() *JoinConfiguration {
	out := &JoinConfiguration{
		TypeMeta:         TypeMeta{V1beta4, in.Kind},
		NodeRegistration: in.NodeRegistration.convert(),
		CACertPath:       in.CACertPath,
		Discovery: Discovery{
			BootstrapToken: in.Discovery.BootstrapToken, File: in.Discovery.File, TLSBootstrapToken: in.Discovery.TLSBootstrapToken,
		},
		ControlPlane: in.ControlPlane,
		SkipPhases:   in.SkipPhases,
		Patches:      in.Patches,
	}
	if in.Discovery.Timeout != nil {
		out.Timeouts = &Timeouts{Discovery: in.Discovery.Timeout}
	}
	return out
}

func (in nodeRegistrationBeta) convert() NodeRegistrationOptions {
	return NodeRegistrationOptions{
		Name: in.Name, CRISocket: in.CRISocket, Taints: in.Taints, KubeletExtraArgs: argList(in.KubeletExtraArgs),
		IgnorePreflightErrors: in.IgnorePreflightErrors, ImagePullPolicy: in.ImagePullPolicy,
	}
}

func (in componentBeta) convert() ControlPlaneComponent {
	return ControlPlaneComponent{ExtraArgs: argList(in.ExtraArgs), ExtraVolumes: in.ExtraVolumes}
}

func (in etcdBeta) convert() Etcd {
	var out Etcd
	if l := in.Local; l != nil {
		out.Local = &LocalEtcd{ImageMeta: l.ImageMeta, DataDir: l.DataDir, ExtraArgs: argList(l.ExtraArgs),
			ServerCertSANs: l.ServerCertSANs, PeerCertSANs: l.PeerCertSANs}
	}
	if e := in.External; e != nil {
		out.External = &ExternalEtcd{Endpoints: e.Endpoints, CAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile}
	}
	return out
}

// argList sorts by name, as kubeadm's conversion does.
func argList(in map[string]string) []Arg {
	var out []Arg
	for name, value := range in {
		out = append(out, Arg{name, value})
	}
	slices.SortFunc(out, func(a, b Arg) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
