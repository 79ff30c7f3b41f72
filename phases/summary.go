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
		plan.Note{Text: "The control plane is ready. To use it:"},
		plan.Note{Text: "    kubecrank kubectl" + root + " get --raw=/readyz?verbose"},
		plan.Note{Text: "    export KUBECONFIG=" + filepath.Join(s.Paths.Kubernetes, pki.AdminConf)},
		plan.Note{Text: "To see how it is: kubecrank status" + root + "    To undo all of it: kubecrank reset" + root},
	}, nil
}
