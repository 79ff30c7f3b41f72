package config

import (
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/pathname"
)

// The defaults are kubeadm's, all paths are below the root, and "/" is the host.
func TestDefault(t *testing.T) {
	t.Parallel()
	c := Default("/")
	if c.Root != "" || c.CertificatesDir != "/etc/kubernetes/pki" || c.Etcd.DataDir != "/var/lib/etcd" || c.Node.BindPort != 6443 ||
		c.ImageRepository != "registry.k8s.io" || JoinSubnets(c.Networking.ServiceSubnets) != "10.96.0.0/12" ||
		c.KeyAlgorithm != ECDSAP256 {
		t.Errorf("%+v", c)
	}
	paths := reflect.ValueOf(Default("/srv/a/").Paths())
	for i := range paths.NumField() {
		if p := paths.Field(i).String(); !pathname.Below("/srv/a", p) {
			t.Errorf("%s is %q, outside of the root", paths.Type().Field(i).Name, p)
		}
	}
	if got := PathsBelow("").Kubeconfig("admin"); got != "/etc/kubernetes/admin.conf" {
		t.Error(got)
	}
}

func TestPathsFollowConfig(t *testing.T) {
	t.Parallel()
	c := Default("")
	c.CertificatesDir, c.Etcd.DataDir = "/pki", "/data"
	if p := c.Paths(); p.PKI != "/pki" || p.EtcdData != "/data" || p.Manifests != "/etc/kubernetes/manifests" {
		t.Errorf("%+v", p)
	}
}

// Complete fills gaps, normalises, and leaves the Config it was called on alone.
func TestComplete(t *testing.T) {
	t.Parallel()
	c := Default("")
	c.KubernetesVersion = "1.35.4"
	c.APIServer.CertSANs = []string{"LB.example.com"}
	c.IgnorePreflightErrors = []string{"Swap"}
	c.Etcd.External = &ExternalEtcd{Endpoints: []string{"https://e:2379"}}
	done := c.Complete(HostFacts{Hostname: " Node-1.Example.COM\n", DefaultAddress: netip.MustParseAddr("::ffff:10.1.2.3")})
	if done.Node.Name != "node-1.example.com" || done.Node.AdvertiseAddress != netip.MustParseAddr("10.1.2.3") ||
		done.KubernetesVersion != "v1.35.4" {
		t.Errorf("%+v", done)
	}
	if done.APIServer.CertSANs[0] != "lb.example.com" || done.IgnorePreflightErrors[0] != "swap" ||
		!slices.Equal(done.Etcd.External.HTTPEndpoints, []string{"https://e:2379"}) {
		t.Errorf("%+v", done)
	}
	if c.APIServer.CertSANs[0] != "LB.example.com" || c.Etcd.External.HTTPEndpoints != nil {
		t.Error("Complete changed its receiver")
	}
	c.Node.Name, c.Node.AdvertiseAddress, c.KubernetesVersion = "Given", netip.MustParseAddr("192.0.2.1"), "stable-1"
	done = c.Complete(HostFacts{Hostname: "h", DefaultAddress: netip.MustParseAddr("10.1.2.3")})
	if done.Node.Name != "given" || done.Node.AdvertiseAddress.String() != "192.0.2.1" ||
		done.KubernetesVersion != DefaultKubernetesVersion {
		t.Errorf("%+v", done)
	}
}

func TestParseEndpoint(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct {
		host string
		port int
	}{
		"lb.example.com":      {"lb.example.com", 0},
		"lb.example.com:8443": {"lb.example.com", 8443},
		"lb:":                 {"lb", 0}, // kubeadm takes it
		"10.0.0.1:1":          {"10.0.0.1", 1},
		"[fd00::1]:65535":     {"fd00::1", 65535},
		"[fd00::1]":           {"fd00::1", 0},
		"fd00::1":             {"fd00::1", 0},
	} {
		if host, port, err := ParseEndpoint(in); err != nil || host != want.host || port != want.port {
			t.Errorf("%s: %q %d %v", in, host, port, err)
		}
	}
	for _, in := range []string{"", ":6443", "lb:0", "lb:65536", "lb:+1", "lb:x", "a:b:1", "[fd00::1", "[fd00::1]x", "fe80::1%eth0",
		"a_b", "https://lb", "lb/path", "[lb"} {
		if host, port, err := ParseEndpoint(in); err == nil {
			t.Errorf("%q is taken as %q %d", in, host, port)
		}
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ addr, endpoint, control, local, loopback string }{
		{"10.1.2.3", "", "https://10.1.2.3:6543", "https://10.1.2.3:6543", "127.0.0.1"},
		{"fd00::1", "", "https://[fd00::1]:6543", "https://[fd00::1]:6543", "::1"},
		{"10.1.2.3", "lb", "https://lb:6543", "https://10.1.2.3:6543", "127.0.0.1"},
		{"10.1.2.3", "lb:443", "https://lb:443", "https://10.1.2.3:6543", "127.0.0.1"},
		{"10.1.2.3", "fd00::9", "https://[fd00::9]:6543", "https://10.1.2.3:6543", "127.0.0.1"},
	} {
		c := Default("")
		c.PortOffset = 100
		c.Node.AdvertiseAddress, c.ControlPlaneEndpoint = netip.MustParseAddr(tc.addr), tc.endpoint
		if c.ControlPlaneURL() != tc.control || c.LocalAPIURL() != tc.local || c.Loopback().String() != tc.loopback {
			t.Errorf("%+v: %s %s %s", tc, c.ControlPlaneURL(), c.LocalAPIURL(), c.Loopback())
		}
	}
}

