package manifests

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/pathname"
)

func apiServerPod(cfg config.Config, host Host) pod {
	address, port := cfg.Node.AdvertiseAddress.String(), cfg.Ports().APIServer
	mounts := certificateMounts(cfg, host)
	mounts = withExtra(append(mounts, externalEtcdMounts(cfg, mounts)...), cfg.APIServer.ExtraVolumes)
	p := pod{
		Name:            APIServer,
		Image:           cfg.Image(APIServer),
		Address:         config.JoinHostPort(address, port),
		Command:         command(APIServer, apiServerArgs(cfg), cfg.APIServer.ExtraArgs),
		Env:             envVars(host.ProxyEnv, cfg.APIServer.ExtraEnvs),
		Port:            int32(port),
		ProbeHost:       probeHost(address),
		StartupFailures: startupFailures(cfg),
		VolumeMounts:    volumeMounts(mounts),
		Volumes:         volumes(mounts),
		Users:           host.Users,
	}
	if cfg.Etcd.External == nil {
		p.StopBefore = Etcd // an API server that loses etcd first hangs in its own shutdown
	}
	return p
}

func apiServerArgs(cfg config.Config) []config.Arg {
	pki := func(name string) string { return path.Join(cfg.CertificatesDir, name) }
	args := []config.Arg{
		arg("advertise-address", cfg.Node.AdvertiseAddress.String()),
		arg("allow-privileged", "true"),
		arg("client-ca-file", pki("ca.crt")),
		arg("enable-admission-plugins", "NodeRestriction"),
		arg("enable-bootstrap-token-auth", "true"),
		arg("kubelet-client-certificate", pki("apiserver-kubelet-client.crt")),
		arg("kubelet-client-key", pki("apiserver-kubelet-client.key")),
		arg("kubelet-preferred-address-types", "InternalIP,ExternalIP,Hostname"),
		arg("proxy-client-cert-file", pki("front-proxy-client.crt")),
		arg("proxy-client-key-file", pki("front-proxy-client.key")),
		arg("requestheader-allowed-names", "front-proxy-client"),
		arg("requestheader-client-ca-file", pki("front-proxy-ca.crt")),
		arg("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
		arg("requestheader-group-headers", "X-Remote-Group"),
		arg("requestheader-username-headers", "X-Remote-User"),
		arg("secure-port", strconv.Itoa(cfg.Ports().APIServer)),
		arg("service-account-issuer", "https://kubernetes.default.svc."+cfg.Networking.DNSDomain),
		arg("service-account-key-file", pki("sa.pub")),
		arg("service-account-signing-key-file", pki("sa.key")),
		arg("service-cluster-ip-range", config.JoinSubnets(cfg.Networking.ServiceSubnets)),
		arg("tls-cert-file", pki("apiserver.crt")),
		arg("tls-private-key-file", pki("apiserver.key")),
	}
	// The two exclude each other.
	if _, ok := config.ArgValue(cfg.APIServer.ExtraArgs, "authorization-config"); !ok {
		args = append(args, arg("authorization-mode", "Node,RBAC"))
	}
	// kube-apiserver writes its address into the endpoints of the Service "kubernetes". Their validation
	// refuses a loopback address, every ten seconds (ValidateEndpointIP in pkg/apis/core/validation).
	if cfg.Node.AdvertiseAddress.IsLoopback() {
		args = append(args, arg("endpoint-reconciler-type", "none"))
	}
	return append(args, etcdClientArgs(cfg)...)
}

// etcdClientArgs tell kube-apiserver where etcd is.
func etcdClientArgs(cfg config.Config) []config.Arg {
	external := cfg.Etcd.External
	if external == nil {
		return []config.Arg{
			arg("etcd-servers", cfg.EtcdServers()),
			arg("etcd-cafile", path.Join(cfg.CertificatesDir, "etcd/ca.crt")),
			arg("etcd-certfile", path.Join(cfg.CertificatesDir, "apiserver-etcd-client.crt")),
			arg("etcd-keyfile", path.Join(cfg.CertificatesDir, "apiserver-etcd-client.key")),
		}
	}
	args := []config.Arg{arg("etcd-servers", strings.Join(external.Endpoints, ","))}
	if external.CAFile != "" {
		args = append(args, arg("etcd-cafile", external.CAFile))
	}
	if external.CertFile != "" && external.KeyFile != "" {
		args = append(args, arg("etcd-certfile", external.CertFile), arg("etcd-keyfile", external.KeyFile))
	}
	return args
}

// externalEtcdMounts mount the directories of an external etcd's certificates
// that no other mount covers, the outermost ones only. kubeadm compares prefixes
// of names: of /a/pki and /a/pki-etcd it mounts one only. It also counts CA
// directories as mounted that do not exist.
func externalEtcdMounts(cfg config.Config, others []config.HostPathMount) []config.HostPathMount {
	e := cfg.Etcd.External
	if e == nil {
		return nil
	}
	var dirs []string
	for _, file := range []string{e.CAFile, e.CertFile, e.KeyFile} {
		covered := func(m config.HostPathMount) bool { return pathname.Below(m.HostPath, file) }
		if file != "" && !slices.ContainsFunc(others, covered) {
			dirs = append(dirs, path.Dir(file))
		}
	}
	slices.Sort(dirs)
	dirs = slices.Compact(dirs)
	var mounts []config.HostPathMount
	for i, dir := range dirs {
		if !slices.ContainsFunc(dirs[:i], func(outer string) bool { return pathname.Below(outer, dir) }) {
			mounts = append(mounts, samePath(fmt.Sprintf("etcd-certs-%d", len(mounts)), dir, true, dirOrCreate))
		}
	}
	return mounts
}
