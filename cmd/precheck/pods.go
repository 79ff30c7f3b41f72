package precheck

import (
	"github.com/kubecrank/kubecrank/runtime/process"
	"github.com/kubecrank/kubecrank/runtime/source"
)

// Pods asks the source of static pods and the process runtime about a manifest. It is phases.PodChecker.
type Pods struct{}

// Check implements phases.PodChecker.
func (Pods) Check(origin string, manifest []byte) (everywhere, here error) {
	pod, err := source.Decoder{NodeName: "node", Source: source.FromFile}.Pod(manifest, origin)
	if err != nil {
		return err, nil
	}
	if err := process.RefuseAnywhere(pod); err != nil {
		return err, nil
	}
	return nil, process.RefuseHere(pod)
}
