//go:build oracle

package kubeadm

import "strings"

// formatCases say the same in other words.
func formatCases() []testCase {
	const plain = `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration: {name: node-1, criSocket: "unix:///run/containerd/containerd.sock"}
localAPIEndpoint: {advertiseAddress: 192.0.2.10}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: VERSION
encryptionAlgorithm: ECDSA-P256
`
	whole := func(name, document string) testCase { return testCase{name: name, document: document} }
	return []testCase{
		whole("format JSON", `{"apiVersion":"kubeadm.k8s.io/v1beta4","kind":"InitConfiguration","nodeRegistration":{"name":"node-1",`+
			`"criSocket":"unix:///a"},"localAPIEndpoint":{"advertiseAddress":"192.0.2.10"}}`+"\n---\n"+
			`{"apiVersion":"kubeadm.k8s.io/v1beta4","kind":"ClusterConfiguration","kubernetesVersion":"VERSION",`+
			`"encryptionAlgorithm":"ECDSA-P256"}`),
		whole("format CRLF", strings.ReplaceAll(plain, "\n", "\r\n")),
		whole("format byte order mark", "\ufeff"+plain),
		whole("format end of document", plain+"...\n"),
		whole("format anchors", plain+"apiServer: {extraArgs: &a [{name: v, value: '1'}]}\nscheduler: {extraArgs: *a}\n"),
		whole("format merge key", plain+"controllerManager: &a {extraArgs: [{name: v, value: '1'}]}\nscheduler: {<<: *a}\n"),
		whole("format booleans of YAML 1.1", plain+"dns: {disabled: yes}\nproxy: {disabled: ON}\n"),
		whole("format control character", plain+"clusterName: \"a\\x07b\"\n"),
		whole("format lines", plain+"clusterName: |\n  a\n  b\n"),
		whole("format long", plain+"clusterName: "+strings.Repeat(" word", 40)+"\n"),
		whole("format nulls", strings.Replace(plain, "---", "skipPhases: null\npatches: null\ntimeouts: null\n---", 1)+
			"apiServer: null\nnetworking: null\netcd: null\nclusterName: null\nfeatureGates: null\n"),
		whole("format empty", strings.Replace(plain, "---", "bootstrapTokens: []\ntimeouts: {}\npatches: {directory: ''}\n---", 1)+
			"apiServer: {extraArgs: [], certSANs: []}\nnetworking: {podSubnet: ''}\netcd: {local: {}}\nclusterName: ''\nimageRepository: ''\n"),
		whole("format other verbs", plain+"---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\ndiscovery: {bootstrapToken: "+
			"{token: abcdef.0123456789abcdef, apiServerEndpoint: 'a:1', unsafeSkipCAVerification: true}}\n"+
			"---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ResetConfiguration\nforce: true\n"),
		{name: "ClusterConfiguration alone", thisMachine: true, document: "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n" +
			"kubernetesVersion: VERSION\nencryptionAlgorithm: ECDSA-P256\n"},
		{name: "InitConfiguration with nothing", thisMachine: true, document: "apiVersion: kubeadm.k8s.io/v1beta4\n" +
			"kind: InitConfiguration\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: VERSION\n" +
			"encryptionAlgorithm: ECDSA-P256\n"},
		{name: "kubernetesVersion prerelease", cluster: `kubernetesVersion: VERSION-rc.1.12+0123abcd`},
		{name: "certificatesDir with a slash behind", cluster: `certificatesDir: /srv/pki/`},
		{name: "etcd dataDir with a slash behind", cluster: `etcd: {local: {dataDir: /srv/etcd/}}`},
		{name: "certificatesDir with dots", cluster: `certificatesDir: /srv/./pki//a/../b`},
		{name: "serviceSubnet spelled otherwise", init: `localAPIEndpoint: {advertiseAddress: "2001:db8::1"}`,
			cluster: `networking: {serviceSubnet: "FD00:0::/112", podSubnet: "FD00:1:0::/56"}`},
		{name: "controlPlaneEndpoint spelled otherwise", cluster: `controlPlaneEndpoint: "[2001:DB8:0::5]:06443"`},
		{name: "advertiseAddress mapped", init: `localAPIEndpoint: {advertiseAddress: "::ffff:192.0.2.10"}`},
		{name: "apiServer certSANs with leading zeros", cluster: `apiServer: {certSANs: [010.0.0.1]}`},
		{name: "node criSocket without scheme", init: `nodeRegistration: {criSocket: /run/crio.sock}`},
		{name: "etcd external without port", cluster: `etcd: {external: {endpoints: ["https://e", "https://f/path"], caFile: /a/b}}`},
		{name: "scheduler extraVolumes twice", cluster: `scheduler: {extraVolumes: [{name: a, hostPath: /a, mountPath: /a},
			{name: a, hostPath: /b, mountPath: /b, readOnly: true}]}`},
	}
}
