package config

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func completed(root string) Config {
	return Default(root).Complete(HostFacts{Hostname: "Node-1", DefaultAddress: netip.MustParseAddr("10.1.2.3")})
}

func subnets(t *testing.T, s string) []netip.Prefix {
	t.Helper()
	out, err := ParseSubnets(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What kubeadm accepts and works must pass, or nobody can use their file.
func TestValidateAccepts(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"default":           func(c *Config) {},
		"loopback":          func(c *Config) { c.Node.AdvertiseAddress = netip.MustParseAddr("127.0.0.1") },
		"smallest services": func(c *Config) { c.Networking.ServiceSubnets = subnets(t, "10.96.0.0/28") },
		"largest services":  func(c *Config) { c.Networking.ServiceSubnets = subnets(t, "10.96.0.0/12") },
		"smallest pods":     func(c *Config) { c.Networking.PodSubnets = subnets(t, "10.244.0.0/24") },
		"largest pods":      func(c *Config) { c.Networking.PodSubnets = subnets(t, "20.0.0.0/8") },
		"dual stack":        func(c *Config) { c.Networking.ServiceSubnets = subnets(t, "10.96.0.0/16,fd00::/112") },
		"services of two families, pods of the first": func(c *Config) {
			c.Networking.ServiceSubnets, c.Networking.PodSubnets = subnets(t, "10.96.0.0/16,fd00::/112"), subnets(t, "10.244.0.0/16")
		},
		"pods more than needed": func(c *Config) { c.Networking.PodSubnets = subnets(t, "fd01::/48,10.244.0.0/16") },
		"IPv6": func(c *Config) {
			c.Node.AdvertiseAddress = netip.MustParseAddr("fd00::1")
			c.Networking.ServiceSubnets = subnets(t, "fd00:1::/108")
		},
		"own node mask": func(c *Config) {
			c.Networking.PodSubnets = subnets(t, "10.244.0.0/26")
			c.ControllerManager.ExtraArgs = []Arg{{"node-cidr-mask-size-ipv4", "28"}}
		},
		"no node subnets": func(c *Config) {
			c.Networking.PodSubnets = subnets(t, "10.244.0.0/28")
			c.ControllerManager.ExtraArgs = []Arg{{"allocate-node-cidrs", "false"}}
		},
		"endpoint":      func(c *Config) { c.ControlPlaneEndpoint = "lb.example.com:8443" },
		"IPv6 endpoint": func(c *Config) { c.ControlPlaneEndpoint = "[fd00::9]:6443" },
		"bare IPv6":     func(c *Config) { c.ControlPlaneEndpoint = "fd00::9" },
		"SANs": func(c *Config) {
			c.APIServer.CertSANs = []string{"a.example.com", "*.example.com", "192.0.2.1", "fd00::2"}
		},
		"repository":       func(c *Config) { c.ImageRepository = "Registry.example.com:5000/mirror-less/k8s_x" },
		"IPv6 repository":  func(c *Config) { c.ImageRepository = "[fd00::5]:5000" },
		"older Kubernetes": func(c *Config) { c.KubernetesVersion = "v1.34.0-rc.1" },
		"fieldRef": func(c *Config) {
			c.Scheduler.ExtraEnvs = []Env{{Name: "IP",
				ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.hostIP"}}}}
		},
		"same volume twice": func(c *Config) {
			v := HostPathMount{Name: "v", HostPath: "/a", MountPath: "/b"}
			c.Scheduler.ExtraVolumes = []HostPathMount{v, v}
		},
		"where all answer":         apiArg("bind-address", "0.0.0.0"),
		"etcd-servers with ours":   apiArg("etcd-servers", "https://e:2379,https://127.0.0.1:2379"),
		"the same data-dir":        etcdArg("data-dir", "/var/lib/etcd/"),
		"etcd elsewhere":           etcdArg("listen-client-urls", "https://127.0.0.1:4379,https://10.0.0.1:4379"),
		"no node masks":            managerArgs("10.244.0.0/20", "node-cidr-mask-size", "18", "controllers", "*,-node-ipam-controller"),
		"node masks are not asked": managerArgs("10.244.0.0/20", "node-cidr-mask-size", "18", "allocate-node-cidrs", "false"),
		"external etcd":            func(c *Config) { c.Etcd.External = &ExternalEtcd{Endpoints: []string{"http://10.0.0.1:2379"}} },
		"API server on etcd's port with external etcd": func(c *Config) {
			c.Etcd.External = &ExternalEtcd{Endpoints: []string{"http://10.0.0.1:2379"}}
			c.Node.BindPort = 2379
		},
		"all ignored": func(c *Config) { c.IgnorePreflightErrors = []string{"all"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := completed("")
			change(&c)
			for _, err := range c.Complete(HostFacts{}).Validate() {
				t.Error(err)
			}
		})
	}
	if errs := completed("/srv/a").Validate(); len(errs) > 0 {
		t.Error(errs)
	}
}

func etcdArg(name, value string) func(*Config) {
	return func(c *Config) { c.Etcd.ExtraArgs = []Arg{{name, value}} }
}

func apiArg(name, value string) func(*Config) {
	return func(c *Config) { c.APIServer.ExtraArgs = []Arg{{name, value}} }
}

func managerArgs(pods string, args ...string) func(*Config) {
	return func(c *Config) {
		c.Networking.PodSubnets, _ = ParseSubnets(pods)
		if len(c.Networking.PodSubnets) == 2 {
			c.Networking.ServiceSubnets, _ = ParseSubnets("10.96.0.0/16,fd00:1::/112")
		}
		for i := 0; i < len(args); i += 2 {
			c.ControllerManager.ExtraArgs = append(c.ControllerManager.ExtraArgs, Arg{args[i], args[i+1]})
		}
	}
}

// Each kind of bad input is found, named by its field, and comes alone.
func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	external := func(e ExternalEtcd) func(*Config) { return func(c *Config) { c.Etcd.External = &e } }
	for _, tc := range []struct {
		name, field, problem string
		change               func(*Config)
	}{
		{"relative root", "root", "not an absolute path", func(c *Config) { *c = completed("srv/x") }},
		{"root with colon", "root", "colon", func(c *Config) { *c = completed("/srv/a:b") }},
		{"cert dir outside", "certificatesDir", "outside of the root", func(c *Config) {
			*c = completed("/srv/a")
			c.CertificatesDir = "/etc/kubernetes/pki"
		}},
		{"root is only a prefix", "certificatesDir", "outside of the root", func(c *Config) {
			*c = completed("/srv/a")
			c.CertificatesDir = "/srv/ab/pki"
		}},
		{"relative cert dir", "certificatesDir", "not an absolute path", func(c *Config) { c.CertificatesDir = "pki" }},
		{"unclean cert dir", "certificatesDir", "not a clean path", func(c *Config) { c.CertificatesDir = "/etc/x/../pki" }},
		{"cert dir among manifests", "certificatesDir", "static pod directory", func(c *Config) {
			c.CertificatesDir = "/etc/kubernetes/manifests"
		}},
		{"cert dir above manifests", "certificatesDir", "static pod directory", func(c *Config) {
			c.CertificatesDir = "/etc/kubernetes"
		}},
		{"etcd in /", "etcd.local.dataDir", "overlaps", func(c *Config) { c.Etcd.DataDir = "/" }},
		{"etcd holds state", "etcd.local.dataDir", "overlaps", func(c *Config) { c.Etcd.DataDir = "/var/lib" }},
		{"etcd among certificates", "etcd.local.dataDir", "overlaps", func(c *Config) {
			c.CertificatesDir = "/pki"
			c.Etcd.DataDir = "/pki/etcd"
		}},
		{"relative components", "componentsDir", "not an absolute path", func(c *Config) { c.ComponentsDir = "bin" }},
		{"no node name", "nodeRegistration.name", "it is empty", func(c *Config) { c.Node.Name = "" }},
		{"node name", "nodeRegistration.name", "not a DNS name", func(c *Config) { c.Node.Name = "a_b" }},
		{"no address", "localAPIEndpoint.advertiseAddress", "no default route", func(c *Config) {
			c.Node.AdvertiseAddress = netip.Addr{}
		}},
		{"unspecified", "localAPIEndpoint.advertiseAddress", "every address", func(c *Config) {
			c.Node.AdvertiseAddress = netip.IPv4Unspecified()
		}},
		{"multicast", "localAPIEndpoint.advertiseAddress", "not the address of one machine", func(c *Config) {
			c.Node.AdvertiseAddress = netip.MustParseAddr("224.0.0.9")
		}},
		{"broadcast", "localAPIEndpoint.advertiseAddress", "not the address of one machine", func(c *Config) {
			c.Node.AdvertiseAddress = netip.MustParseAddr("255.255.255.255")
		}},
		{"link local", "localAPIEndpoint.advertiseAddress", "link-local", func(c *Config) {
			c.Node.AdvertiseAddress = netip.MustParseAddr("169.254.1.1")
		}},
		{"port 0", "localAPIEndpoint.bindPort", "not a port", func(c *Config) { c.Node.BindPort = 0 }},
		{"port too high", "localAPIEndpoint.bindPort", "not a port", func(c *Config) { c.Node.BindPort = 65536 }},
		{"port of etcd", "localAPIEndpoint.bindPort", "etcd (clients) and kube-apiserver", func(c *Config) { c.Node.BindPort = 2379 }},
		{"port of the scheduler", "localAPIEndpoint.bindPort", "kube-scheduler and kube-apiserver", func(c *Config) {
			c.Node.BindPort = 10259
		}},
		{"offset too large", "portOffset", "becomes 65793", func(c *Config) { c.PortOffset = 55536 }},
		{"offset too small", "portOffset", "becomes -621", func(c *Config) { c.PortOffset = -3000 }},
		{"offset onto another", "portOffset", "same port 10457", func(c *Config) {
			c.PortOffset = 200
			c.Scheduler.ExtraArgs = []Arg{{"secure-port", "10457"}}
		}},
		{"secure port", "controllerManager.extraArgs[0]", "not a port", func(c *Config) {
			c.ControllerManager.ExtraArgs = []Arg{{"secure-port", "0"}}
		}},
		{"API server's secure port", "apiServer.extraArgs[1]", "use the bind port 6443", func(c *Config) {
			c.APIServer.ExtraArgs = []Arg{{"v", "2"}, {"secure-port", "443"}}
		}},
		{"ignored", "nodeRegistration.ignorePreflightErrors", "together with", func(c *Config) {
			c.IgnorePreflightErrors = []string{"all", "swap"}
		}},
		{"no services", "networking.serviceSubnet", "it is empty", func(c *Config) { c.Networking.ServiceSubnets = nil }},
		{"services too small", "networking.serviceSubnet", "8 addresses", func(c *Config) {
			c.Networking.ServiceSubnets = subnets(t, "10.96.0.0/29")
		}},
		{"services too large", "networking.serviceSubnet", "at most a /12", func(c *Config) {
			c.Networking.ServiceSubnets = subnets(t, "10.0.0.0/11")
		}},
		{"services too large, IPv6", "networking.serviceSubnet", "at most a /108", func(c *Config) {
			c.Networking.ServiceSubnets = subnets(t, "10.96.0.0/16,fd00::/107")
		}},
		{"three services", "networking.serviceSubnet", "more than two", func(c *Config) {
			c.Networking.ServiceSubnets = subnets(t, "10.96.0.0/16,fd00::/112,10.97.0.0/16")
		}},
		{"two of one family", "networking.serviceSubnet", "both subnets are IPv4", func(c *Config) {
			c.Networking.ServiceSubnets = subnets(t, "10.96.0.0/16,10.97.0.0/16")
		}},
		{"overlap", "networking.serviceSubnet", "overlaps the pod subnet 10.96.0.0/14", func(c *Config) {
			c.Networking.PodSubnets = subnets(t, "10.96.0.0/14")
		}},
		{"IPv6 overlap", "networking.serviceSubnet", "overlaps the pod subnet fd00::/56", func(c *Config) {
			c.Networking.ServiceSubnets = subnets(t, "10.96.0.0/16,fd00::/112")
			c.Networking.PodSubnets = subnets(t, "10.244.0.0/16,fd00::/56")
		}},
		{"services of another family", "networking.serviceSubnet", "first subnet is IPv6", func(c *Config) {
			c.Networking.ServiceSubnets = subnets(t, "fd00::/112,10.96.0.0/16")
		}},
		{"pods of another family", "networking.podSubnet", "no IPv4 subnet", func(c *Config) {
			c.Networking.PodSubnets = subnets(t, "fd00::/56")
		}},
		{"pods too small", "networking.podSubnet", "smaller than one node's part", func(c *Config) {
			c.Networking.PodSubnets = subnets(t, "10.244.0.0/25")
		}},
		{"pods too large", "networking.podSubnet", "more than 16 bits", func(c *Config) {
			c.Networking.PodSubnets = subnets(t, "16.0.0.0/7")
		}},
		{"few pods", "networking.podSubnet", "8 addresses", func(c *Config) {
			c.Networking.PodSubnets = subnets(t, "10.244.0.0/29")
			c.ControllerManager.ExtraArgs = []Arg{{"node-cidr-mask-size-ipv4", "30"}}
		}},
		{"node mask", "controllerManager.extraArgs[0]", "not a mask size", func(c *Config) {
			c.Networking.PodSubnets = subnets(t, "10.244.0.0/16")
			c.ControllerManager.ExtraArgs = []Arg{{"node-cidr-mask-size-ipv4", "big"}}
		}},
		{"DNS domain", "networking.dnsDomain", "not a DNS name", func(c *Config) { c.Networking.DNSDomain = "Cluster.local" }},
		{"version label", "kubernetesVersion", "not a version", func(c *Config) { c.KubernetesVersion = "latest" }},
		{"old version", "kubernetesVersion", "only Kubernetes 1.34", func(c *Config) { c.KubernetesVersion = "v1.33.4" }},
		{"future version", "kubernetesVersion", "only Kubernetes 1.34", func(c *Config) { c.KubernetesVersion = "v2.36.0" }},
		{"version in parts", "kubernetesVersion", "not a version", func(c *Config) { c.KubernetesVersion = "v1.36" }},
		{"endpoint with scheme", "controlPlaneEndpoint", "looks like a URL", func(c *Config) { c.ControlPlaneEndpoint = "https://lb" }},
		{"endpoint port", "controlPlaneEndpoint", "port", func(c *Config) { c.ControlPlaneEndpoint = "lb:70000" }},
		{"endpoint in upper case", "controlPlaneEndpoint", "lower case", func(c *Config) { c.ControlPlaneEndpoint = "LB.example.com" }},
		{"half a bracket", "controlPlaneEndpoint", "neither", func(c *Config) { c.ControlPlaneEndpoint = "[fd00::1" }},
		{"SAN with port", "apiServer.certSANs[1]", "neither", func(c *Config) { c.APIServer.CertSANs = []string{"a", "b:1"} }},
		{"etcd SAN", "etcd.local.peerCertSANs[0]", "neither", func(c *Config) { c.Etcd.PeerCertSANs = []string{"*"} }},
		{"etcd server SAN", "etcd.local.serverCertSANs[0]", "neither", func(c *Config) { c.Etcd.ServerCertSANs = []string{""} }},
		{"algorithm", "encryptionAlgorithm", "no such algorithm", func(c *Config) { c.KeyAlgorithm = "RSA-1024" }},
		{"runtime", "runtime", "no such runtime", func(c *Config) { c.Runtime = "docker" }},
		{"repository with scheme", "imageRepository", "not an image repository", func(c *Config) {
			c.ImageRepository = "https://registry.k8s.io"
		}},
		{"empty repository", "imageRepository", "not an image repository", func(c *Config) { c.ImageRepository = "" }},
		{"etcd tag", "etcd.local.imageTag", "not an image tag", func(c *Config) { c.Etcd.ImageTag = "3.6 8" }},
		{"etcd repository", "etcd.local.imageRepository", "not an image repository", func(c *Config) { c.Etcd.ImageRepository = "a//b" }},
		{"feature gate", "featureGates", "no such feature gate", func(c *Config) { c.FeatureGates = map[string]bool{"X": true} }},
		{"feature gate that is gone", "featureGates", "no such feature gate", func(c *Config) {
			c.FeatureGates = map[string]bool{"WaitForAllControlPlaneComponents": true}
		}},
		{"leaf outlives CA", "certificateValidityPeriod", "longer", func(c *Config) { c.CertificateValidity = 200000 * time.Hour }},
		{"no validity", "certificateValidityPeriod", "not more than zero", func(c *Config) { c.CertificateValidity = 0 }},
		{"no timeout", "timeouts.etcdAPICall", "not more than zero", func(c *Config) { c.Timeouts.EtcdAPICall = 0 }},
		{"arg without name", "scheduler.extraArgs[0]", "no name", func(c *Config) { c.Scheduler.ExtraArgs = []Arg{{"", "x"}} }},
		{"arg with dashes", "apiServer.extraArgs[1]", "starts with a dash", func(c *Config) {
			c.APIServer.ExtraArgs = []Arg{{"v", "1"}, {"--v", "2"}}
		}},
		{"arg with equals", "controllerManager.extraArgs[0]", "cannot", func(c *Config) {
			c.ControllerManager.ExtraArgs = []Arg{{"v=2", ""}}
		}},
		{"arg that prints help", "scheduler.extraArgs[0]", "prints a text and exits", func(c *Config) {
			c.Scheduler.ExtraArgs = []Arg{{"help", "true"}}
		}},
		{"arg that prints the version", "etcd.local.extraArgs[0]", "prints a text and exits", func(c *Config) {
			c.Etcd.ExtraArgs = []Arg{{"version", "true"}}
		}},
		{"arg with NUL", "etcd.local.extraArgs[0]", "NUL", func(c *Config) { c.Etcd.ExtraArgs = []Arg{{"a", "b\x00"}} }},
		{"env name", "etcd.local.extraEnvs[0]", "not the name", func(c *Config) { c.Etcd.ExtraEnvs = []Env{{Name: "a=b"}} }},
		{"env value", "scheduler.extraEnvs[0]", "UTF-8", func(c *Config) { c.Scheduler.ExtraEnvs = []Env{{Name: "A", Value: "\xff"}} }},
		{"env from Secret", "scheduler.extraEnvs[0]", "API objects", func(c *Config) {
			c.Scheduler.ExtraEnvs = []Env{{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{Key: "k"}}}}
		}},
		{"env twice over", "scheduler.extraEnvs[0]", "both value and valueFrom", func(c *Config) {
			c.Scheduler.ExtraEnvs = []Env{{Name: "A", Value: "x",
				ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{}}}}
		}},
		{"env from nothing", "scheduler.extraEnvs[0]", "exactly one", func(c *Config) {
			c.Scheduler.ExtraEnvs = []Env{{Name: "A", ValueFrom: &corev1.EnvVarSource{}}}
		}},
		{"volume name", "apiServer.extraVolumes[0].name", "not a DNS label", volume(HostPathMount{Name: "A.b", HostPath: "/a",
			MountPath: "/a"})},
		{"volume host path", "apiServer.extraVolumes[0].hostPath", "not an absolute path", volume(HostPathMount{Name: "a",
			HostPath: "/a/../b", MountPath: "/a"})},
		{"volume mount path", "apiServer.extraVolumes[0].mountPath", "not an absolute path", volume(HostPathMount{Name: "a",
			HostPath: "/a", MountPath: "a"})},
		{"volume type", "apiServer.extraVolumes[0].pathType", "no such type", volume(HostPathMount{Name: "a", HostPath: "/a",
			MountPath: "/a", PathType: "Dir"})},
		{"volumes at one place", "apiServer.extraVolumes[1].mountPath", `"a" is mounted there`,
			volume(HostPathMount{Name: "a", HostPath: "/a", MountPath: "/a"}, HostPathMount{Name: "b", HostPath: "/b", MountPath: "/a"})},
		{"no endpoints", "etcd.external.endpoints", "the list is empty", external(ExternalEtcd{})},
		{"http with certificates", "etcd.external.endpoints[0]", "not https",
			external(ExternalEtcd{Endpoints: []string{"http://e:2379"}, CAFile: "/ca"})},
		{"no URL", "etcd.external.endpoints[0]", "not a URL", external(ExternalEtcd{Endpoints: []string{"e:2379"}})},
		{"URL's port", "etcd.external.httpEndpoints[0]", "no port", external(ExternalEtcd{Endpoints: []string{"http://e"},
			HTTPEndpoints: []string{"http://e:99999"}})},
		{"cert without key", "etcd.external", "only one of", external(ExternalEtcd{Endpoints: []string{"https://e"}, CAFile: "/ca",
			CertFile: "/c"})},
		{"cert without CA", "etcd.external.caFile", "it is empty", external(ExternalEtcd{Endpoints: []string{"https://e"},
			CertFile: "/c", KeyFile: "/k"})},
		{"relative CA", "etcd.external.caFile", "not an absolute path", external(ExternalEtcd{Endpoints: []string{"https://e"},
			CAFile: "ca"})},
		{"CA outside", "etcd.external.caFile", "outside of the root", func(c *Config) {
			*c = completed("/srv/a")
			c.Etcd.External = &ExternalEtcd{Endpoints: []string{"https://e"}, CAFile: "/etc/ca"}
		}},
		{"local and external", "etcd", "local etcd and an external one", func(c *Config) {
			c.Etcd.ImageTag = "3.6.8-0"
			c.Etcd.External = &ExternalEtcd{Endpoints: []string{"http://e"}}
		}},
		{"metrics URL", "etcd.local.extraArgs[1]", "not a URL", func(c *Config) {
			c.Etcd.ExtraArgs = []Arg{{"name", "a"}, {"listen-metrics-urls", "127.0.0.1:2381"}}
		}},
		{"data-dir", "etcd.local.extraArgs[0]", "resets the directory /var/lib/etcd", etcdArg("data-dir", "/elsewhere")},
		{"listen-client-urls", "etcd.local.extraArgs[0]", "not https", etcdArg("listen-client-urls", "http://127.0.0.1:2379")},
		{"listen-peer-urls", "etcd.local.extraArgs[0]", "not a URL", etcdArg("listen-peer-urls", "10.0.0.5")},
		{"advertise-address", "apiServer.extraArgs[0]", "use the address", apiArg("advertise-address", "192.0.2.200")},
		{"bind-address", "apiServer.extraArgs[0]", "would not answer", apiArg("bind-address", "127.0.0.1")},
		{"bind-address of the other family", "apiServer.extraArgs[0]", "would not answer", apiArg("bind-address", "::1")},
		{"etcd-servers", "apiServer.extraArgs[0]", "not among them", apiArg("etcd-servers", "https://e:2379")},
		{"signing key", "apiServer.extraArgs[0]", "refuse the tokens", apiArg("service-account-signing-key-file", "/k")},
		{"controller manager without a port", "controllerManager.extraArgs[0]", "not a port", managerArgs("10.244.0.0/16", "secure-port", "0")},
		{"node mask", "networking.podSubnet", "smaller than one node's part of it, a /18", managerArgs("10.244.0.0/20", "node-cidr-mask-size", "18")},
		{"node mask of IPv4", "networking.podSubnet", "a /18", managerArgs("10.244.0.0/20", "node-cidr-mask-size-ipv4", "18")},
		{"node mask of IPv6, dual stack", "networking.podSubnet", "a /40",
			managerArgs("10.244.0.0/16,fd00:2::/56", "node-cidr-mask-size-ipv6", "40")},
		{"cluster-cidr", "controllerManager.extraArgs[0]", "a /24", managerArgs("10.244.0.0/16", "cluster-cidr", "10.9.0.0/26")},
		{"cluster-cidr without a pod subnet", "controllerManager.extraArgs[0]", "a /24",
			managerArgs("", "cluster-cidr", "10.9.0.0/26", "allocate-node-cidrs", "true")},
		{"one node mask for two families", "controllerManager.extraArgs[0]", "two pod subnets",
			managerArgs("10.244.0.0/16,fd00:2::/56", "node-cidr-mask-size", "24")},
		{"two node masks", "controllerManager.extraArgs[0]", "beside node-cidr-mask-size-ipv4",
			managerArgs("10.244.0.0/16", "node-cidr-mask-size", "24", "node-cidr-mask-size-ipv4", "24")},
		{"node mask of another family", "controllerManager.extraArgs[0]", "of that family",
			managerArgs("10.244.0.0/16", "node-cidr-mask-size-ipv6", "64")},
		{"cluster name", "clusterName", "NUL", func(c *Config) { c.ClusterName = "a\x00" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := completed("")
			tc.change(&c)
			errs := c.Validate()
			if len(errs) != 1 {
				t.Fatalf("%d errors, want 1: %v", len(errs), errs)
			}
			var fe *FieldError
			if !errors.As(errs[0], &fe) || fe.Field != tc.field {
				t.Errorf("field of %v is not %s", errs[0], tc.field)
			}
			if fe.Hint() == "" {
				t.Errorf("%v has no remedy", fe)
			}
			if !strings.Contains(errs[0].Error(), tc.problem) || !strings.Contains(errs[0].Error(), "cannot use ") {
				t.Errorf("%q does not say %q", errs[0], tc.problem)
			}
		})
	}
}

