// Package kubeadmapi has the documents of kubeadm's configuration API,
// kubeadm.k8s.io/v1beta4, as Go types. Fields and names are those of
// cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go in Kubernetes 1.36. There are no
// defaults, and kubeadm's dependencies are not needed. Documents of v1beta3 are
// read into types of their own and converted.
//
//	file --strictyaml--> V1beta3 types --Convert--> these types --package config--> Config
//	          |                                       ^    |
//	          +---------------------------------------+    +--migrate--> file
//
// A field with the tag datapolicy holds a secret. No error text shows it.
package kubeadmapi

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The API versions that we read. We write V1beta4 only.
const (
	V1beta4 = "kubeadm.k8s.io/v1beta4"
	V1beta3 = "kubeadm.k8s.io/v1beta3"
)

// TypeMeta has the version and the kind of a document.
type TypeMeta struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
}

// InitConfiguration has the settings of one run of init on one node.
type InitConfiguration struct {
	TypeMeta         `json:",inline"`
	BootstrapTokens  []BootstrapToken        `json:"bootstrapTokens,omitempty"`
	DryRun           bool                    `json:"dryRun,omitempty"`
	NodeRegistration NodeRegistrationOptions `json:"nodeRegistration,omitzero"`
	LocalAPIEndpoint APIEndpoint             `json:"localAPIEndpoint,omitzero"`
	CertificateKey   string                  `json:"certificateKey,omitempty" datapolicy:"security-key"`
	SkipPhases       []string                `json:"skipPhases,omitempty"`
	Patches          *Patches                `json:"patches,omitempty"`
	Timeouts         *Timeouts               `json:"timeouts,omitempty"`
}

// BootstrapToken is a token that lets nodes join (apis/bootstraptoken/v1).
type BootstrapToken struct {
	Token       string     `json:"token,omitempty" datapolicy:"token"`
	Description string     `json:"description,omitempty"`
	TTL         *Duration  `json:"ttl,omitempty"`
	Expires     *time.Time `json:"expires,omitempty"`
	Usages      []string   `json:"usages,omitempty"`
	Groups      []string   `json:"groups,omitempty"`
}

// ClusterConfiguration has the settings that all control plane nodes share.
type ClusterConfiguration struct {
	TypeMeta                    `json:",inline"`
	Etcd                        Etcd                  `json:"etcd,omitzero"`
	Networking                  Networking            `json:"networking,omitzero"`
	KubernetesVersion           string                `json:"kubernetesVersion,omitempty"`
	ControlPlaneEndpoint        string                `json:"controlPlaneEndpoint,omitempty"`
	APIServer                   APIServer             `json:"apiServer,omitzero"`
	ControllerManager           ControlPlaneComponent `json:"controllerManager,omitzero"`
	Scheduler                   ControlPlaneComponent `json:"scheduler,omitzero"`
	DNS                         DNS                   `json:"dns,omitzero"`
	Proxy                       Proxy                 `json:"proxy,omitzero"`
	CertificatesDir             string                `json:"certificatesDir,omitempty"`
	ImageRepository             string                `json:"imageRepository,omitempty"`
	FeatureGates                map[string]bool       `json:"featureGates,omitempty"`
	ClusterName                 string                `json:"clusterName,omitempty"`
	EncryptionAlgorithm         string                `json:"encryptionAlgorithm,omitempty"`
	CertificateValidityPeriod   *Duration             `json:"certificateValidityPeriod,omitempty"`
	CACertificateValidityPeriod *Duration             `json:"caCertificateValidityPeriod,omitempty"`
}

// ControlPlaneComponent has the settings of a component.
type ControlPlaneComponent struct {
	ExtraArgs    []Arg           `json:"extraArgs,omitempty"`
	ExtraVolumes []HostPathMount `json:"extraVolumes,omitempty"`
	ExtraEnvs    []EnvVar        `json:"extraEnvs,omitempty"`
}

// APIServer has the settings of kube-apiserver.
type APIServer struct {
	ControlPlaneComponent `json:",inline"`
	CertSANs              []string `json:"certSANs,omitempty"`
}

// DNS is the DNS addon.
type DNS struct {
	ImageMeta `json:",inline"`
	Disabled  bool `json:"disabled,omitempty"`
}

