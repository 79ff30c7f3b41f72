//go:build oracle

package kubeadm

// clusterCases set each field of the ClusterConfiguration alone, but for the components'.
func clusterCases() []testCase {
	c := func(name, cluster string) testCase { return testCase{name: name, cluster: cluster} }
	return []testCase{
		{name: "default"},
		{name: "default, containerd", runtime: "containerd"},
		{name: "default, kubelet", runtime: "kubelet"},
		c("defaultAlgorithm", `{encryptionAlgorithm: ""}`),
		c("encryptionAlgorithm P-384", `encryptionAlgorithm: ECDSA-P384`),
		{name: "encryptionAlgorithm 2048", slow: true, cluster: `encryptionAlgorithm: RSA-2048`},
		{name: "encryptionAlgorithm 3072", slow: true, cluster: `{encryptionAlgorithm: RSA-3072, etcd: {external: {endpoints: ["http://e:1"]}}}`},
		{name: "encryptionAlgorithm 4096", slow: true, cluster: `{encryptionAlgorithm: RSA-4096, etcd: {external: {endpoints: ["http://e:1"]}}}`},
		c("certificateValidityPeriod", `certificateValidityPeriod: 36h30m`),
		c("certificateValidityPeriod short", `certificateValidityPeriod: 10m`),
		c("caCertificateValidityPeriod", `caCertificateValidityPeriod: 20000h`),
		c("kubernetesVersion without v", `kubernetesVersion: "VERSION"`),
		c("kubernetesVersion with metadata", `kubernetesVersion: VERSION+site.1`),
		c("imageRepository", `imageRepository: registry.example.com:5000/k8s`),
		c("clusterName", `clusterName: prod-eu`),
		c("clusterName quoted", `clusterName: "prod: 'eu' #1"`),
		c("certificatesDir", `certificatesDir: /srv/kubernetes/certs`),
		c("controlPlaneEndpoint name", `controlPlaneEndpoint: api.example.com`),
		c("controlPlaneEndpoint port", `controlPlaneEndpoint: api.example.com:8443`),
		c("controlPlaneEndpoint address", `controlPlaneEndpoint: 203.0.113.5`),
		c("controlPlaneEndpoint IPv6", `controlPlaneEndpoint: "2001:db8::5"`),
		c("controlPlaneEndpoint IPv6 port", `controlPlaneEndpoint: "[2001:db8::5]:8443"`),
		c("controlPlaneEndpoint node", `controlPlaneEndpoint: node-1`),
		c("serviceSubnet", `networking: {serviceSubnet: 172.20.0.0/16}`),
		c("serviceSubnet with host bits", `networking: {serviceSubnet: 10.97.1.2/16}`),
		c("serviceSubnet dual stack", `networking: {serviceSubnet: "10.96.0.0/16,fd00:1::/112"}`),
		c("podSubnet", `networking: {podSubnet: 10.244.0.0/16}`),
		c("podSubnet large", `networking: {podSubnet: 10.128.0.0/10}`),
		c("dnsDomain", `networking: {dnsDomain: corp.example}`),
		c("dns", `dns: {imageRepository: registry.example.com/dns, imageTag: v1.2.3}`),
		{name: "dns disabled", cluster: `{dns: {disabled: true}, proxy: {disabled: true}}`},
		c("featureGates PublicKeysECDSA", `{featureGates: {PublicKeysECDSA: true}, encryptionAlgorithm: ""}`),
		c("featureGates PublicKeysECDSA false", `{featureGates: {PublicKeysECDSA: false}, encryptionAlgorithm: ECDSA-P384,
			etcd: {external: {endpoints: ["http://e:1"]}}}`),
		c("featureGates NodeLocalCRISocket", `featureGates: {NodeLocalCRISocket: true}`),
		{name: "featureGates ControlPlaneKubeletLocalMode", until: 35, cluster: `featureGates: {ControlPlaneKubeletLocalMode: true}`,
			runtime: "kubelet"},
	}
}

