package phases

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// kubernetesVersion is kubeadm's KubernetesVersionCheck: it compares with the
// components that are to run, where kubeadm can only compare with itself. It is
// for a dry-run, which takes every version: a run has refused another one before.
func kubernetesVersion(s *State) []plan.Check {
	const name = "KubernetesVersion"
	want, have := s.Config.KubernetesVersion, s.Payload.Version
	if have == "" || have == want {
		return ok(name, "")
	}
	return warning(name, fmt.Sprintf("the configuration is for Kubernetes %s, the components are %s: init refuses that", want, have),
		"give components of that version with --components-dir, or leave out kubernetesVersion")
}

// firewalld is kubeadm's FirewalldCheck.
func firewalld(s *State) []plan.Check {
	const name = "Firewalld"
	if !s.Facts.Firewalld || s.Config.Node.AdvertiseAddress.IsLoopback() {
		return ok(name, "")
	}
	p := s.Config.Ports()
	ports := []int{p.APIServer}
	if s.Config.Etcd.External == nil {
		ports = append(ports, p.EtcdClient, p.EtcdPeer)
	}
	return warning(name, "firewalld is active, and may keep other machines from this control plane",
		fmt.Sprintf("open the ports %s", strings.Trim(fmt.Sprint(ports), "[]")))
}

// swap is kubeadm's SwapCheck. A throw-away below a root is spared it.
func swap(s *State) []plan.Check {
	const name = "Swap"
	if !s.Facts.Swap || s.Config.Root != "" {
		return ok(name, "")
	}
	return warning(name,
		"swap is on: etcd misses its heartbeats when it is swapped out, and a kubelet does not start beside swap unless it is told to",
		"turn it off with 'swapoff -a' and in /etc/fstab")
}

// The oldest kernel of kubeadm's SystemVerification is also the oldest whose processes can be watched through pidfds.
const minKernel = "5.4"

// kernel is what of kubeadm's SystemVerificationCheck does not concern containers.
func kernel(s *State) []plan.Check {
	const name = "SystemVerification"
	have, err := version.ParseGeneric(s.Facts.KernelRelease)
	if err != nil || have.AtLeast(version.MustParseGeneric(minKernel)) {
		return ok(name, "")
	}
	return failed(name, "unsupported kernel release: "+s.Facts.KernelRelease, "use Linux "+minKernel+" or newer")
}

// hostname is kubeadm's HostnameCheck; the form of the name is the configuration's business.
func hostname(s *State) []plan.Check {
	const name = "Hostname"
	switch p := s.Facts.Probed; {
	case p.NameKnown:
		return ok(name, "")
	case p.NameError == "":
		return nil
	}
	return warning(name, fmt.Sprintf("hostname %q could not be reached: %s", s.Config.Node.Name, s.Facts.Probed.NameError),
		"add it to DNS or /etc/hosts, so that other machines and a later kubelet find this one")
}

// noKubelet is kubeadm's check of a kubelet's port. A kubelet that runs here has the same manifests before it as our supervisor.
func noKubelet(s *State) []plan.Check {
	name := fmt.Sprintf("Port-%d", facts.KubeletPort)
	holder, taken := s.Facts.Ports[facts.KubeletPort]
	if !taken || holder.Program != "kubelet" || s.Config.Root != "" {
		return ok(name, "")
	}
	return failed(name, fmt.Sprintf("a kubelet runs here (PID %d): it would start the pods of %s a second time", holder.PID,
		s.Paths.Manifests), "stop and disable it: 'systemctl disable --now kubelet'")
}

// externalEtcdVersion is kubeadm's ExternalEtcdVersionCheck.
func externalEtcdVersion(s *State) []plan.Check {
	const name = "ExternalEtcdVersion"
	const oldest = "3.5.24-0" // MinExternalEtcdVersion of 1.34 to 1.36
	var checks []plan.Check
	for _, etcd := range s.Facts.Probed.Etcd {
		have, err := version.ParseSemantic(etcd.Version)
		switch {
		case etcd.Error != "":
			checks = append(checks, failed(name, fmt.Sprintf("etcd at %s cannot be asked for its version: %s", etcd.Endpoint, etcd.Error),
				"start it, or correct etcd.external in the configuration")...)
		case err != nil:
			checks = append(checks, failed(name, fmt.Sprintf("etcd at %s has no version that can be understood: %q", etcd.Endpoint,
				etcd.Version), "correct etcd.external.endpoints")...)
		case have.LessThan(version.MustParseSemantic(oldest)):
			checks = append(checks, failed(name, fmt.Sprintf("etcd at %s is version %s, older than %s", etcd.Endpoint, etcd.Version,
				oldest), "update it first")...)
		default:
			checks = append(checks, ok(name, "")...)
		}
	}
	return checks
}

