//go:build oracle

package kubeadm

import (
	"path/filepath"
	"testing"
)

// externalCA is what somebody who has the CA's key has to provide: all that
// kubecrank would have made, kubelet.conf too, without that key.
func externalCA(t *testing.T, c prepared) map[string]written {
	t.Helper()
	c.runtime, c.host = "kubelet", host{}
	made, err := kubecrank(c)
	if err != nil {
		t.Fatal(err)
	}
	for path := range made.files {
		if path == filepath.Join(c.pki, "ca.key") || made.isManifest(path) {
			delete(made.files, path)
		}
	}
	return made.files
}
