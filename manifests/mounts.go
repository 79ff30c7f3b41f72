package manifests

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/manifests/config"
)

const (
	dirOrCreate  = string(corev1.HostPathDirectoryOrCreate)
	fileOrCreate = string(corev1.HostPathFileOrCreate)
	sslCerts     = "/etc/ssl/certs"
)

// etcdMounts are in kubeadm's order, which is not that of the names.
func etcdMounts(cfg config.Config) []config.HostPathMount {
	return []config.HostPathMount{
		samePath("etcd-data", cfg.Etcd.DataDir, false, dirOrCreate),
		samePath("etcd-certs", path.Join(cfg.CertificatesDir, "etcd"), false, dirOrCreate),
	}
}

func apiServerMounts(cfg config.Config, host Host) []config.HostPathMount {
	mounts := certificateMounts(cfg, host)
	return withExtra(append(mounts, externalEtcdMounts(cfg, mounts)...), cfg.APIServer.ExtraVolumes)
}

func controllerManagerMounts(cfg config.Config, host Host) []config.HostPathMount {
	mounts := append(certificateMounts(cfg, host), samePath("kubeconfig", cfg.Paths().Kubeconfig("controller-manager"), true,
		fileOrCreate))
	if cfg.Minor() < 36 { // kubeadm 1.36 has dropped it
		dir, ok := config.ArgValue(cfg.ControllerManager.ExtraArgs, flexVolumeFlag)
		if !ok {
			dir = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec"
			if ownFlexVolumes(cfg) {
				dir = cfg.Paths().FlexVolumes
			}
		}
		mounts = append(mounts, samePath("flexvolume-dir", dir, false, dirOrCreate))
	}
	return withExtra(mounts, cfg.ControllerManager.ExtraVolumes)
}

const flexVolumeFlag = "flex-volume-plugin-dir"

// ownFlexVolumes reports whether the controller manager would make its
// directory of FlexVolume drivers on the host, and is given one of ours: it
// makes a missing one when it starts, and ends if it cannot
// (pkg/volume/flexvolume/probe.go). In a container that stays in the container.
func ownFlexVolumes(cfg config.Config) bool {
	return cfg.Runtime == config.RuntimeProcess || cfg.Root != ""
}

func schedulerMounts(cfg config.Config) []config.HostPathMount {
	mounts := []config.HostPathMount{samePath("kubeconfig", cfg.Paths().Kubeconfig("scheduler"), true, fileOrCreate)}
	return withExtra(mounts, cfg.Scheduler.ExtraVolumes)
}

// certificateMounts are the cluster's certificates and the host's CAs. With a
// root the host's are left out: nothing outside of the root is read.
func certificateMounts(cfg config.Config, host Host) []config.HostPathMount {
	mounts := []config.HostPathMount{samePath("k8s-certs", cfg.CertificatesDir, true, dirOrCreate)}
	if cfg.Root != "" {
		return mounts
	}
	mounts = append(mounts, samePath("ca-certs", sslCerts, true, dirOrCreate))
	for _, dir := range host.CADirs {
		if slices.Contains(OptionalCADirs(), dir) {
			mounts = append(mounts, samePath(strings.ReplaceAll(dir[1:], "/", "-"), dir, true, dirOrCreate))
		}
	}
	return mounts
}

// externalEtcdMounts mount the directories of an external etcd's certificates
// that no other mount covers, the parents only. kubeadm compares prefixes of
// names, so that of /a/pki and /a/pki-etcd it mounts one, and it takes CA
// directories for mounted that are not there.
func externalEtcdMounts(cfg config.Config, others []config.HostPathMount) []config.HostPathMount {
	e := cfg.Etcd.External
	if e == nil {
		return nil
	}
	var dirs []string
	for _, file := range []string{e.CAFile, e.CertFile, e.KeyFile} {
		if file == "" || slices.ContainsFunc(others, func(m config.HostPathMount) bool { return below(m.HostPath, file) }) {
			continue
		}
		dirs = append(dirs, path.Dir(file))
	}
	slices.Sort(dirs)
	var mounts []config.HostPathMount
	for i, dir := range slices.Compact(dirs) {
		if slices.ContainsFunc(dirs[:i], func(d string) bool { return below(d, dir) }) {
			continue
		}
		mounts = append(mounts, samePath(fmt.Sprintf("etcd-certs-%d", len(mounts)), dir, true, dirOrCreate))
	}
	return mounts
}

func below(dir, p string) bool { return strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/") }

func samePath(name, p string, readOnly bool, pathType string) config.HostPathMount {
	return config.HostPathMount{Name: name, HostPath: p, MountPath: p, ReadOnly: readOnly, PathType: pathType}
}

// withExtra sorts by name; an extra volume replaces a default one of its name.
func withExtra(mounts, extra []config.HostPathMount) []config.HostPathMount {
	merged := map[string]config.HostPathMount{}
	for _, m := range slices.Concat(mounts, extra) {
		merged[m.Name] = m
	}
	out := make([]config.HostPathMount, 0, len(merged))
	for _, m := range merged {
		out = append(out, m)
	}
	return byName(out)
}

func byName(mounts []config.HostPathMount) []config.HostPathMount {
	return slices.SortedFunc(slices.Values(mounts), func(a, b config.HostPathMount) int { return cmp.Compare(a.Name, b.Name) })
}
