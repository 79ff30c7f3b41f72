package facts

import (
	"path/filepath"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/manifests/config"
)

// lookAtVolumes looks at the host paths that the pods are going to mount: only the manifests, patches applied, name them.
// Manifests that cannot be made are an error later, and their volumes do not matter.
func (f *Facts) lookAtVolumes(cfg config.Config) {
	cfg = cfg.Complete(f.HostFacts(cfg))
	if len(cfg.Validate()) > 0 || f.PatchesError != nil || f.AccountsError != nil {
		return
	}
	files, err := manifests.Render(cfg, f.ManifestsHost(cfg))
	if err != nil {
		return
	}
	files, _, _ = manifests.ApplyPatches(files, f.Patches)
	l := looker{follow: true, files: f.Files}
	for _, file := range files {
		for _, v := range manifests.HostPaths(file) {
			if filepath.IsAbs(v.HostPath.Path) {
				l.path(filepath.Clean(v.HostPath.Path))
			}
		}
	}
}
