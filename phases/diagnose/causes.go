package diagnose

import "slices"

// The programs that some causes are about.
const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
)

// Causes is the table of all known causes. Where two fit equally well, the
// first one counts: what names its object comes before what is more general.
func Causes() []Cause {
	return slices.Concat(programCauses(), processCauses(), flagCauses(), netCauses(), diskCauses(), etcdCauses(), clockCauses(),
		certCauses(), fileCauses(), managerCauses(), refusedCauses(), waitingCauses())
}
