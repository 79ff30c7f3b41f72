package phases

import (
	"path/filepath"

	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
)

func summary(s *State) ([]plan.Step, error) {
	root := ""
	if s.Config.Root != "" {
		root = " --root " + s.Config.Root
	}
	return []plan.Step{
		plan.Note{Text: "To use it:"},
		plan.Note{Text: "    kubecrank kubectl" + root + " get --raw='/readyz?verbose'"},
		plan.Note{Text: "    kubecrank status" + root},
		plan.Note{Text: "    export KUBECONFIG=" + filepath.Join(s.Paths.Kubernetes, pki.AdminConf)},
		plan.Note{Text: "    kubecrank reset" + root + "    # undoes all of it; all data of the cluster is lost"},
	}, nil
}