// externalEtcdFiles is kubeadm's check ExternalEtcdClientCertificates.
func externalEtcdFiles(s *State) []plan.Check {
	const name = "ExternalEtcdClientCertificates"
	e := s.Config.Etcd.External
	if e == nil {
		return nil
	}
	var checks []plan.Check
	for _, file := range []string{e.CAFile, e.CertFile, e.KeyFile} {
		if file == "" {
			continue
		}
		if s.Facts.Look(file).Kind == resource.Absent {
			checks = append(checks, failed(name, file+" doesn't exist", "put it there, or correct etcd.external in the configuration")...)
		} else {
			checks = append(checks, ok(name, "")...)
		}
	}
	return checks
}

// fsyncLatency holds the disk to what etcd's documentation asks for. One slow write among others is no verdict.
func fsyncLatency(s *State) []plan.Check {
	took := slices.Sorted(slices.Values(s.Facts.Probed.Fsyncs))
	if len(took) == 0 {
		return nil
	}
	name := s.label("FsyncLatency", s.Paths.EtcdData)
	slow := 0
	for _, d := range took {
		if d > facts.SlowFsync {
			slow++
		}
	}
	rank := int(math.Ceil(0.99 * float64(len(took))))
	text := fmt.Sprintf("a write to the disk of %s takes %s at the 99th percentile of %d", s.Paths.EtcdData,
		took[rank-1].Round(10*time.Microsecond), len(took))
	if slow < 2 && slow < len(took) {
		return ok(name, text)
	}
	return warning(name, text+fmt.Sprintf(", and etcd wants less than %s", facts.SlowFsync),
		"put etcd's data on a faster disk, or one that nobody else writes to (etcd.local.dataDir)")
}

// clock: certificates are for a time, and others hold this machine's clock against theirs.
func clock(s *State) []plan.Check {
	const name, remedy = "Clock", "set the clock, or have a time server set it (chrony, systemd-timesyncd)"
	now := s.Facts.Now
	form := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
	if released := config.Released(); now.Before(released) {
		return warning(name, fmt.Sprintf("it is %s by the clock, and the components are of %s", form(now), form(released)), remedy)
	}
	for _, spec := range pki.Specs(s.Config) {
		if !spec.IsCA() {
			continue
		}
		file := filepath.Join(s.Paths.PKI, spec.CertFile())
		ca, err := pki.Load(s.Facts.Look(file).Data, nil)
		if err == nil && now.Before(ca.Certificate().NotBefore) {
			return warning(name, fmt.Sprintf("it is %s by the clock, and %s is valid from %s on", form(now), file,
				form(ca.Certificate().NotBefore)), remedy)
		}
	}
	if s.Facts.ClockUnsynchronized && !s.Config.Node.AdvertiseAddress.IsLoopback() {
		return warning(name, "no time server sets this machine's clock", "run one of chrony, ntpd, systemd-timesyncd")
	}
	return ok(name, "")
}

// What the kernel has to allow. A container engine's defaults are far above.
const (
	fewestFiles = 1024 // etcd and the API server have some hundreds open from the start
	enoughFiles = 8192 // 4096, the default of systemd before 240, is not enough for a few hundred nodes
	// The kernel's own defaults are 128 and 8192; the components take some twenty instances and some hundred watches.
	enoughInstances = 64
	enoughWatches   = 4096
)

func openFiles(s *State) []plan.Check {
	const name = "OpenFiles"
	switch n := s.Facts.Limits.OpenFiles; {
	case n < fewestFiles:
		return failed(name, fmt.Sprintf("a process may have %d files open, and the API server needs %d", n, fewestFiles), filesRemedy)
	case n < enoughFiles:
		return warning(name, fmt.Sprintf("a process may have %d files open; a larger cluster needs %d", n, enoughFiles), filesRemedy)
	}
	return ok(name, "")
}

const filesRemedy = "raise the hard limit: 'ulimit -Hn', LimitNOFILE= of a systemd unit, or /etc/security/limits.conf"

// inotify: the supervisor has its manifests watched, and the components their certificates. Without, changes are seen later.
func inotify(s *State) []plan.Check {
	const name = "Inotify"
	l := s.Facts.Limits
	few := func(what string, n, enough uint64) []plan.Check {
		return warning(name, fmt.Sprintf("fs.inotify.%s is %d, less than %d", what, n, enough),
			fmt.Sprintf("sysctl -w fs.inotify.%s=%d", what, 2*enough))
	}
	switch {
	case l.InotifyError != "":
		return warning(name, "this user cannot watch one more file ("+l.InotifyError+"): changes are seen seconds later",
			fmt.Sprintf("sysctl -w fs.inotify.max_user_instances=%d fs.inotify.max_user_watches=%d", max(2*l.InotifyInstances, 1024),
				max(2*l.InotifyWatches, 65536)))
	case l.InotifyInstances > 0 && l.InotifyInstances < enoughInstances:
		return few("max_user_instances", l.InotifyInstances, enoughInstances)
	case l.InotifyWatches > 0 && l.InotifyWatches < enoughWatches:
		return few("max_user_watches", l.InotifyWatches, enoughWatches)
	}
	return ok(name, "")
}
