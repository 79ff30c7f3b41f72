package pki

import (
	"crypto/x509"
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// KubeconfigSpec says what one kubeconfig has to be, as comparable data.
type KubeconfigSpec struct {
	// Name is the file's name in the Kubernetes directory: "admin.conf". Its mode is 0600.
	Name string `json:"name"`
	// User is the name of the user's entry; kubeadm uses the common name.
	User          string   `json:"user"`
	CommonName    string   `json:"commonName"`
	Organizations []string `json:"organizations,omitempty"`
	Server        string   `json:"server"` // URL
	ClusterName   string   `json:"clusterName"`
}

// clusterAdmins is the group that kubeadm binds to cluster-admin (KEP-4214).
const clusterAdmins = "kubeadm:cluster-admins"

// The names of the kubeconfigs.
const (
	AdminConf             = "admin.conf"
	SuperAdminConf        = "super-admin.conf"
	KubeletConf           = "kubelet.conf"
	ControllerManagerConf = "controller-manager.conf"
	SchedulerConf         = "scheduler.conf"
)

// KubeconfigSpecs returns the kubeconfigs of a control plane node that is
// initialized, in the order of kubeadm's init phases (getKubeConfigSpecsBase
// in cmd/kubeadm/app/phases/kubeconfig/kubeconfig.go). kubelet.conf, which kubeadm always
// writes, is there only when a kubelet is to run the pods; it names the local
// endpoint, as kubeadm's kubelet phase does. cfg has to be completed.
func KubeconfigSpecs(cfg config.Config) []KubeconfigSpec {
	spec := func(name, user, server string, groups ...string) KubeconfigSpec {
		return KubeconfigSpec{
			Name: name, User: user, CommonName: user, Organizations: groups, Server: server, ClusterName: cfg.ClusterName,
		}
	}
	all, local := cfg.ControlPlaneURL(), cfg.LocalAPIURL()
	specs := []KubeconfigSpec{
		spec(AdminConf, "kubernetes-admin", all, clusterAdmins),
		spec(SuperAdminConf, "kubernetes-super-admin", all, systemMasters),
	}
	if cfg.Runtime == config.RuntimeKubelet {
		specs = append(specs, spec(KubeletConf, "system:node:"+cfg.Node.Name, local, "system:nodes"))
	}
	return append(specs,
		spec(ControllerManagerConf, "system:kube-controller-manager", local),
		spec(SchedulerConf, "system:kube-scheduler", local),
	)
}

// certSpec is the client certificate inside the kubeconfig.
func (s KubeconfigSpec) certSpec() Spec {
	return Spec{
		Name: s.Name, CommonName: s.CommonName, Organizations: s.Organizations,
		Usages: Usages{x509.ExtKeyUsageClientAuth}, Signer: "ca",
	}
}

// NewKubeconfig makes a kubeconfig with a new client certificate; key,
// certificate and CA are embedded. Without the CA's key the error is a
// *Reason of kind NeedsExternalCA.
func NewKubeconfig(spec KubeconfigSpec, ca Pair, p Params) ([]byte, error) {
	if !ca.HasKey() {
		return nil, ExternalCA("", spec.Name)
	}
	// kubeadm leaves notBefore out here, and so takes over the CA's
	// (newClientCertConfigFromKubeConfigSpec, NewSignedCert).
	pair, err := issue(spec.certSpec(), ca, p, ca.Certificate().NotBefore)
	if err != nil {
		return nil, fmt.Errorf("cannot make %s: %w", spec.Name, err)
	}
	return spec.write(ca, &clientcmdapi.AuthInfo{ClientCertificateData: pair.CertPEM, ClientKeyData: pair.KeyPEM})
}

// NewTokenKubeconfig makes a kubeconfig whose user has a token instead of a
// certificate. It needs the CA's certificate alone.
func NewTokenKubeconfig(spec KubeconfigSpec, ca Pair, token config.Secret) ([]byte, error) {
	return spec.write(ca, &clientcmdapi.AuthInfo{Token: string(token)})
}

func (s KubeconfigSpec) write(ca Pair, user *clientcmdapi.AuthInfo) ([]byte, error) {
	context := s.User + "@" + s.ClusterName
	data, err := clientcmd.Write(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			s.ClusterName: {Server: s.Server, CertificateAuthorityData: encodeCert(ca.Certificate())},
		},
		Contexts: map[string]*clientcmdapi.Context{
			context: {Cluster: s.ClusterName, AuthInfo: s.User},
		},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{s.User: user},
		CurrentContext: context,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make %s: %w", s.Name, err)
	}
	return data, nil
}

// ClusterOf is the cluster of a kubeconfig's current context. The error is a *Reason.
func ClusterOf(data []byte) (name, server string, err error) {
	k, r := parseKubeconfig(data)
	if r != nil {
		return "", "", r
	}
	return k.config.Contexts[k.config.CurrentContext].Cluster, k.cluster.Server, nil
}
