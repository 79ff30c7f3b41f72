//go:build oracle

package kubeadm

// nodeCases set each field of the InitConfiguration alone.
func nodeCases() []testCase {
	c := func(name, init string) testCase { return testCase{name: name, init: init} }
	return []testCase{
		c("node name", `nodeRegistration: {name: Master-01.Example.COM}`),
		c("node criSocket", `nodeRegistration: {criSocket: "unix:///var/run/crio/crio.sock"}`),
		c("node taints", `nodeRegistration: {taints: []}`),
		c("node kubeletExtraArgs", `nodeRegistration: {kubeletExtraArgs: [{name: node-ip, value: 192.0.2.10}]}`),
		c("node imagePullPolicy", `nodeRegistration: {imagePullPolicy: Always, imagePullSerial: false}`),
		c("node ignorePreflightErrors", `nodeRegistration: {ignorePreflightErrors: [all]}`),
		c("advertiseAddress", `localAPIEndpoint: {advertiseAddress: 198.51.100.77}`),
		{name: "advertiseAddress IPv6", init: `localAPIEndpoint: {advertiseAddress: "2001:DB8:0::a"}`,
			cluster: `networking: {serviceSubnet: "fd00:1::/112"}`},
		c("bindPort", `localAPIEndpoint: {bindPort: 8443}`),
		c("bootstrapTokens", `bootstrapTokens: [{token: abcdef.0123456789abcdef, description: d, ttl: 1h, usages: [authentication]}]`),
		c("certificateKey", `certificateKey: e6a2eb8581237ab72a4f494f30285ec12a9694d750b9785706a83bfcbbbd2204`),
		c("dryRun", `dryRun: true`),
		c("skipPhases", `skipPhases: [preflight, mark-control-plane, addon/kube-proxy, upload-config/kubelet]`),
		c("timeouts", `timeouts: {controlPlaneComponentHealthCheck: 61s, kubernetesAPICall: 2m, etcdAPICall: 3m, discovery: 4m,
			kubeletHealthCheck: 5m, tlsBootstrap: 6m, upgradeManifests: 7m}`),
		c("timeouts uneven", `timeouts: {controlPlaneComponentHealthCheck: 90500ms}`),
		{name: "documents passed on", more: `---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
clusterDNS: [10.96.0.99]
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
`},
		{name: "v1beta3", document: `apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
kubernetesVersion: VERSION
featureGates: {PublicKeysECDSA: true}
apiServer:
  timeoutForControlPlane: 3m0s
  certSANs: [old.example.com]
  extraArgs: {v: "3", audit-log-path: /dev/stdout, bind-address: 0.0.0.0}
  extraVolumes: [{name: audit, hostPath: /a, mountPath: /a, pathType: Directory}]
controllerManager: {extraArgs: {profiling: "false", bind-address: 0.0.0.0}}
etcd: {local: {dataDir: /data/etcd, extraArgs: {heartbeat-interval: "200", election-timeout: "2000"}, serverCertSANs: [e.example.com]}}
networking: {podSubnet: 10.0.0.0/16}
---
apiVersion: kubeadm.k8s.io/v1beta3
kind: InitConfiguration
nodeRegistration: {name: node-1, criSocket: "unix:///run/containerd/containerd.sock", kubeletExtraArgs: {v: "2"}}
localAPIEndpoint: {advertiseAddress: 192.0.2.10, bindPort: 6443}
`},
	}
}

