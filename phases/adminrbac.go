package phases

import (
	"net"
	"path/filepath"
	"strconv"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/cluster"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// adminRBAC binds the group of admin.conf to cluster-admin, as the user of
// super-admin.conf (kubeadm's EnsureAdminClusterRoleBinding, KEP-4214).
func adminRBAC(s *State) ([]plan.Step, error) {
	var list []plan.Step
	for _, obj := range cluster.AdminRBAC() {
		list = append(list, steps.ApplyObject{
			Object:     obj,
			Server:     localServer(s.Config),
			Kubeconfig: filepath.Join(s.Paths.Kubernetes, pki.SuperAdminConf),
			Timeout:    steps.Span(s.Config.Timeouts.KubernetesAPICall),
		})
	}
	return list, nil
}

// localServer is this node's own API server: the control plane endpoint may be
// a load balancer that does not know of it yet.
func localServer(cfg config.Config) string {
	return "https://" + net.JoinHostPort(cfg.Node.AdvertiseAddress.String(), strconv.Itoa(cfg.Ports().APIServer))
}
