// Package largest makes configurations with everything in them, for the
// benchmarks of the dry-run: every field of the InitConfiguration, the
// ClusterConfiguration and the SupervisorConfiguration is set, and there is a
// patch of each type for each manifest. How long the lists are is a parameter.
//
//	Write --> DIR/kubeadm.yaml, DIR/patches/*
package largest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/manifests/config/kubeadmapi"
)

// Most is the longest that each list can be: with one more item the file is larger than one may be (strictyaml.MaxSize).
const Most = 93

// sized makes documents whose lists have that many items.
type sized int

// Write puts a kubeadm file with n items in each list, and its patches, into dir, and returns the file's path.
func Write(dir string, n int) (file string, err error) {
	patches := filepath.Join(dir, "patches")
	if err := os.MkdirAll(patches, 0o755); err != nil {
		return "", err
	}
	for _, target := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		for name, patch := range map[string]string{
			"0+strategic.yaml": "spec: {containers: [{name: " + target + ", env: [{name: PATCHED, value: \"1\"}]}]}\n",
			"1+merge.yaml":     "metadata: {labels: {patched: by-merge}}\n",
			"2+json.json":      `[{"op": "add", "path": "/spec/containers/0/command/-", "value": "--v=1"}]`,
		} {
			if err := os.WriteFile(filepath.Join(patches, target+name), []byte(patch), 0o600); err != nil {
				return "", err
			}
		}
	}
	var out bytes.Buffer
	for _, document := range []any{sized(n).init(patches), sized(n).cluster(), sized(n).supervisor()} {
		data, err := yaml.Marshal(document)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "---\n%s", data)
	}
	out.WriteString("---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 250\n")
	out.WriteString("---\napiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: nftables\n")
	file = filepath.Join(dir, "kubeadm.yaml")
	return file, os.WriteFile(file, out.Bytes(), 0o600)
}

func (n sized) init(patches string) kubeadmapi.InitConfiguration {
	yes, expires := true, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	doc := kubeadmapi.InitConfiguration{
		TypeMeta: kubeadmapi.TypeMeta{APIVersion: kubeadmapi.V1beta4, Kind: "InitConfiguration"},
		DryRun:   true,
		NodeRegistration: kubeadmapi.NodeRegistrationOptions{
			Name: "node-1", CRISocket: "unix:///run/containerd/containerd.sock", KubeletExtraArgs: n.args("kubelet"),
			IgnorePreflightErrors: n.names("check-%d"), ImagePullPolicy: "Always", ImagePullSerial: &yes,
		},
		LocalAPIEndpoint: kubeadmapi.APIEndpoint{AdvertiseAddress: "127.0.0.1", BindPort: 6443},
		CertificateKey:   strings.Repeat("0f", 32),
		SkipPhases:       []string{"addon/coredns", "addon/kube-proxy", "upload-certs"},
		Patches:          &kubeadmapi.Patches{Directory: patches},
		Timeouts: &kubeadmapi.Timeouts{
			ControlPlaneComponentHealthCheck: minutes(4), KubeletHealthCheck: minutes(4), KubernetesAPICall: minutes(1),
			EtcdAPICall: minutes(2), TLSBootstrap: minutes(5), Discovery: minutes(5), UpgradeManifests: minutes(5),
		},
	}
	for i := range n {
		doc.BootstrapTokens = append(doc.BootstrapTokens, kubeadmapi.BootstrapToken{
			Token: fmt.Sprintf("abc%03d.0123456789abcdef", i), Description: "a token", Expires: &expires,
			Usages: []string{"signing", "authentication"}, Groups: []string{"system:bootstrappers:kubeadm:default-node-token"},
		})
		doc.NodeRegistration.Taints = append(doc.NodeRegistration.Taints,
			corev1.Taint{Key: fmt.Sprintf("example.com/taint-%d", i), Value: "yes", Effect: corev1.TaintEffectNoSchedule})
	}
	doc.BootstrapTokens[0].Expires, doc.BootstrapTokens[0].TTL = nil, minutes(60)
	return doc
}