// componentCases set each field of kube-apiserver, kube-controller-manager and kube-scheduler alone.
func componentCases() []testCase {
	c := func(name, cluster string) testCase { return testCase{name: name, cluster: cluster} }
	return []testCase{
		c("apiServer certSANs", `apiServer: {certSANs: [API.example.com, "*.Example.org", 203.0.113.7, "2001:db8::7",
			"2001:DB8:0:0::7", "::ffff:203.0.113.8", kubernetes, api.example.com, 192.0.2.10]}`),
		c("apiServer extraArgs", `apiServer: {extraArgs: [{name: v, value: "4"}, {name: audit-log-path, value: "-"}]}`),
		c("apiServer extraArgs replace defaults", `apiServer: {extraArgs: [{name: tls-private-key-file, value: /k},
			{name: enable-admission-plugins, value: "NodeRestriction,PodNodeSelector"}, {name: secure-port, value: "6443"}]}`),
		c("apiServer extraArgs twice", `apiServer: {extraArgs: [{name: service-account-issuer, value: "https://b"},
			{name: v, value: ""}, {name: service-account-issuer, value: "https://a"}]}`),
		c("apiServer extraArgs authorization-mode", `apiServer: {extraArgs: [{name: authorization-mode, value: "Node,RBAC,Webhook"}]}`),
		c("apiServer extraArgs authorization-config", `apiServer: {extraArgs: [{name: authorization-config, value: /etc/authz.yaml}]}`),
		c("apiServer extraVolumes", `apiServer: {extraVolumes: [{name: z-audit, hostPath: /var/log/audit, mountPath: /audit,
			pathType: DirectoryOrCreate}, {name: a-file, hostPath: /etc/f, mountPath: /etc/f, readOnly: true, pathType: File},
			{name: plain, hostPath: /opt/plain/, mountPath: /opt/plain}]}`),
		c("apiServer extraVolumes replace defaults", `apiServer: {extraVolumes: [{name: ca-certs, hostPath: /opt/certs,
			mountPath: /etc/ssl/certs, readOnly: false}, {name: k8s-certs, hostPath: /srv/pki, mountPath: /etc/kubernetes/pki}]}`),
		c("apiServer extraEnvs", `apiServer: {extraEnvs: [{name: Z, value: "a=b c"}, {name: A, value: "true"}, {name: EMPTY},
			{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: A, value: "1e3"},
			{name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]}`),
		c("controllerManager extraArgs", `controllerManager: {extraArgs: [{name: node-cidr-mask-size, value: "25"},
			{name: v, value: "2"}]}`),
		c("controllerManager bind-address", `controllerManager: {extraArgs: [{name: bind-address, value: "0.0.0.0"}]}`),
		c("controllerManager bind-address IPv6", `controllerManager: {extraArgs: [{name: bind-address, value: "::"}]}`),
		c("controllerManager secure-port", `controllerManager: {extraArgs: [{name: secure-port, value: "11257"}]}`),
		c("controllerManager cluster-name", `{clusterName: a, controllerManager: {extraArgs: [{name: cluster-name, value: b}]}}`),
		c("controllerManager flex-volume-plugin-dir", `controllerManager: {extraArgs: [{name: flex-volume-plugin-dir, value: /opt/flex}]}`),
		c("controllerManager extraVolumes", `controllerManager: {extraVolumes: [{name: cloud, hostPath: /etc/cloud.conf,
			mountPath: /etc/cloud.conf, readOnly: true, pathType: FileOrCreate}, {name: kubeconfig, hostPath: /k, mountPath: /k}]}`),
		c("controllerManager extraEnvs", `controllerManager: {extraEnvs: [{name: GOGC, value: "50"}]}`),
		c("scheduler extraArgs", `scheduler: {extraArgs: [{name: config, value: /etc/scheduler.yaml}, {name: leader-elect,
			value: "false"}]}`),
		c("scheduler bind-address", `scheduler: {extraArgs: [{name: bind-address, value: 192.0.2.10}]}`),
		c("scheduler secure-port", `scheduler: {extraArgs: [{name: secure-port, value: "11259"}]}`),
		c("scheduler extraVolumes", `scheduler: {extraVolumes: [{name: config, hostPath: /etc/scheduler.yaml,
			mountPath: /etc/scheduler.yaml, readOnly: true, pathType: File}]}`),
		c("scheduler extraEnvs", `scheduler: {extraEnvs: [{name: GOMAXPROCS, value: "2"}]}`),
		{name: "proxy environment", env: []string{"HTTPS_PROXY=http://proxy:3128", "no_proxy=10.0.0.0/8,.svc", "http_proxy=",
			"My_Proxy=x", "NOT_A_PROXY_SETTING=1"}},
		{name: "proxy environment replaced", env: []string{"HTTPS_PROXY=http://proxy:3128"},
			cluster: `scheduler: {extraEnvs: [{name: HTTPS_PROXY, value: ""}, {name: https_proxy, value: other}]}`},
	}
}

