//go:build oracle

package kubeadm

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generatedCases combine fields at random, the same ones each time.
func generatedCases() []testCase {
	const seed1, seed2, count = 0x6b756265, 0x6372616e6b, 20
	g := generator{rand.New(rand.NewPCG(seed1, seed2))}
	out := make([]testCase, count)
	for i := range out {
		out[i] = g.testCase(fmt.Sprintf("generated %02d", i))
	}
	return out
}

type generator struct{ *rand.Rand }

// one is one of the texts.
func (g generator) one(texts ...string) string { return texts[g.IntN(len(texts))] }

// some are up to n of the texts, in a random order, as the elements of a YAML list.
func (g generator) some(n int, texts ...string) string {
	g.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
	return "[" + strings.Join(texts[:g.IntN(n+1)], ", ") + "]"
}

func (g generator) testCase(name string) testCase {
	c := testCase{name: name, runtime: g.one("", "", "containerd", "kubelet")}
	ipv6 := g.IntN(4) == 0
	address, services := `192.0.2.`+fmt.Sprint(1+g.IntN(250)), g.one("10.96.0.0/12", "172.16.0.0/13", "10.96.0.0/16,fd00:1::/112")
	pods := g.one("", "10.244.0.0/16", "10.0.0.0/14")
	if strings.Contains(services, ",") && pods != "" {
		pods += ",fd00:2::/56"
	}
	if ipv6 {
		address, services, pods = fmt.Sprintf("2001:db8::%x", 1+g.IntN(65000)), "fd00:1::/112", g.one("", "fd00:2::/56")
	}
	c.init = fmt.Sprintf("{localAPIEndpoint: {advertiseAddress: %q, bindPort: %s}, nodeRegistration: {name: %s}, "+
		"timeouts: {controlPlaneComponentHealthCheck: %s}}", address, g.one("6443", "443", "8443"),
		g.one("node-1", "Master.Example.com", "m0"), g.one("30s", "4m", "125s", "1h"))
	c.cluster = "{" + strings.Join([]string{
		fmt.Sprintf("networking: {serviceSubnet: %q, podSubnet: %q, dnsDomain: %s}", services, pods, g.one("cluster.local", "k8s.example")),
		"controlPlaneEndpoint: " + g.one(`""`, "api.example.com", `"api.example.com:443"`, "203.0.113.1", `"[2001:db8::1]:6443"`),
		"clusterName: " + g.one("kubernetes", "prod", "a_b.c"),
		"imageRepository: " + g.one("registry.k8s.io", "mirror.example.com:5000/a/b"),
		"certificatesDir: " + g.one("/etc/kubernetes/pki", "/etc/kubernetes/certs", "/srv/pki"),
		"encryptionAlgorithm: " + g.one("ECDSA-P256", "ECDSA-P384"),
		"certificateValidityPeriod: " + g.one("8760h", "100h", "12345m"),
		"caCertificateValidityPeriod: " + g.one("87600h", "9000h"),
		"apiServer: " + g.apiServer(),
		"controllerManager: " + g.component(g.controllerManagerArgs()),
		"scheduler: " + g.component(g.schedulerArgs()),
		"etcd: " + g.etcd(),
	}, ", ") + "}"
	if g.IntN(3) == 0 {
		c.env = []string{"HTTP_PROXY=http://proxy:" + fmt.Sprint(g.IntN(9999)), "no_proxy=" + g.one("localhost", "10.0.0.0/8,.svc")}
	}
	return c
}

func (g generator) apiServer() string {
	args := g.some(4, "{name: v, value: '5'}", "{name: service-account-issuer, value: 'https://a'}",
		"{name: service-account-issuer, value: 'https://b'}", "{name: authorization-mode, value: 'RBAC,Node'}",
		"{name: authorization-config, value: /authz}", "{name: enable-admission-plugins, value: ''}",
		"{name: feature-gates, value: 'A=true,B=false'}", "{name: event-ttl, value: 2h}")
	component := strings.TrimSuffix(g.component(args), "}")
	return component + ", certSANs: " + g.some(4, "a.example.com", "B.example.com", "'*.c.example.com'", "198.51.100.1", "'2001:db8::c'",
		"node-1", "localhost", "127.0.0.1") + "}"
}

func (g generator) controllerManagerArgs() string {
	return g.some(4, "{name: bind-address, value: 0.0.0.0}", "{name: node-monitor-period, value: 2s}", "{name: v, value: '2'}",
		"{name: cluster-signing-duration, value: 24h}", "{name: controllers, value: '*,-ttl'}", "{name: allocate-node-cidrs, value: 'false'}",
		"{name: flex-volume-plugin-dir, value: /var/flex}")
}

func (g generator) schedulerArgs() string {
	return g.some(3, "{name: bind-address, value: '::'}", "{name: config, value: /etc/s.yaml}", "{name: v, value: '2'}", "{name: v, value: '3'}")
}

func (g generator) component(args string) string {
	return "{extraArgs: " + args + ", extraVolumes: " +
		g.some(3, "{name: one, hostPath: /one, mountPath: /one}", "{name: two, hostPath: /2, mountPath: /two, readOnly: true}",
			"{name: ca-certs, hostPath: /c, mountPath: /etc/ssl/certs, pathType: Directory}",
			"{name: zz, hostPath: /zz, mountPath: /zz, pathType: FileOrCreate}") +
		", extraEnvs: " + g.some(3, "{name: HTTP_PROXY, value: mine}", "{name: GODEBUG, value: 'x=1,y=0'}", "{name: EMPTY}",
		"{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}", "{name: NUM, value: '0123'}") + "}"
}

func (g generator) etcd() string {
	if g.IntN(4) == 0 {
		return "{external: " + g.one("{endpoints: ['http://e1:2379']}", "{endpoints: ['https://e1:2379', 'https://e2:2379'], caFile: /e/ca.crt}",
			"{endpoints: ['https://e1:2379'], caFile: /etc/e/ca/ca.crt, certFile: /etc/e/c.crt, keyFile: /etc/e/c.key}") + "}"
	}
	return "{local: {dataDir: " + g.one("/var/lib/etcd", "/srv/etcd") + ", imageTag: " + g.one("''", "3.5.21-0", "3.6.5") +
		", extraArgs: " + g.some(3, "{name: quota-backend-bytes, value: '1'}", "{name: listen-metrics-urls, value: 'http://0.0.0.0:2381'}",
		"{name: max-snapshots, value: '3'}", "{name: experimental-initial-corrupt-check, value: 'false'}") +
		", serverCertSANs: " + g.some(2, "e.example.com", "198.51.100.2", "'::1'") +
		", peerCertSANs: " + g.some(2, "p.example.com", "198.51.100.3") + "}}"
}
