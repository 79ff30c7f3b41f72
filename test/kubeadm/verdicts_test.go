//go:build oracle

package kubeadm

import (
	"runtime"
	"testing"
)

// verdict is a configuration that one of the two refuses, or both.
type verdict struct {
	testCase
	by  refuser
	why string // why only one does; for people
}

// refuser says who refuses a configuration.
type refuser int

const (
	both refuser = iota
	onlyKubeadm
	onlyKubecrank
)

// verdicts are configurations that cannot be used, and what the two say about each.
func verdicts() []verdict {
	init := func(by refuser, name, text, why string) verdict {
		return verdict{testCase: testCase{name: name, init: text}, by: by, why: why}
	}
	cluster := func(by refuser, name, text, why string) verdict {
		return verdict{testCase: testCase{name: name, cluster: text}, by: by, why: why}
	}
	more := func(by refuser, name, text, why string) verdict {
		return verdict{testCase: testCase{name: name, more: text}, by: by, why: why}
	}
	patch := func(by refuser, name, file, text, why string) verdict {
		return verdict{testCase{name: name, init: `patches: {directory: PATCHES}`, patches: map[string]string{file: text}}, by, why}
	}
	const (
		crashes  = "The component would not start with it."
		noPod    = "The pod would be refused."
		expired  = "The certificates would have expired before anybody uses them."
		noEffect = "A setting that has no effect is an error, not a warning."
	)
	return []verdict{
		more(onlyKubecrank, "an unknown field", "apiserver: {certSANs: [a]}\n", noEffect),
		more(onlyKubecrank, "a field in another case", "ClusterName: a\n", noEffect),
		more(onlyKubecrank, "a field twice", "clusterName: a\nclusterName: b\n", noEffect),
		more(both, "two documents of a kind", "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n", ""),
		more(both, "a document of another group", "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", ""),
		more(both, "a KubeletConfiguration of another version", "---\napiVersion: kubelet.config.k8s.io/v1\nkind: KubeletConfiguration\n", ""),
		more(both, "no YAML", "apiServer:\n\textraArgs: []\n", ""),
		more(both, "a text for a boolean", "dns: {disabled: 'true'}\n", ""),
		more(onlyKubeadm, "a document that is empty", "---\n---\n", "There is nothing in it to be wrong."),
		{testCase{name: "an unknown API version", document: "apiVersion: kubeadm.k8s.io/v1beta9\nkind: ClusterConfiguration\n"}, both, ""},
		{testCase{name: "API version v1beta2", document: "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\n"}, both, ""},

		cluster(both, "kubernetesVersion that is none", `kubernetesVersion: one`, ""),
		cluster(both, "kubernetesVersion without a patch version", `kubernetesVersion: v1.36`, ""),
		cluster(both, "kubernetesVersion 1.32", `kubernetesVersion: v1.32.1`, ""),
		cluster(onlyKubecrank, "kubernetesVersion 1.37", `kubernetesVersion: v1.37.0`, "Nobody knows its flags yet; kubeadm warns."),
		cluster(both, "encryptionAlgorithm", `encryptionAlgorithm: RSA-1024`, ""),
		cluster(onlyKubecrank, "certificateValidityPeriod of nothing", `certificateValidityPeriod: 0s`, expired),
		cluster(onlyKubecrank, "certificateValidityPeriod below zero", `certificateValidityPeriod: -1h`, expired),
		cluster(onlyKubecrank, "certificateValidityPeriod longer than the CAs'",
			`{certificateValidityPeriod: 100h, caCertificateValidityPeriod: 50h}`, "A certificate is of no use once its CA has expired."),
		cluster(both, "imageRepository with a scheme", `imageRepository: https://registry.example.com`, ""),
		cluster(both, "imageRepository with a slash behind", `imageRepository: registry.example.com/`, ""),
		cluster(onlyKubecrank, "etcd.local.imageTag", `etcd: {local: {imageTag: "a b"}}`, "No registry has such an image."),
		cluster(onlyKubecrank, "dns.imageTag", `dns: {imageTag: "a b"}`, "No registry has such an image."),
		cluster(both, "featureGates", `featureGates: {NoSuch: true}`, ""),
		cluster(onlyKubecrank, "clusterName with a NUL", `clusterName: "a\0b"`, "It cannot be passed to a program."),
		cluster(both, "certificatesDir that is relative", `certificatesDir: pki`, ""),
		cluster(both, "controlPlaneEndpoint in upper case", `controlPlaneEndpoint: API.example.com`, ""),
		cluster(both, "controlPlaneEndpoint with a scheme", `controlPlaneEndpoint: https://api.example.com`, ""),
		cluster(both, "controlPlaneEndpoint with port 0", `controlPlaneEndpoint: "api:0"`, ""),
		cluster(both, "controlPlaneEndpoint with a zone", `controlPlaneEndpoint: "fe80::1%eth0"`, ""),
		cluster(onlyKubeadm, "controlPlaneEndpoint in brackets, without a port", `controlPlaneEndpoint: "[2001:db8::1]"`,
			"It can mean only one thing."),

		cluster(onlyKubecrank, "podSubnet and serviceSubnet that overlap", `networking: {podSubnet: 10.64.0.0/10}`,
			"Pods and services would be given the same addresses."),
		cluster(both, "podSubnet smaller than one node's part", `networking: {podSubnet: 10.244.0.0/25}`, ""),
		cluster(both, "podSubnet too large", `networking: {podSubnet: 128.0.0.0/2}`, ""),
		cluster(both, "podSubnet with a space", `networking: {podSubnet: "10.244.0.0/16, fd00::/56"}`, ""),
		cluster(both, "podSubnet twice of one family", `networking: {podSubnet: "10.244.0.0/16,10.245.0.0/16"}`, ""),
		cluster(both, "serviceSubnet too small", `networking: {serviceSubnet: 10.96.0.0/30}`, ""),
		cluster(both, "serviceSubnet too large", `networking: {serviceSubnet: 10.0.0.0/8}`, ""),
		cluster(onlyKubecrank, "serviceSubnet with leading zeros", `networking: {serviceSubnet: 010.96.0.0/16}`,
			"Programs disagree on whether that is octal."),
		cluster(both, "dnsDomain in upper case", `networking: {dnsDomain: UPPER.case}`, ""),

		cluster(onlyKubecrank, "apiServer.extraArgs secure-port that is not the bindPort",
			`apiServer: {extraArgs: [{name: secure-port, value: "7443"}]}`, "Probes and kubeconfigs would ask the bindPort."),
		cluster(onlyKubecrank, "extraArgs with a name that begins with a dash", `scheduler: {extraArgs: [{name: --v, value: "1"}]}`, crashes),
		cluster(both, "extraArgs without a name", `scheduler: {extraArgs: [{name: "", value: "1"}]}`, ""),
		cluster(both, "extraArgs with a number", `scheduler: {extraArgs: [{name: v, value: 1}]}`, ""),
		cluster(both, "extraArgs as a mapping", `scheduler: {extraArgs: {v: "1"}}`, ""),
		cluster(onlyKubecrank, "extraEnvs from a Secret",
			`scheduler: {extraEnvs: [{name: A, valueFrom: {secretKeyRef: {name: a, key: b}}}]}`, "Static pods cannot refer to API objects."),
		cluster(onlyKubecrank, "extraEnvs with = in the name", `scheduler: {extraEnvs: [{name: "A=B", value: x}]}`, noPod),
		cluster(onlyKubecrank, "extraVolumes with a name that is no DNS label",
			`scheduler: {extraVolumes: [{name: A_B, hostPath: /a, mountPath: /a}]}`, noPod),
		cluster(onlyKubecrank, "extraVolumes with a relative path",
			`scheduler: {extraVolumes: [{name: a, hostPath: a, mountPath: /a}]}`, noPod),
		cluster(onlyKubecrank, "extraVolumes of an unknown pathType",
			`scheduler: {extraVolumes: [{name: a, hostPath: /a, mountPath: /a, pathType: Dir}]}`, noPod),
		cluster(onlyKubecrank, "extraVolumes that share a mountPath",
			`scheduler: {extraVolumes: [{name: a, hostPath: /a, mountPath: /a}, {name: b, hostPath: /b, mountPath: /a}]}`, noPod),
		cluster(both, "certSANs with a scheme", `apiServer: {certSANs: ["https://a"]}`, ""),
		cluster(both, "certSANs with a port", `apiServer: {certSANs: ["a:1"]}`, ""),

		cluster(onlyKubeadm, "etcd.local.serverCertSANs in upper case", `etcd: {local: {serverCertSANs: [ETCD.example.com]}}`,
			"They are brought into lower case, as kubeadm does it with those of the API server."),
		cluster(onlyKubecrank, "etcd.local.dataDir that holds other files of the cluster", `etcd: {local: {dataDir: /etc/kubernetes}}`,
			"reset would remove them with etcd's data."),
		cluster(onlyKubecrank, "etcd.local.extraArgs data-dir that is not the dataDir",
			`etcd: {local: {extraArgs: [{name: data-dir, value: /elsewhere}]}}`, "What is checked and reset would be another directory."),
		cluster(onlyKubecrank, "apiServer.extraArgs bind-address that excludes the advertise address",
			`apiServer: {extraArgs: [{name: bind-address, value: 127.0.0.1}]}`, "Probes and kubeconfigs would ask an address where nobody answers."),
		cluster(onlyKubecrank, "apiServer.extraArgs etcd-servers without the local etcd",
			`apiServer: {extraArgs: [{name: etcd-servers, value: "https://e:2379"}]}`, "The etcd that is run would serve nobody."),
		cluster(onlyKubecrank, "a podSubnet smaller than node-cidr-mask-size",
			`{networking: {podSubnet: 10.244.0.0/20}, controllerManager: {extraArgs: [{name: node-cidr-mask-size, value: "18"}]}}`,
			"The controller manager ends, once it leads."),
		cluster(both, "etcd.local and etcd.external", `etcd: {local: {dataDir: /a}, external: {endpoints: ["http://e:1"]}}`, ""),
		{testCase{name: "etcd.external without endpoints", since: 35, cluster: `etcd: {external: {endpoints: []}}`}, both, ""},
		cluster(both, "etcd.external with a certificate and no key",
			`etcd: {external: {endpoints: ["https://e:1"], caFile: /a, certFile: /b}}`, ""),
		cluster(both, "etcd.external with http and certificates", `etcd: {external: {endpoints: ["http://e:1"], caFile: /a}}`, ""),

		init(both, "nodeRegistration.name", `nodeRegistration: {name: a_b}`, ""),
		init(both, "nodeRegistration.name that is a boolean", `nodeRegistration: {name: false}`, ""),
		init(onlyKubecrank, "nodeRegistration.criSocket that is no path", `nodeRegistration: {criSocket: foo}`, "It is no socket."),
		init(onlyKubecrank, "nodeRegistration.taints of an unknown effect", `nodeRegistration: {taints: [{key: a, effect: X}]}`,
			"The API server would refuse the Node."),
		init(both, "nodeRegistration.imagePullPolicy", `nodeRegistration: {imagePullPolicy: Sometimes}`, ""),
		init(both, "ignorePreflightErrors with all and others", `nodeRegistration: {ignorePreflightErrors: [all, numcpu]}`, ""),
		init(onlyKubeadm, "advertiseAddress 127.0.0.1", `localAPIEndpoint: {advertiseAddress: 127.0.0.1}`,
			"A control plane for this machine alone. (kubeadm takes it for any other address of the loopback interface.)"),
		init(onlyKubecrank, "advertiseAddress with leading zeros", `localAPIEndpoint: {advertiseAddress: 192.0.002.010}`,
			"Programs disagree on whether that is octal."),
		init(onlyKubecrank, "advertiseAddress of another family than the serviceSubnet", `localAPIEndpoint: {advertiseAddress: "2001:db8::1"}`,
			"kube-apiserver would not start with it."),
		init(both, "advertiseAddress that is link-local", `localAPIEndpoint: {advertiseAddress: 169.254.1.1}`, ""),
		init(both, "advertiseAddress that is multicast", `localAPIEndpoint: {advertiseAddress: 224.0.0.1}`, ""),
		init(both, "bindPort above 65535", `localAPIEndpoint: {bindPort: 70000}`, ""),
		init(both, "bindPort below zero", `localAPIEndpoint: {bindPort: -1}`, ""),
		init(onlyKubecrank, "bindPort that etcd has", `localAPIEndpoint: {bindPort: 2379}`, "Two programs cannot listen on one port."),
		init(both, "bootstrapTokens", `bootstrapTokens: [{token: ABC}]`, ""),
		init(both, "bootstrapTokens with ttl and expires",
			`bootstrapTokens: [{token: abcdef.0123456789abcdef, ttl: 1h, expires: "2040-01-01T00:00:00Z"}]`, ""),
		init(onlyKubeadm, "bootstrapTokens with the usage signing alone, without groups",
			`bootstrapTokens: [{token: abcdef.0123456789abcdef, usages: [signing]}]`, "Groups are for authentication, so they need no default here."),
		init(both, "bootstrapTokens with groups and without the usage authentication", `bootstrapTokens: [{token: abcdef.0123456789abcdef,
			usages: [signing], groups: ["system:bootstrappers:a"]}]`, ""),
		init(both, "certificateKey", `certificateKey: abc`, ""),
		init(both, "skipPhases", `skipPhases: [nonsense]`, ""),
		init(onlyKubecrank, "timeouts of nothing", `timeouts: {controlPlaneComponentHealthCheck: 0s}`, "Nothing could be in time."),
		init(both, "patches in a directory that is not there", `patches: {directory: /nonexistent}`, ""),
		patch(both, "a patch of an unknown type", "etcd+fuzzy.yaml", "metadata: {labels: {a: b}}\n", ""),
		patch(both, "a patch that is no YAML", "etcd.yaml", "a: b: c\n", ""),
		patch(both, "a JSON patch that does not apply", "etcd+json.yaml", "[{op: remove, path: /spec/nothing}]\n", ""),
		patch(both, "a JSON patch whose test fails", "etcd+json.yaml", "[{op: test, path: /metadata/name, value: x}]\n", ""),
		patch(onlyKubecrank, "a patch with a field that pods do not have", "etcd.yaml", "spec: {nothing: 1}\n", noEffect),
		init(both, "timeouts without a unit", `timeouts: {controlPlaneComponentHealthCheck: 5}`, ""),
	}
}

// Whatever one of the two refuses, the other refuses too, but for the table.
func TestSameVerdicts(t *testing.T) {
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, k := range kubeadms(t) {
		alone := isolated(t, k)
		for _, v := range verdicts() {
			if !v.in(k.minor) {
				continue
			}
			t.Run(k.version+"/"+v.name, func(t *testing.T) {
				t.Parallel()
				limit <- struct{}{}
				defer func() { <-limit }()
				p := v.prepare(t, k, alone)
				_, theirs := k.dryRun(t, p)
				_, ours := kubecrank(p)
				if refuses := v.by != onlyKubecrank; refuses != (theirs != nil) {
					t.Errorf("kubeadm refuses it: %t, want %t (%v)", !refuses, refuses, theirs)
				}
				if refuses := v.by != onlyKubeadm; refuses != (ours != nil) {
					t.Errorf("kubecrank refuses it: %t, want %t (%v)", !refuses, refuses, ours)
				}
			})
		}
	}
}
