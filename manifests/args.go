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
		{Name: "name", Value: cfg.Node.Name},
		{Name: "listen-client-urls", Value: listen},
		{Name: "advertise-client-urls", Value: client},
		{Name: "listen-peer-urls", Value: peer},
		{Name: "initial-advertise-peer-urls", Value: peer},
		{Name: "initial-cluster", Value: cfg.Node.Name + "=" + peer},
		{Name: "data-dir", Value: cfg.Etcd.DataDir},
		{Name: "cert-file", Value: path.Join(pki, "server.crt")},
		{Name: "key-file", Value: path.Join(pki, "server.key")},
		{Name: "trusted-ca-file", Value: path.Join(pki, "ca.crt")},
		{Name: "client-cert-auth", Value: "true"},
		{Name: "peer-cert-file", Value: path.Join(pki, "peer.crt")},
		{Name: "peer-key-file", Value: path.Join(pki, "peer.key")},
		{Name: "peer-trusted-ca-file", Value: path.Join(pki, "ca.crt")},
		{Name: "peer-client-cert-auth", Value: "true"},
		{Name: "snapshot-count", Value: "10000"},
		{Name: "listen-metrics-urls", Value: url("http", cfg.Loopback().String(), ports.EtcdMetrics)},
	}
	if cfg.EtcdHasExperimentalFlags() {
		return append(args, config.Arg{Name: "experimental-initial-corrupt-check", Value: "true"},
			config.Arg{Name: "experimental-watch-progress-notify-interval", Value: "5s"})
	}
	return append(args, config.Arg{Name: "feature-gates", Value: "InitialCorruptCheck=true"},
		config.Arg{Name: "watch-progress-notify-interval", Value: "5s"})
}

func apiServerArgs(cfg config.Config) []config.Arg {
	pki := func(name string) string { return path.Join(cfg.CertificatesDir, name) }
	args := []config.Arg{
		{Name: "advertise-address", Value: cfg.Node.AdvertiseAddress.String()},
		{Name: "allow-privileged", Value: "true"},
		{Name: "client-ca-file", Value: pki("ca.crt")},
		{Name: "enable-admission-plugins", Value: "NodeRestriction"},
		{Name: "enable-bootstrap-token-auth", Value: "true"},
		{Name: "kubelet-client-certificate", Value: pki("apiserver-kubelet-client.crt")},
		{Name: "kubelet-client-key", Value: pki("apiserver-kubelet-client.key")},
		{Name: "kubelet-preferred-address-types", Value: "InternalIP,ExternalIP,Hostname"},
		{Name: "proxy-client-cert-file", Value: pki("front-proxy-client.crt")},
		{Name: "proxy-client-key-file", Value: pki("front-proxy-client.key")},
		{Name: "requestheader-allowed-names", Value: "front-proxy-client"},
		{Name: "requestheader-client-ca-file", Value: pki("front-proxy-ca.crt")},
		{Name: "requestheader-extra-headers-prefix", Value: "X-Remote-Extra-"},
		{Name: "requestheader-group-headers", Value: "X-Remote-Group"},
		{Name: "requestheader-username-headers", Value: "X-Remote-User"},
		{Name: "secure-port", Value: strconv.Itoa(cfg.Ports().APIServer)},
		{Name: "service-account-issuer", Value: "https://kubernetes.default.svc." + cfg.Networking.DNSDomain},
		{Name: "service-account-key-file", Value: pki("sa.pub")},
		{Name: "service-account-signing-key-file", Value: pki("sa.key")},
		{Name: "service-cluster-ip-range", Value: config.JoinSubnets(cfg.Networking.ServiceSubnets)},
		{Name: "tls-cert-file", Value: pki("apiserver.crt")},
		{Name: "tls-private-key-file", Value: pki("apiserver.key")},
	}
	// The two exclude each other.
	if _, ok := config.ArgValue(cfg.APIServer.ExtraArgs, "authorization-config"); !ok {
		args = append(args, config.Arg{Name: "authorization-mode", Value: "Node,RBAC"})
	}
	// kube-apiserver writes its address into the endpoints of the Service "kubernetes", whose validation
	// refuses a loopback address every ten seconds (ValidateEndpointIP in pkg/apis/core/validation).
	if cfg.Node.AdvertiseAddress.IsLoopback() {
		args = append(args, config.Arg{Name: "endpoint-reconciler-type", Value: "none"})
	}
	return append(args, etcdClientArgs(cfg)...)
}