func (n sized) cluster() kubeadmapi.ClusterConfiguration {
	return kubeadmapi.ClusterConfiguration{
		TypeMeta: kubeadmapi.TypeMeta{APIVersion: kubeadmapi.V1beta4, Kind: "ClusterConfiguration"},
		Etcd: kubeadmapi.Etcd{Local: &kubeadmapi.LocalEtcd{
			ImageMeta: kubeadmapi.ImageMeta{ImageRepository: "registry.example.com/etcd", ImageTag: "3.6.8-0"},
			DataDir:   "/srv/etcd", ExtraArgs: n.args("etcd"), ExtraEnvs: n.envs(),
			ServerCertSANs: n.names("etcd-%d.example.com"), PeerCertSANs: n.names("peer-%d.example.com"),
		}},
		Networking: kubeadmapi.Networking{ServiceSubnet: "10.96.0.0/16,fd00:10:96::/112",
			PodSubnet: "10.244.0.0/16,fd00:10:244::/56", DNSDomain: "corp.example"},
		KubernetesVersion:    config.DefaultKubernetesVersion,
		ControlPlaneEndpoint: "api.example.com:8443",
		APIServer: kubeadmapi.APIServer{ControlPlaneComponent: n.component("apiserver"),
			CertSANs: append(n.names("api-%d.example.com"), "203.0.113.7", "2001:db8::7")},
		ControllerManager: n.component("controller-manager"),
		Scheduler:         n.component("scheduler"),
		DNS: kubeadmapi.DNS{Disabled: true,
			ImageMeta: kubeadmapi.ImageMeta{ImageRepository: "registry.example.com/dns", ImageTag: "v1.14.2"}},
		Proxy:                       kubeadmapi.Proxy{Disabled: true},
		CertificatesDir:             "/srv/pki",
		ImageRepository:             "registry.example.com:5000/k8s",
		FeatureGates:                map[string]bool{"NodeLocalCRISocket": true, "PublicKeysECDSA": true},
		ClusterName:                 "prod-eu",
		EncryptionAlgorithm:         "ECDSA-P256",
		CertificateValidityPeriod:   minutes(60 * 24 * 30),
		CACertificateValidityPeriod: minutes(60 * 24 * 365),
	}
}

func (n sized) supervisor() config.SupervisorConfiguration {
	return config.SupervisorConfiguration{
		TypeMeta:             kubeadmapi.TypeMeta{APIVersion: config.V1alpha1, Kind: "SupervisorConfiguration"},
		CrashLoopBackOff:     config.CrashLoopBackOff{InitialPeriod: minutes(1), MaxContainerRestartPeriod: minutes(5)},
		ContainerLogMaxSize:  resource.NewQuantity(10<<20, resource.BinarySI),
		ContainerLogMaxFiles: 5,
		FileCheckFrequency:   minutes(1),
		HTTPCheckFrequency:   minutes(1),
		StaticPodURL:         "https://pods.example.com/master.yaml",
		MetricsBindAddress:   "127.0.0.1:10260",
		StaticPodURLHeader:   map[string][]string{"X-Site": n.names("site-%d")},
	}
}

func (n sized) component(name string) kubeadmapi.ControlPlaneComponent {
	c := kubeadmapi.ControlPlaneComponent{ExtraArgs: n.args(name), ExtraEnvs: n.envs()}
	for i := range n {
		path := fmt.Sprintf("/srv/%s/volume-%d", name, i)
		c.ExtraVolumes = append(c.ExtraVolumes, kubeadmapi.HostPathMount{Name: fmt.Sprintf("extra-%d", i), HostPath: path,
			MountPath: path, ReadOnly: true, PathType: string(corev1.HostPathDirectoryOrCreate)})
	}
	return c
}

func (n sized) args(component string) (list []kubeadmapi.Arg) {
	for i := range n {
		list = append(list, kubeadmapi.Arg{Name: fmt.Sprintf("extra-%s-%d", component, i), Value: fmt.Sprintf("value-%d", i)})
	}
	return list
}

// envs are half values and half references, which exclude each other.
func (n sized) envs() (list []kubeadmapi.EnvVar) {
	for i := range (n + 1) / 2 {
		list = append(list,
			kubeadmapi.EnvVar{EnvVar: corev1.EnvVar{Name: fmt.Sprintf("VALUE_%d", i), Value: "a value"}},
			kubeadmapi.EnvVar{EnvVar: corev1.EnvVar{Name: fmt.Sprintf("FIELD_%d", i),
				ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "spec.nodeName"}}}})
	}
	return list
}

func (n sized) names(format string) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf(format, i))
	}
	return list
}

func minutes(m int) *kubeadmapi.Duration {
	return &kubeadmapi.Duration{Duration: time.Duration(m) * time.Minute}
}