// Proxy is the kube-proxy addon.
type Proxy struct {
	Disabled bool `json:"disabled,omitempty"`
}

// ImageMeta selects another image.
type ImageMeta struct {
	ImageRepository string `json:"imageRepository,omitempty"`
	ImageTag        string `json:"imageTag,omitempty"`
}

// APIEndpoint is one API server.
type APIEndpoint struct {
	AdvertiseAddress string `json:"advertiseAddress,omitempty"`
	BindPort         int32  `json:"bindPort,omitempty"`
}

// NodeRegistrationOptions has the settings of the node's kubelet and its Node object.
type NodeRegistrationOptions struct {
	Name                  string         `json:"name,omitempty"`
	CRISocket             string         `json:"criSocket,omitempty"`
	Taints                []corev1.Taint `json:"taints,omitzero"` // nil: the default taint; empty: none
	KubeletExtraArgs      []Arg          `json:"kubeletExtraArgs,omitempty"`
	IgnorePreflightErrors []string       `json:"ignorePreflightErrors,omitempty"`
	ImagePullPolicy       string         `json:"imagePullPolicy,omitempty"`
	ImagePullSerial       *bool          `json:"imagePullSerial,omitempty"`
}

// Networking is the cluster's address plan. A subnet is one CIDR, or two with a comma between them.
type Networking struct {
	ServiceSubnet string `json:"serviceSubnet,omitempty"`
	PodSubnet     string `json:"podSubnet,omitempty"`
	DNSDomain     string `json:"dnsDomain,omitempty"`
}

// Etcd is local or external.
type Etcd struct {
	Local    *LocalEtcd    `json:"local,omitempty"`
	External *ExternalEtcd `json:"external,omitempty"`
}

// LocalEtcd is an etcd that runs as a static pod here.
type LocalEtcd struct {
	ImageMeta      `json:",inline"`
	DataDir        string   `json:"dataDir,omitempty"`
	ExtraArgs      []Arg    `json:"extraArgs,omitempty"`
	ExtraEnvs      []EnvVar `json:"extraEnvs,omitempty"`
	ServerCertSANs []string `json:"serverCertSANs,omitempty"`
	PeerCertSANs   []string `json:"peerCertSANs,omitempty"`
}

// ExternalEtcd is an etcd that kubeadm does not run.
type ExternalEtcd struct {
	Endpoints     []string `json:"endpoints,omitempty"`
	HTTPEndpoints []string `json:"httpEndpoints,omitempty"`
	CAFile        string   `json:"caFile,omitempty"`
	CertFile      string   `json:"certFile,omitempty"`
	KeyFile       string   `json:"keyFile,omitempty"`
}

// HostPathMount is a volume from the host.
type HostPathMount struct {
	Name      string `json:"name,omitempty"`
	HostPath  string `json:"hostPath,omitempty"`
	MountPath string `json:"mountPath,omitempty"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
	PathType  string `json:"pathType,omitempty"`
}

// Arg is a flag without its dashes, and its value.
type Arg struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// EnvVar is an environment variable.
type EnvVar struct {
	corev1.EnvVar `json:",inline"`
}

// Patches names a directory of patches.
type Patches struct {
	Directory string `json:"directory,omitempty"`
}

// Timeouts has the timeouts of all commands.
type Timeouts struct {
	ControlPlaneComponentHealthCheck *Duration `json:"controlPlaneComponentHealthCheck,omitempty"`
	KubeletHealthCheck               *Duration `json:"kubeletHealthCheck,omitempty"`
	KubernetesAPICall                *Duration `json:"kubernetesAPICall,omitempty"`
	EtcdAPICall                      *Duration `json:"etcdAPICall,omitempty"`
	TLSBootstrap                     *Duration `json:"tlsBootstrap,omitempty"`
	Discovery                        *Duration `json:"discovery,omitempty"`
	UpgradeManifests                 *Duration `json:"upgradeManifests,omitempty"`
}

// Duration is a time.Duration with a text form, "4m0s".
type Duration struct{ time.Duration }

// MarshalText writes the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the form of time.ParseDuration.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("it is not a duration such as 30s, 4m or 8760h")
	}
	d.Duration = parsed
	return nil
}