// What the user wrote out counts as it stands; all else moves with the offset.
func TestPorts(t *testing.T) {
	t.Parallel()
	c := Default("")
	if want := (Ports{6443, 2379, 2380, 2381, 10257, 10259}); c.Ports() != want {
		t.Errorf("%+v", c.Ports())
	}
	c.PortOffset = 1000
	if want := (Ports{7443, 3379, 3380, 3381, 11257, 11259}); c.Ports() != want {
		t.Errorf("%+v", c.Ports())
	}
	c.Etcd.ExtraArgs = []Arg{{"listen-metrics-urls", "http://127.0.0.1:1"}, {"listen-metrics-urls", "https://[::1]:9381,http://x:1"}}
	c.Scheduler.ExtraArgs = []Arg{{"secure-port", "10300"}}
	if want := (Ports{7443, 3379, 3380, 9381, 11257, 10300}); c.Ports() != want {
		t.Errorf("%+v", c.Ports())
	}
	if want := (MetricsEndpoint{"::1", 9381, "https"}); c.EtcdMetrics() != want {
		t.Errorf("%+v", c.EtcdMetrics())
	}
	c.Etcd.ExtraArgs = []Arg{{"listen-metrics-urls", "http://:"}}
	if want := (MetricsEndpoint{"127.0.0.1", 3381, "http"}); c.EtcdMetrics() != want {
		t.Errorf("%+v", c.EtcdMetrics())
	}
}

func TestServiceIPs(t *testing.T) {
	t.Parallel()
	c := Default("")
	c.Networking.ServiceSubnets = subnets(t, "10.96.7.7/12,fd00::/108")
	if want := []netip.Addr{netip.MustParseAddr("10.96.0.1"), netip.MustParseAddr("fd00::1")}; !slices.Equal(c.ServiceIPs(), want) {
		t.Error(c.ServiceIPs())
	}
}

func TestParseSubnets(t *testing.T) {
	t.Parallel()
	if got := JoinSubnets(subnets(t, "10.96.0.0/12,fd00::/108")); got != "10.96.0.0/12,fd00::/108" {
		t.Error(got)
	}
	for _, in := range []string{"10.96.0.0", "10.96.0.0/33", "10.96.0.0/12, fd00::/108", "10.96.0/12", ",", "::ffff:10.0.0.0/112",
		"010.96.0.0/12", "x"} {
		if got, err := ParseSubnets(in); err == nil {
			t.Errorf("%q is taken as %v", in, got)
		}
	}
	for _, in := range []string{"", "10.0.0.1/8", "fe80::1%eth0", "lb", "010.0.0.1"} {
		if got, err := ParseAddr(in); err == nil {
			t.Errorf("%q is taken as %v", in, got)
		}
	}
}

// The tags are those of kubeadm 1.34.4, 1.35.4 and 1.36.3.
func TestImages(t *testing.T) {
	t.Parallel()
	for version, want := range map[string][3]string{
		"v1.34.4":      {"registry.k8s.io/kube-scheduler:v1.34.4", "registry.k8s.io/etcd:3.6.5-0", ""},
		"v1.35.4":      {"registry.k8s.io/kube-scheduler:v1.35.4", "registry.k8s.io/etcd:3.6.6-0", ""},
		"v1.36.3+me.1": {"registry.k8s.io/kube-scheduler:v1.36.3_me.1", "registry.k8s.io/etcd:3.6.8-0", ""},
	} {
		c := Default("")
		c.KubernetesVersion = version
		if c.Image("kube-scheduler") != want[0] || c.EtcdImage() != want[1] || c.EtcdHasExperimentalFlags() {
			t.Errorf("%s: %s %s", version, c.Image("kube-scheduler"), c.EtcdImage())
		}
	}
	c := Default("")
	c.ImageRepository, c.Etcd.ImageTag = "example.com/k8s", "3.5.24-0"
	if c.EtcdImage() != "example.com/k8s/etcd:3.5.24-0" || c.EtcdHasExperimentalFlags() {
		t.Error(c.EtcdImage())
	}
	c.KubernetesVersion, c.Etcd.ImageRepository = "v1.35.4", "example.com/etcd"
	if c.EtcdImage() != "example.com/etcd/etcd:3.5.24-0" || !c.EtcdHasExperimentalFlags() {
		t.Error(c.EtcdImage())
	}
}

// Ports of etcd's listen URLs are followed by the checks of ports and by the API server.
func TestEtcdListenURLs(t *testing.T) {
	t.Parallel()
	for urls, want := range map[string]string{
		"https://127.0.0.1:4379,https://10.0.0.1:5379": "https://127.0.0.1:4379",
		"https://10.0.0.1:5379,https://127.0.0.1:4379": "https://127.0.0.1:4379",
		"https://10.0.0.1:5379":                        "https://10.0.0.1:5379",
		"https://0.0.0.0:4379":                         "https://127.0.0.1:4379",
		"":                                             "https://127.0.0.1:2379",
	} {
		c := completed("")
		if urls != "" {
			c.Etcd.ExtraArgs = []Arg{{"listen-client-urls", urls}, {"listen-peer-urls", "https://10.0.0.1:4380"}}
		}
		if got := c.EtcdServers(); got != want || !strings.HasSuffix(want, ":"+strconv.Itoa(c.Ports().EtcdClient)) {
			t.Errorf("%s: %s, port %d, want %s", urls, got, c.Ports().EtcdClient, want)
		}
		if urls != "" && c.Ports().EtcdPeer != 4380 {
			t.Errorf("peers are at %d", c.Ports().EtcdPeer)
		}
	}
}