// combinedCases are what people run.
func combinedCases() []testCase {
	ha := `{controlPlaneEndpoint: "api.example.com:443", apiServer: {certSANs: [api.example.com, 203.0.113.1], extraArgs: [
		{name: audit-policy-file, value: /etc/kubernetes/audit/policy.yaml}, {name: audit-log-path, value: /var/log/kubernetes/audit.log},
		{name: oidc-issuer-url, value: "https://id.example.com"}], extraVolumes: [{name: audit, hostPath: /etc/kubernetes/audit,
		mountPath: /etc/kubernetes/audit, readOnly: true, pathType: DirectoryOrCreate}, {name: audit-log, hostPath: /var/log/kubernetes,
		mountPath: /var/log/kubernetes, pathType: DirectoryOrCreate}]}, networking: {podSubnet: 10.244.0.0/16},
		controllerManager: {extraArgs: [{name: bind-address, value: 0.0.0.0}]}, scheduler: {extraArgs: [{name: bind-address, value: 0.0.0.0}]},
		etcd: {local: {extraArgs: [{name: listen-metrics-urls, value: "http://0.0.0.0:2381"}]}}}`
	dual := `networking: {serviceSubnet: "10.96.0.0/16,fd00:1::/112", podSubnet: "10.244.0.0/16,fd00:2::/56"}`
	return []testCase{
		{name: "high availability", cluster: ha},
		{name: "high availability, containerd", cluster: ha, runtime: "containerd"},
		{name: "high availability, kubelet", cluster: ha, runtime: "kubelet"},
		{name: "dual stack", cluster: dual},
		{name: "dual stack, IPv6 first", init: `localAPIEndpoint: {advertiseAddress: "2001:db8::10", bindPort: 7443}`,
			cluster: `{networking: {serviceSubnet: "fd00:1::/112,10.96.0.0/16", podSubnet: "fd00:2::/56,10.244.0.0/16"},
				controlPlaneEndpoint: "2001:db8::1"}`},
		{name: "air-gapped mirror", cluster: `{imageRepository: "mirror.local:5000/k8s.io", kubernetesVersion: VERSION+fips.2,
			etcd: {local: {imageRepository: "mirror.local:5000/etcd.io", imageTag: v3.6.7}}, dns: {imageTag: v9}}`},
		{name: "external etcd and mirror", cluster: `{etcd: {external: {endpoints: ["https://e1:2379", "https://e2:2379",
			"https://e3:2379"], caFile: /etc/etcd/ca.crt, certFile: /etc/etcd/c.crt, keyFile: /etc/etcd/c.key}},
			imageRepository: mirror.local/k8s, certificatesDir: /srv/pki}`},
		{name: "behind a proxy", env: []string{"http_proxy=http://p:1", "HTTPS_PROXY=http://p:2", "NO_PROXY=localhost"},
			cluster: `{apiServer: {extraEnvs: [{name: NO_PROXY, value: none}]}, controlPlaneEndpoint: api}`},
		{name: "hardened", cluster: `{encryptionAlgorithm: ECDSA-P384, certificateValidityPeriod: 720h, apiServer: {extraArgs: [
			{name: anonymous-auth, value: "false"}, {name: tls-min-version, value: VersionTLS13}, {name: profiling, value: "false"},
			{name: encryption-provider-config, value: /etc/kubernetes/enc.yaml}], extraVolumes: [{name: enc, hostPath:
			/etc/kubernetes/enc.yaml, mountPath: /etc/kubernetes/enc.yaml, readOnly: true, pathType: File}]},
			controllerManager: {extraArgs: [{name: profiling, value: "false"}]}, scheduler: {extraArgs: [{name: profiling, value: "false"}]},
			etcd: {local: {extraArgs: [{name: cipher-suites, value: TLS_AES_128_GCM_SHA256}]}}}`},
	}
}

// realCases run kubeadm for real below a root: for owners and directories, and for what was there before.
func realCases() []testCase {
	return []testCase{
		{name: "real", real: true},
		{name: "real, other directories", real: true, cluster: `{certificatesDir: /srv/kubernetes/pki, etcd: {local: {dataDir: /srv/etcd/data}}}`},
		{name: "real, external etcd", real: true, cluster: `etcd: {external: {endpoints: ["http://203.0.113.20:2379"]}}`},
		{name: "real, CA directories", real: true, host: host{caDirs: []string{"/etc/pki/ca-trust", "/etc/pki/tls/certs",
			"/usr/share/ca-certificates", "/opt/other"}}},
		{name: "real, all CA directories", real: true, host: host{caDirs: []string{"/etc/pki/ca-trust", "/etc/pki/tls/certs",
			"/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"}},
			cluster: `apiServer: {extraVolumes: [{name: etc-pki-ca-trust, hostPath: /x, mountPath: /x}]}`},
		// kubeadm mounts the directory that it thinks is mounted already only where it exists.
		{name: "real, external etcd in CA directory", real: true, cluster: `etcd: {external: {endpoints: ["https://203.0.113.20:2379"],
			caFile: /etc/pki/ca-trust/etcd/ca.crt}}`},
		{name: "real, external CA", real: true, host: host{externalCA: true}},
	}
}
