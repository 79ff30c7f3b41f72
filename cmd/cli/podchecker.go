package cli

import (
	"github.com/kubecrank/kubecrank/runtime/process"
	"github.com/kubecrank/kubecrank/runtime/source"
)

// podChecker asks those who will read and run a manifest, before it is written. It is phases.PodChecker.
type podChecker struct{}

// Check implements phases.PodChecker.
func (podChecker) Check(origin string, manifest []byte) (everywhere, here error) {
	pod, err := source.Decoder{NodeName: "node", Source: source.FromFile}.Pod(manifest, origin)
	if err != nil {
		return err, nil
	}
	if err := process.RefuseAnywhere(pod); err != nil {
		return err, nil
	}
	return nil, process.RefuseHere(pod)
}
