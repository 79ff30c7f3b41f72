package pki

import (
	"crypto/x509"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/manifests/config"
)

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// kubeadm's table, from cmd/kubeadm/app/phases/certs/certlist.go of 1.36.3, with
// the alternative names of a default init as `openssl x509` shows them.
func TestSpecsAreKubeadms(t *testing.T) {
	t.Parallel()
	server := Usages{x509.ExtKeyUsageServerAuth}
	client := Usages{x509.ExtKeyUsageClientAuth}
	both := Usages{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	etcdIPs := addrs("192.0.2.10", "127.0.0.1", "::1")
	want := []Spec{
		{Name: "ca", CommonName: "kubernetes", DNSNames: []string{"kubernetes"}},
		{
			Name: "apiserver", CommonName: "kube-apiserver", Signer: "ca", Usages: server,
			DNSNames: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc.cluster.local", "node-1"},
			IPs: addrs("10.96.0.1", "192.0.2.10"),
		},
		{Name: "apiserver-kubelet-client", CommonName: "kube-apiserver-kubelet-client", Signer: "ca", Usages: client},
		{Name: "front-proxy-ca", CommonName: "front-proxy-ca", DNSNames: []string{"front-proxy-ca"}},
		{Name: "front-proxy-client", CommonName: "front-proxy-client", Signer: "front-proxy-ca", Usages: client},
		{Name: "etcd/ca", CommonName: "etcd-ca", DNSNames: []string{"etcd-ca"}},
		{
			Name: "etcd/server", CommonName: "node-1", Signer: "etcd/ca", Usages: both, DNSNames: []string{"localhost", "node-1"},
			IPs: etcdIPs,
		},
		{Name: "etcd/peer", CommonName: "node-1", Signer: "etcd/ca", Usages: both, DNSNames: []string{"localhost", "node-1"}, IPs: etcdIPs},
		{Name: "etcd/healthcheck-client", CommonName: "kube-etcd-healthcheck-client", Signer: "etcd/ca", Usages: client},
		{Name: "apiserver-etcd-client", CommonName: "kube-apiserver-etcd-client", Signer: "etcd/ca", Usages: client},
	}
	got := Specs(testConfig())
	if len(got) != len(want) {
		t.Fatalf("%d specs, want %d: %v", len(got), len(want), got)
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("spec %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
	names := make([]string, len(got))
	for i, s := range got {
		names[i] = s.PhaseName()
	}
	if got, want := strings.Join(names, " "), "ca apiserver apiserver-kubelet-client front-proxy-ca front-proxy-client "+
		"etcd-ca etcd-server etcd-peer etcd-healthcheck-client apiserver-etcd-client"; got != want {
		t.Errorf("phase names are %s, want %s", got, want)
	}
}

// kubeadm gives the API server's kubelet client the administrators' group up to 1.35
// (cmd/kubeadm/app/phases/certs/certlist.go of 1.34.4 and 1.35.4).
func TestKubeletClientsGroup(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"v1.34.4": "kubeadm:cluster-admins", "v1.35.0": "kubeadm:cluster-admins", "v1.36.0": ""} {
		cfg := testConfig()
		cfg.KubernetesVersion = version
		groups := map[string]string{}
		for _, s := range Specs(cfg) {
			if len(s.Organizations) > 0 {
				groups[s.Name] = strings.Join(s.Organizations, ",")
			}
		}
		if groups["apiserver-kubelet-client"] != want || len(groups) > 1 {
			t.Errorf("%s: the groups are %v, want %q for apiserver-kubelet-client alone", version, groups, want)
		}
	}
}

// An external etcd has its own certificates: kubeadm makes none (GetCertsWithoutEtcd).
func TestSpecsWithExternalEtcd(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.Etcd.External = &config.ExternalEtcd{Endpoints: []string{"https://192.0.2.20:2379"}}
	var names []string
	for _, s := range Specs(cfg) {
		names = append(names, s.Name)
	}
	if got, want := strings.Join(names, " "), "ca apiserver apiserver-kubelet-client front-proxy-ca front-proxy-client"; got != want {
		t.Errorf("specs are %s, want %s", got, want)
	}
}

// Alternative names of the API server and of etcd for what users configure.
func TestAlternativeNames(t *testing.T) {
	t.Parallel()
	base := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "node-1"}
	for name, tc := range map[string]struct {
		change func(*config.Config)
		spec   string
		dns    []string
		ips    []netip.Addr
	}{
		"endpoint is a name with a port": {
			change: func(c *config.Config) { c.ControlPlaneEndpoint = "api.example.com:8443" },
			spec:   "apiserver", dns: append([]string{"api.example.com"}, base...), ips: addrs("10.96.0.1", "192.0.2.10"),
		},
		"endpoint is an address without a port": {
			change: func(c *config.Config) { c.ControlPlaneEndpoint = "198.51.100.7" },
			spec:   "apiserver", dns: base, ips: addrs("10.96.0.1", "192.0.2.10", "198.51.100.7"),
		},
		"endpoint is an IPv6 address with a port": {
			change: func(c *config.Config) { c.ControlPlaneEndpoint = "[2001:db8::7]:6443" },
			spec:   "apiserver", dns: base, ips: addrs("10.96.0.1", "192.0.2.10", "2001:db8::7"),
		},
		"endpoint is an IPv6 address in brackets without a port": {
			change: func(c *config.Config) { c.ControlPlaneEndpoint = "[2001:db8::7]" },
			spec:   "apiserver", dns: base, ips: addrs("10.96.0.1", "192.0.2.10", "2001:db8::7"),
		},
		"extra names: sorted, duplicates and junk out, wildcards and sloppy addresses in": {
			change: func(c *config.Config) {
				c.APIServer.CertSANs = []string{
					"192.0.2.10", "b.example", "a.example", "*.example", "kubernetes", "_junk_", "010.0.0.9", "10.0.0.9",
				}
			},
			spec: "apiserver", dns: append([]string{"*.example", "a.example", "b.example"}, base...),
			ips: addrs("10.96.0.1", "192.0.2.10", "10.0.0.9"),
		},
		"IPv6 first dual stack": {
			change: func(c *config.Config) {
				c.Networking.ServiceSubnets = prefixes("fd00:10:96::/112", "10.96.0.0/12")
				c.Node.AdvertiseAddress = netip.MustParseAddr("2001:db8::10")
			},
			spec: "apiserver", dns: base, ips: addrs("fd00:10:96::1", "2001:db8::10"),
		},
		"a service subnet that is not masked": {
			change: func(c *config.Config) {
				c.Networking.ServiceSubnets = prefixes("10.96.7.9/16")
			},
			spec: "apiserver", dns: base, ips: addrs("10.96.0.1", "192.0.2.10"),
		},
		"node with a name that sorts first, advertised on loopback": {
			change: func(c *config.Config) {
				c.Node.Name = "a-node"
				c.Node.AdvertiseAddress = netip.MustParseAddr("127.0.0.1")
			},
			spec: "etcd/server", dns: []string{"a-node", "localhost"}, ips: addrs("127.0.0.1", "::1"),
		},
		"etcd server names": {
			change: func(c *config.Config) {
				c.Etcd.ServerCertSANs, c.Etcd.PeerCertSANs = []string{"etcd.example", "203.0.113.5"}, []string{"peer.example"}
			},
			spec: "etcd/server", dns: []string{"etcd.example", "localhost", "node-1"},
			ips: addrs("192.0.2.10", "127.0.0.1", "::1", "203.0.113.5"),
		},
		"etcd peer names": {
			change: func(c *config.Config) {
				c.Etcd.ServerCertSANs, c.Etcd.PeerCertSANs = []string{"etcd.example", "203.0.113.5"}, []string{"peer.example"}
			},
			spec: "etcd/peer", dns: []string{"localhost", "node-1", "peer.example"}, ips: addrs("192.0.2.10", "127.0.0.1", "::1"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig()
			tc.change(&cfg)
			for _, s := range Specs(cfg) {
				if s.Name != tc.spec {
					continue
				}
				tc.spec = "" // found
				if !reflect.DeepEqual(s.DNSNames, tc.dns) || !reflect.DeepEqual(s.IPs, tc.ips) {
					t.Errorf("names %q, addresses %v\nwant  %q, %v", s.DNSNames, s.IPs, tc.dns, tc.ips)
				}
			}
			if tc.spec != "" {
				t.Errorf("no spec named %q", tc.spec)
			}
		})
	}
}

// A plan is printed as JSON: usages are words there, and nothing is lost on the way back.
func TestSpecJSON(t *testing.T) {
	t.Parallel()
	spec := specNamed(t, "etcd/server")
	data, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"etcd/server","commonName":"node-1","dnsNames":["localhost","node-1"],` +
		`"ips":["192.0.2.10","127.0.0.1","::1"],"usages":["server","client"],"signer":"etcd/ca"}`
	if string(data) != want {
		t.Errorf("JSON is\n%s, want\n%s", data, want)
	}
	var back Spec
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, spec) {
		t.Errorf("read back: %+v, %v; want %+v", back, err, spec)
	}
	if err := json.Unmarshal([]byte(`{"usages":["email"]}`), &back); err == nil || !strings.Contains(err.Error(), `"email"`) {
		t.Errorf("an unknown usage: error %v, want it named", err)
	}
}