// etcdCases set each field of etcd alone.
func etcdCases() []testCase {
	c := func(name, etcd string) testCase { return testCase{name: name, cluster: "etcd: " + etcd} }
	return []testCase{
		c("etcd imageRepository", `{local: {imageRepository: quay.io/coreos}}`),
		c("etcd imageTag", `{local: {imageTag: 3.6.9-0}}`),
		c("etcd imageTag old", `{local: {imageTag: 3.5.24-0}}`),
		c("etcd imageTag no version", `{local: {imageTag: latest}}`),
		c("etcd dataDir", `{local: {dataDir: /srv/etcd}}`),
		c("etcd extraArgs", `{local: {extraArgs: [{name: quota-backend-bytes, value: "8589934592"}, {name: snapshot-count, value: "5000"},
			{name: listen-client-urls, value: "https://127.0.0.1:2379"}]}}`),
		c("etcd advertise-client-urls", `{local: {extraArgs: [{name: advertise-client-urls, value: "https://etcd.example.com:2379"}]}}`),
		c("etcd listen-metrics-urls", `{local: {extraArgs: [{name: listen-metrics-urls, value: "https://[::1]:9381,http://x:1"}]}}`),
		c("etcd listen-metrics-urls without port", `{local: {extraArgs: [{name: listen-metrics-urls, value: "http://0.0.0.0"}]}}`),
		c("etcd listen-metrics-urls twice", `{local: {extraArgs: [{name: listen-metrics-urls, value: "http://127.0.0.1:3381"},
			{name: listen-metrics-urls, value: "http://127.0.0.1:4381"}]}}`),
		c("etcd extraEnvs", `{local: {extraEnvs: [{name: ETCD_LOG_LEVEL, value: debug}]}}`),
		c("etcd serverCertSANs", `{local: {serverCertSANs: [etcd.example.com, 203.0.113.9, localhost]}}`),
		c("etcd peerCertSANs", `{local: {peerCertSANs: ["*.peers.example.com", "2001:db8::9"]}}`),
		c("etcd external", `{external: {endpoints: ["https://203.0.113.20:2379", "https://[2001:db8::20]:2379"],
			caFile: /etc/etcd/pki/ca.crt, certFile: /etc/etcd/client.crt, keyFile: /etc/etcd/client.key}}`),
		c("etcd external http", `{external: {endpoints: ["http://203.0.113.20:2379"]}}`),
		c("etcd external CA only", `{external: {endpoints: ["https://203.0.113.20:2379"], caFile: /etc/ssl/certs/etcd.crt}}`),
		c("etcd external in pki", `{external: {endpoints: ["https://203.0.113.20:2379"], caFile: /etc/kubernetes/pki/etcd/ca.crt,
			certFile: /etc/kubernetes/pki/apiserver-etcd-client.crt, keyFile: /etc/kubernetes/pki/apiserver-etcd-client.key}}`),
		c("etcd external beside pki", `{external: {endpoints: ["https://203.0.113.20:2379"], caFile: /etc/kubernetes/pki-etcd/ca.crt,
			certFile: /srv/a/client.crt, keyFile: /srv/ab/client.key}}`),
		{name: "etcd external httpEndpoints", since: 36, cluster: `etcd: {external: {endpoints: ["https://203.0.113.20:2379"],
			httpEndpoints: ["https://203.0.113.20:2382"], caFile: /etc/etcd/ca.crt}}`},
	}
}