// etcdClientArgs tell kube-apiserver where etcd is.
func etcdClientArgs(cfg config.Config) []config.Arg {
	external := cfg.Etcd.External
	if external == nil {
		servers := url("https", cfg.Loopback().String(), cfg.Ports().EtcdClient)
		if own, ok := config.ArgValue(cfg.Etcd.ExtraArgs, "advertise-client-urls"); ok {
			servers = own
		}
		return []config.Arg{
			{Name: "etcd-servers", Value: servers},
			{Name: "etcd-cafile", Value: path.Join(cfg.CertificatesDir, "etcd/ca.crt")},
			{Name: "etcd-certfile", Value: path.Join(cfg.CertificatesDir, "apiserver-etcd-client.crt")},
			{Name: "etcd-keyfile", Value: path.Join(cfg.CertificatesDir, "apiserver-etcd-client.key")},
		}
	}
	args := []config.Arg{{Name: "etcd-servers", Value: strings.Join(external.Endpoints, ",")}}
	if external.CAFile != "" {
		args = append(args, config.Arg{Name: "etcd-cafile", Value: external.CAFile})
	}
	if external.CertFile != "" && external.KeyFile != "" {
		args = append(args, config.Arg{Name: "etcd-certfile", Value: external.CertFile}, config.Arg{Name: "etcd-keyfile", Value: external.KeyFile})
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
		config.Arg{Name: "client-ca-file", Value: pki("ca.crt")},
		config.Arg{Name: "cluster-signing-cert-file", Value: signingCert},
		config.Arg{Name: "cluster-signing-key-file", Value: signingKey},
		config.Arg{Name: "controllers", Value: "*,bootstrapsigner,tokencleaner"},
		config.Arg{Name: "requestheader-client-ca-file", Value: pki("front-proxy-ca.crt")},
		config.Arg{Name: "root-ca-file", Value: pki("ca.crt")},
		config.Arg{Name: "service-account-private-key-file", Value: pki("sa.key")},
		config.Arg{Name: "use-service-account-credentials", Value: "true"},
	)
	if cfg.ClusterName != "" {
		args = append(args, config.Arg{Name: "cluster-name", Value: cfg.ClusterName})
	}
	if len(cfg.Networking.PodSubnets) > 0 {
		args = append(args,
			config.Arg{Name: "allocate-node-cidrs", Value: "true"},
			config.Arg{Name: "cluster-cidr", Value: config.JoinSubnets(cfg.Networking.PodSubnets)},
			config.Arg{Name: "service-cluster-ip-range", Value: config.JoinSubnets(cfg.Networking.ServiceSubnets)})
	}
	if cfg.PortOffset != 0 {
		args = append(args, config.Arg{Name: "secure-port", Value: strconv.Itoa(cfg.Ports().ControllerManager)})
	}
	if ownFlexVolumes(cfg) {
		args = append(args, config.Arg{Name: flexVolumeFlag, Value: cfg.Paths().FlexVolumes})
	}
	return args
}

func schedulerArgs(cfg config.Config) []config.Arg {
	args := clientArgs(cfg, "scheduler")
	if cfg.PortOffset != 0 {
		args = append(args, config.Arg{Name: "secure-port", Value: strconv.Itoa(cfg.Ports().Scheduler)})
	}
	return args
}

// clientArgs are those of a client of the API server that has a kubeconfig.
func clientArgs(cfg config.Config, name string) []config.Arg {
	kubeconfig := cfg.Paths().Kubeconfig(name)
	return []config.Arg{
		{Name: "authentication-kubeconfig", Value: kubeconfig},
		{Name: "authorization-kubeconfig", Value: kubeconfig},
		{Name: "bind-address", Value: "127.0.0.1"},
		{Name: "kubeconfig", Value: kubeconfig},
		{Name: "leader-elect", Value: "true"},
	}
}

func url(scheme, host string, port int) string {
	return scheme + "://" + config.JoinHostPort(host, port)
}
