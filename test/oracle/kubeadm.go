// Command oracle is the unmodified kubeadm: the test beside it compares what
// kubecrank renders with what kubeadm makes of the same configuration.
//
// The module has one go.mod per Kubernetes minor (go.mod is 1.36), picked by
// the Makefile with -modfile; each builds bin/kubeadm-v1.NN.
package main

import (
	"k8s.io/kubernetes/cmd/kubeadm/app"
	utilerrors "k8s.io/kubernetes/cmd/kubeadm/app/util/errors"
)

func main() {
	utilerrors.HandleError(app.Run())
}
