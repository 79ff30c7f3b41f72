package phases

import (
	"path/filepath"

	"github.com/kubecrank/kubecrank/phases/cluster"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
)

// adminRBAC binds the group of admin.conf to cluster-admin, as the user of
// super-admin.conf (kubeadm's EnsureAdminClusterRoleBinding, KEP-4214).
func adminRBAC(s *State) ([]plan.Step, error) {
	var steps []plan.Step
	for _, obj := range cluster.AdminRBAC() {
		steps = append(steps, plan.ApplyObject{
			Object:     obj,
			Kubeconfig: filepath.Join(s.Paths.Kubernetes, pki.SuperAdminConf),
			Timeout:    s.Config.Timeouts.KubernetesAPICall,
		})
	}
	return steps, nil
}
