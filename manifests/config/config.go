// Package config holds the one configuration of kubecrank. It comes from flags,
// the environment, a settings file and kubeadm.k8s.io documents. It is merged
// once, completed with defaults, and validated as a whole. Then it never changes.
//
//	flags, KUBECRANK_*, files --(cmd/cli)--> Config --Default--> Config --Validate--> all errors at once
//	                                                                |
//	                             facts (host name, default address) +--> Complete --> phases, manifests
//
// The package is pure: it reads no file, environment or clock.
package config

import (
	"net/netip"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Config describes one control plane node. Start from Default: the zero value is
// not valid. A field that kubeadm has means what it means in kubeadm.k8s.io/v1beta4.
type Config struct {
	// Root is "" for the host's own paths. Otherwise it is an absolute directory:
	// every path of kubecrank and of the components lies below it (--root).
	Root string
	// PortOffset is added to every port, so that several control planes can run
	// on one machine (--port-offset).
	PortOffset int
	// Runtime runs the containers: RuntimeProcess, RuntimeContainerd or RuntimeKubelet.
	Runtime string
	// ComponentsDir holds the component binaries (--components-dir). If it is "", they
	// come from the embedded payload, or from PATH in the lean build.
	ComponentsDir string

	KubernetesVersion    string // "v1.36.3", with the v
	ClusterName          string // "kubernetes"
	ImageRepository      string // "registry.k8s.io"
	ControlPlaneEndpoint string // "", "host" or "host:port"
	CertificatesDir      string // absolute, Root included; "" in a Config that is not defaulted
	Networking           Networking
	Node                 Node
	Etcd                 Etcd
	APIServer            APIServer
	ControllerManager    Component
	Scheduler            Component

	KeyAlgorithm          KeyAlgorithm
	CertificateValidity   time.Duration // leaves: 8760h
	CACertificateValidity time.Duration // CAs: 87600h
	Timeouts              Timeouts
	FeatureGates          map[string]bool

	IgnorePreflightErrors []string // lower case names, or "all"
	SkipPhases            []string

	// Patches is a directory with patches for the manifests, or "" (--patches); see manifests.ApplyPatches.
	Patches string
	DNS     Addon
	Proxy   Addon // its image is kube-proxy of KubernetesVersion, so only Disabled counts
	// BootstrapTokens are made once the API server runs. If there are none, a random one is made.
	BootstrapTokens []BootstrapToken
	CertificateKey  Secret // 64 hexadecimal digits, or ""
	// KubeletConfiguration and KubeProxyConfiguration are documents that kubecrank passes on unchanged, or nil.
	KubeletConfiguration   []byte
	KubeProxyConfiguration []byte
	Supervisor             Supervisor
	Join                   *Join // nil except for join
}

// Rootless is kubeadm's feature gate RootlessControlPlane: each component runs as a user of its own.
func (c Config) Rootless() bool { return c.FeatureGates["RootlessControlPlane"] }

// The values of Config.Runtime.
const (
	RuntimeProcess    = "process"
	RuntimeContainerd = "containerd"
	RuntimeKubelet    = "kubelet"
)

// Networking is the cluster's address plan. It has at most one prefix per family;
// the first one is the primary one. ParseSubnets reads them from text.
type Networking struct {
	ServiceSubnets []netip.Prefix // default 10.96.0.0/12
	PodSubnets     []netip.Prefix // none: no node CIDR allocation
	DNSDomain      string         // "cluster.local"
}

// Node holds the settings of this machine (nodeRegistration and localAPIEndpoint).
type Node struct {
	Name             string     // default: the host name in lower case (Complete)
	AdvertiseAddress netip.Addr // default: the address of the default route (Complete)
	BindPort         int        // 6443, PortOffset not yet added

	CRISocket        string         // "unix:///...", or "" to look for one
	Taints           []corev1.Taint // of the Node object; nil: kubeadm's control plane taint
	KubeletExtraArgs []Arg
	ImagePullPolicy  string // "IfNotPresent"
	ImagePullSerial  bool   // true
}

// Etcd is local if External is nil.
type Etcd struct {
	DataDir         string // /var/lib/etcd below Root
	ImageRepository string // "" = Config.ImageRepository
	ImageTag        string // "" = the tag that belongs to KubernetesVersion
	ExtraArgs       []Arg
	ExtraEnvs       []Env
	ServerCertSANs  []string
	PeerCertSANs    []string
	External        *ExternalEtcd
}

// ExternalEtcd is an etcd cluster that kubecrank uses and does not run.
type ExternalEtcd struct {
	Endpoints                 []string
	HTTPEndpoints             []string
	CAFile, CertFile, KeyFile string
}

// APIServer holds the settings of kube-apiserver.
type APIServer struct {
	Component
	CertSANs []string
}

// Component holds the settings that a user can change in a control plane component.
type Component struct {
	ExtraArgs    []Arg // in order, with duplicates; a name removes all defaults of that name
	ExtraVolumes []HostPathMount
	ExtraEnvs    []Env
}

// Arg is one command line flag, "--Name=Value".
type Arg struct{ Name, Value string }

// Env is one environment variable of a container.
type Env struct {
	Name, Value string
	ValueFrom   *corev1.EnvVarSource // instead of Value; in a static pod only a fieldRef or resourceFieldRef works
}

// HostPathMount is an extra host path in a component's pod.
type HostPathMount struct {
	Name, HostPath, MountPath string
	ReadOnly                  bool
	PathType                  string // a corev1.HostPathType, "" for none
}

// KeyAlgorithm is kubeadm's encryptionAlgorithm.
type KeyAlgorithm string

// The values of KeyAlgorithm. kubeadm's default is RSA-2048. Ours is ECDSA-P256, which takes 30 ms instead of a second.
const (
	RSA2048   KeyAlgorithm = "RSA-2048"
	RSA3072   KeyAlgorithm = "RSA-3072"
	RSA4096   KeyAlgorithm = "RSA-4096"
	ECDSAP256 KeyAlgorithm = "ECDSA-P256"
	ECDSAP384 KeyAlgorithm = "ECDSA-P384"
)

// Timeouts are the timeouts of kubeadm that init and join use.
type Timeouts struct {
	ControlPlaneComponentHealthCheck time.Duration // 4m; the startup probe's failureThreshold comes from it
	KubernetesAPICall                time.Duration // 1m
	EtcdAPICall                      time.Duration // 2m
	Discovery                        time.Duration // 5m
	KubeletHealthCheck               time.Duration // 4m
	TLSBootstrap                     time.Duration // 5m
	UpgradeManifests                 time.Duration // 5m
}

// Addon holds the settings of the DNS or the proxy addon.
type Addon struct {
	ImageRepository string // "" = Config.ImageRepository
	ImageTag        string // "" = the tag that belongs to KubernetesVersion
	Disabled        bool
}

// BootstrapToken is a token that lets nodes join.
type BootstrapToken struct {
	Token       Secret // "abcdef.0123456789abcdef", or "" for a random one
	Description string
	TTL         time.Duration // 24h; 0 means no expiry
	Expires     time.Time     // instead of TTL, or the zero time
	Usages      []string      // "signing", "authentication"
	Groups      []string      // "system:bootstrappers:kubeadm:default-node-token"
}

// Join holds the settings of join: how the node finds the cluster and proves who it is.
type Join struct {
	ControlPlane bool // false: a worker
	// Token, APIServerEndpoint and CACertHashes are for discovery by token. Token is "" for discovery by file.
	Token                    Secret
	APIServerEndpoint        string   // "host:port"
	CACertHashes             []string // "sha256:<hex>"
	UnsafeSkipCAVerification bool
	KubeConfig               string // for discovery by file: a path or an https URL, or ""
	TLSBootstrapToken        Secret // default: Token
	CACertPath               string // the file for the cluster's CA
}

// Supervisor holds the settings that kubeadm has no field for (SupervisorConfiguration).
type Supervisor struct {
	BackOffInitial     time.Duration // 10s, the kubelet's
	BackOffMax         time.Duration // 5m
	LogMaxSize         int64         // bytes; 10 MiB
	LogMaxFiles        int           // 5, the current one included
	FileCheckFrequency time.Duration // 20s: the full listing beside inotify
	HTTPCheckFrequency time.Duration // 20s
	ManifestURL        string        // "" for none
	// ManifestURLHeader may hold credentials.
	ManifestURLHeader map[string][]string
	MetricsAddress    string // "127.0.0.1:10260", on loopback; "" serves metrics on the control socket only
}

// Secret is a text that stays hidden when it is printed, logged or encoded.
// string(s) returns the text.
type Secret string

// String returns "" for an empty secret, and a placeholder for any other.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// GoString hides the secret in %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides the secret from encoders. The encoded text cannot be decoded into the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Ports are the ports in use, with PortOffset added.
type Ports struct {
	APIServer         int // 6443
	EtcdClient        int // 2379
	EtcdPeer          int // 2380
	EtcdMetrics       int // 2381
	ControllerManager int // 10257
	Scheduler         int // 10259
}

// Paths are the files and directories of a control plane, all absolute and below Config.Root.
type Paths struct {
	Kubernetes     string // /etc/kubernetes: the kubeconfigs
	Manifests      string // /etc/kubernetes/manifests
	PKI            string // CertificatesDir
	EtcdData       string // /var/lib/etcd
	State          string // /var/lib/kubecrank
	Journal        string // /var/lib/kubecrank/journal.jsonl
	Components     string // /var/lib/kubecrank/components
	SupervisorLog  string // /var/lib/kubecrank/supervisor.log
	Timeline       string // /var/lib/kubecrank/timeline.jsonl: what the last init that changed anything did, and when
	Events         string // /var/lib/kubecrank/events.jsonl: what the supervisors reported
	PodState       string // /var/lib/kubecrank/pods: what the supervisor remembers of running containers
	Run            string // /run/kubecrank
	Socket         string // /run/kubecrank/supervisor.sock
	Lock           string // /run/kubecrank/kubecrank.lock: init, join, reset, upgrade
	SupervisorLock string // /run/kubecrank/supervisor.lock
	// SupervisorConfig is /var/lib/kubecrank/supervisor.yaml: the supervisor's settings, which init writes for later starts.
	SupervisorConfig string
	PodLogs          string // /var/log/pods
	FlexVolumes      string // /var/lib/kubecrank/flexvolumes: the controller manager makes it; it stays empty
}
