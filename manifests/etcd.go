package manifests

import (
	"path"
	"strings"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// etcdPod is the local etcd.
func etcdPod(cfg config.Config, host Host) pod {
	metrics := cfg.EtcdMetrics()
	mounts := []config.HostPathMount{ // in kubeadm's order, which is not that of the names
		samePath("etcd-data", cfg.Etcd.DataDir, false, dirOrCreate),
		samePath("etcd-certs", path.Join(cfg.CertificatesDir, "etcd"), false, dirOrCreate),
	}
	return pod{
		Name:            Etcd,
		Image:           cfg.EtcdImage(),
		Address:         url("https", cfg.Node.AdvertiseAddress.String(), cfg.Ports().EtcdClient),
		Command:         command(Etcd, etcdArgs(cfg), cfg.Etcd.ExtraArgs),
		Env:             envVars(cfg.Etcd.ExtraEnvs),
		Port:            int32(metrics.Port),
		ProbeHost:       metrics.Host,
		ProbeScheme:     strings.ToUpper(metrics.Scheme),
		StartupFailures: startupFailures(cfg),
		VolumeMounts:    volumeMounts(mounts),
		Volumes:         volumes(byName(mounts)),
		Users:           host.Users,
	}
}

func etcdArgs(cfg config.Config) []config.Arg {
	ports, address := cfg.Ports(), cfg.Node.AdvertiseAddress.String()
	pki := path.Join(cfg.CertificatesDir, "etcd")
	client, peer := url("https", address, ports.EtcdClient), url("https", address, ports.EtcdPeer)
	listen := url("https", cfg.Loopback().String(), ports.EtcdClient)
	if listen != client { // kubeadm refuses a loopback address as the advertise address, we do not
		listen += "," + client
	}
	args := []config.Arg{
		arg("name", cfg.Node.Name),
		arg("listen-client-urls", listen),
		arg("advertise-client-urls", client),
		arg("listen-peer-urls", peer),
		arg("initial-advertise-peer-urls", peer),
		arg("initial-cluster", initialCluster(cfg, peer)),
		arg("data-dir", cfg.Etcd.DataDir),
		arg("cert-file", path.Join(pki, "server.crt")),
		arg("key-file", path.Join(pki, "server.key")),
		arg("trusted-ca-file", path.Join(pki, "ca.crt")),
		arg("client-cert-auth", "true"),
		arg("peer-cert-file", path.Join(pki, "peer.crt")),
		arg("peer-key-file", path.Join(pki, "peer.key")),
		arg("peer-trusted-ca-file", path.Join(pki, "ca.crt")),
		arg("peer-client-cert-auth", "true"),
		arg("snapshot-count", "10000"),
		arg("listen-metrics-urls", url("http", cfg.Loopback().String(), ports.EtcdMetrics)),
	}
	if cfg.EtcdHasExperimentalFlags() {
		return append(args, arg("experimental-initial-corrupt-check", "true"),
			arg("experimental-watch-progress-notify-interval", "5s"))
	}
	return append(args, arg("feature-gates", "InitialCorruptCheck=true"),
		arg("watch-progress-notify-interval", "5s"))
}

// initialCluster is this member alone, with the name and the URLs of the extra arguments if they have them.
func initialCluster(cfg config.Config, peer string) string {
	name, urls := cfg.Node.Name, peer
	if own, ok := config.ArgValue(cfg.Etcd.ExtraArgs, "name"); ok {
		name = own
	}
	if own, ok := config.ArgValue(cfg.Etcd.ExtraArgs, "initial-advertise-peer-urls"); ok {
		urls = own
	}
	return name + "=" + strings.ReplaceAll(urls, ",", ","+name+"=")
}