func volume(v ...HostPathMount) func(*Config) {
	return func(c *Config) { c.APIServer.ExtraVolumes = v }
}

// All errors come at once, in the same order each time.
func TestValidateFindsAll(t *testing.T) {
	t.Parallel()
	c := completed("/srv/a")
	c.CertificatesDir = "/etc"
	c.Node.Name = "_"
	c.Networking.DNSDomain = ""
	c.KubernetesVersion = "x"
	c.Runtime = ""
	c.Scheduler.ExtraArgs = []Arg{{}}
	c.FeatureGates = map[string]bool{"B": true, "A": true, "C": false}
	var first string
	for range 20 {
		text := errors.Join(c.Validate()...).Error()
		if first == "" {
			first = text
		}
		if text != first {
			t.Fatalf("order changes:\n%s\n\n%s", first, text)
		}
	}
	if n := strings.Count(first, "\n") + 1; n != 9 {
		t.Errorf("%d errors:\n%s", n, first)
	}
}

// A value of an environment variable may be a secret.
func TestErrorsKeepSecrets(t *testing.T) {
	t.Parallel()
	c := completed("")
	c.Scheduler.ExtraEnvs = []Env{{Name: "A", Value: "hunter2\x00"}, {Name: "-=", Value: "hunter2"}}
	c.Etcd.External = &ExternalEtcd{Endpoints: []string{"ftp://root:hunter2@e"}}
	if text := errors.Join(c.Validate()...).Error(); strings.Contains(text, "hunter2") || strings.Count(text, "\n") != 2 {
		t.Error(text)
	}
}

func TestFieldErrorText(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]FieldError{
		`cannot use --service-cidr (networking.serviceSubnet) "x": bad`: {Field: "networking.serviceSubnet", Flag: "--service-cidr",
			Value: "x", Problem: "bad"},
		`cannot use --runtime "x": bad`: {Field: "runtime", Flag: "--runtime", Value: "x",
			Problem: "bad"},
		`k.yaml:7: cannot use networking.serviceSubnet: bad`: {Field: "networking.serviceSubnet", Flag: "--service-cidr",
			Source: "k.yaml:7", Problem: "bad"},
		`cannot use etcd.local.imageTag "x": bad`: {Field: "etcd.local.imageTag", Value: "x", Problem: "bad"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
