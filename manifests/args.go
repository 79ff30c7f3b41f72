package manifests

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// command is the program and its arguments: the defaults sorted by name, then
// the user's in the order given. A name that the user gives removes the default
// of that name (kubeadm's util/arguments.go, ArgumentsToCommand).
func command(name string, defaults, extra []config.Arg) []string {
	given := map[string]bool{}
	for _, a := range extra {
		given[a.Name] = true
	}
	slices.SortFunc(defaults, func(a, b config.Arg) int { return cmp.Compare(a.Name, b.Name) })
	out := []string{name}
	for _, a := range defaults {
		if !given[a.Name] {
			out = append(out, "--"+a.Name+"="+a.Value)
		}
	}
	for _, a := range extra {
		out = append(out, "--"+a.Name+"="+a.Value)
	}
	return out
}

func etcdArgs(cfg config.Config) []config.Arg {
	ports, address := cfg.Ports(), cfg.Node.AdvertiseAddress.String()
	pki := path.Join(cfg.CertificatesDir, "etcd")
	client, peer := url("https", address, ports.EtcdClient), url("https", address, ports.EtcdPeer)
	listen := url("https", cfg.Loopback().String(), ports.EtcdClient)
	if listen != client { // the advertise address may be the loopback address, unlike kubeadm's
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

// initialCluster is this member alone, by the name and the URLs that the user may have given it.
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
	// kube-apiserver writes its address into the endpoints of the Service "kubernetes", whose validation
	// refuses a loopback address every ten seconds (ValidateEndpointIP in pkg/apis/core/validation).
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

func controllerManagerArgs(cfg config.Config, host Host) []config.Arg {
	pki := func(name string) string { return path.Join(cfg.CertificatesDir, name) }
	signingCert, signingKey := pki("ca.crt"), pki("ca.key")
	if host.ExternalCA { // then the controller that signs CSRs does not start
		signingCert, signingKey = "", ""
	}
	args := append(clientArgs(cfg, "controller-manager"),
		arg("client-ca-file", pki("ca.crt")),
		arg("cluster-signing-cert-file", signingCert),
		arg("cluster-signing-key-file", signingKey),
		arg("controllers", "*,bootstrapsigner,tokencleaner"),
		arg("requestheader-client-ca-file", pki("front-proxy-ca.crt")),
		arg("root-ca-file", pki("ca.crt")),
		arg("service-account-private-key-file", pki("sa.key")),
		arg("use-service-account-credentials", "true"),
	)
	if cfg.ClusterName != "" {
		args = append(args, arg("cluster-name", cfg.ClusterName))
	}
	if len(cfg.Networking.PodSubnets) > 0 {
		args = append(args,
			arg("allocate-node-cidrs", "true"),
			arg("cluster-cidr", config.JoinSubnets(cfg.Networking.PodSubnets)),
			arg("service-cluster-ip-range", config.JoinSubnets(cfg.Networking.ServiceSubnets)))
	}
	if cfg.PortOffset != 0 {
		args = append(args, arg("secure-port", strconv.Itoa(cfg.Ports().ControllerManager)))
	}
	if ownFlexVolumes(cfg) {
		args = append(args, arg(flexVolumeFlag, cfg.Paths().FlexVolumes))
	}
	return args
}

func schedulerArgs(cfg config.Config) []config.Arg {
	args := clientArgs(cfg, "scheduler")
	if cfg.PortOffset != 0 {
		args = append(args, arg("secure-port", strconv.Itoa(cfg.Ports().Scheduler)))
	}
	return args
}

// clientArgs are those of a client of the API server that has a kubeconfig.
func clientArgs(cfg config.Config, name string) []config.Arg {
	kubeconfig := cfg.Paths().Kubeconfig(name)
	return []config.Arg{
		arg("authentication-kubeconfig", kubeconfig),
		arg("authorization-kubeconfig", kubeconfig),
		arg("bind-address", "127.0.0.1"),
		arg("kubeconfig", kubeconfig),
		arg("leader-elect", "true"),
	}
}

func arg(name, value string) config.Arg { return config.Arg{Name: name, Value: value} }

func url(scheme, host string, port int) string {
	return scheme + "://" + config.JoinHostPort(host, port)
}
