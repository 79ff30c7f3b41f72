package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// invalidFile is a file that must be refused with an error that has this line and holds this text.
type invalidFile struct {
	name, verb, text string
	line             int
	want             string
}

const (
	head        = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: "
	clusterHead = head + "ClusterConfiguration\n"
	initHead    = head + "InitConfiguration\n"
	joinHead    = head + "JoinConfiguration\n"
	resetHead   = head + "ResetConfiguration\n"
	upgradeHead = head + "UpgradeConfiguration\n"
	ourHead     = clusterHead + "---\napiVersion: kubecrank.dev/v1alpha1\nkind: SupervisorConfiguration\n"
	tokenJoin   = joinHead + "discovery:\n  bootstrapToken:\n    token: abcdef.0123456789abcdef\n    unsafeSkipCAVerification: true\n"
)

func invalidFiles() []invalidFile {
	cluster := func(name, body string, line int, want string) invalidFile {
		return invalidFile{name, "init", clusterHead + body, line, want}
	}
	initial := func(name, body string, line int, want string) invalidFile {
		return invalidFile{name, "init", initHead + body, line, want}
	}
	ours := func(name, body string, line int, want string) invalidFile {
		return invalidFile{name, "init", ourHead + body, line, want}
	}
	join := func(name, body string, line int, want string) invalidFile {
		return invalidFile{name, "join", joinHead + body, line, want}
	}
	verb := func(verb, name, text string, line int, want string) invalidFile {
		return invalidFile{name, verb, text, line, want}
	}
	return []invalidFile{
		// The file as such.
		verb("init", "empty", "", 1, "no document"),
		verb("init", "only comments", "# nothing\n---\n# here\n", 1, "no document"),
		verb("init", "NUL", clusterHead+"clusterName: a\x00b\n", 3, "NUL"),
		verb("init", "not UTF-8", clusterHead+"clusterName: \xff\n", 3, "not UTF-8"),
		verb("init", "CRLF and misspelled", strings.ReplaceAll(clusterHead+"clustername: a\n", "\n", "\r\n"), 3, "no such field"),
		verb("init", "CR alone and misspelled", strings.ReplaceAll(clusterHead+"clustername: a\n", "\n", "\r"), 3, "no such field"),
		verb("init", "CRLF and a tab", strings.ReplaceAll(clusterHead+"etcd:\n\tlocal: {}\n", "\n", "\r\n"), 4, "not YAML"),
		verb("init", "UTF-16", "\xff\xfea\x00p\x00", 1, "UTF-16"),
		verb("init", "control character", clusterHead+"clusterName: \x01\n", 3, "control character"),
		verb("init", "too large", clusterHead+strings.Repeat("# padding\n", 30_000), 1, "bytes, more than"),
		verb("init", "program", "\x7fELF\x02\x01\x01\x00", 1, "NUL"),
		verb("init", "plain text", "hello\n", 1, "no apiVersion"),
		verb("init", "a list", "- apiVersion: kubeadm.k8s.io/v1beta4\n", 1, "no apiVersion"),
		verb("init", "HTML", "<html><body>404</body></html>\n", 1, "no apiVersion"),
		verb("init", "tab as indentation", clusterHead+"etcd:\n\tlocal: {}\n", 4, "not YAML"),
		verb("init", "bad indentation", clusterHead+"etcd:\n  local: {}\n external: {}\n", 5, "not YAML"),
		verb("init", "open quote", clusterHead+"clusterName: \"a\n", 3, "not YAML"),
		verb("init", "open bracket", clusterHead+"skipPhases: [a\n", 3, "not YAML"),
		verb("init", "no space after colon", clusterHead+"clusterName:a\n", 3, "not YAML"),
		verb("init", "unknown anchor", clusterHead+"clusterName: *a\n", 3, "not YAML"),
		verb("init", "alias of itself", clusterHead+"apiServer: &a\n  certSANs: *a\n", 4, "mapping, not a list"),
		verb("init", "bomb", clusterHead+"---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"+bomb(), 6,
			"values or"),
		verb("init", "deep", clusterHead+"clusterName: "+strings.Repeat("[", 60)+strings.Repeat("]", 60), 3, "list, not a text"),
		verb("init", "deep and passed on", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\na: "+
			strings.Repeat("[", 60)+strings.Repeat("]", 60)+"\n", 3, "nested more than"),
		verb("init", "broken JSON", `{"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration", "clusterName": }}`, 1,
			"not YAML"),
		verb("init", "second document broken", clusterHead+"---\na: [\n", 4, "not YAML"),
		verb("init", "document end", clusterHead+"...\na: b\n", 4, "not YAML"),

		// Documents.
		verb("init", "no kind", "apiVersion: kubeadm.k8s.io/v1beta4\n", 1, "no kind"),
		verb("init", "no apiVersion", "kind: ClusterConfiguration\n", 1, "no apiVersion"),
		verb("init", "misspelled kind", head+"ClusterConfig\n", 1, "no kind ClusterConfig"),
		verb("init", "unknown kind", head+"Pod\n", 1, "no kind Pod"),
		verb("init", "unknown group", "apiVersion: v1\nkind: Pod\n", 1, "no kind Pod in v1"),
		verb("init", "future version", "apiVersion: kubeadm.k8s.io/v1\nkind: ClusterConfiguration\n", 1,
			"kubeadm has no kubeadm.k8s.io/v1"),
		verb("init", "old version", "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\n", 1, "too old"),
		verb("init", "kind that v1beta3 has not", "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ResetConfiguration\n", 1,
			"no kind ResetConfiguration"),
		verb("init", "our group misspelled", "apiVersion: kubecrank.dev/v1\nkind: SupervisorConfiguration\n", 1, "no kind"),
		verb("init", "kind as a list", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: [a]\n", 1, "no kind"),
		verb("init", "two of a kind", clusterHead+"---\n"+clusterHead, 3, "second ClusterConfiguration"),
		verb("init", "two of a kind in two versions",
			clusterHead+"---\napiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n", 3,
			"second ClusterConfiguration"),
		verb("init", "two KubeletConfigurations",
			clusterHead+strings.Repeat("---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n", 2),
			6, "second KubeletConfiguration"),
		verb("init", "not for init", joinHead, 1, "no InitConfiguration and no ClusterConfiguration"),
		verb("join", "not for join", clusterHead, 1, "no JoinConfiguration"),
		verb("reset", "not for reset", clusterHead, 1, "no ResetConfiguration"),
		verb("upgrade", "not for upgrade", clusterHead, 1, "no UpgradeConfiguration"),
		verb("init", "KubeletConfiguration alone", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n", 1,
			"no InitConfiguration"),
		verb("init", "no version of the kubelet's", clusterHead+"---\napiVersion: kubelet.config.k8s.io/v1\nkind: KubeletConfiguration\n", 3,
			"no kind KubeletConfiguration in kubelet.config.k8s.io/v1"),
		verb("init", "twice in what is passed on",
			clusterHead+"---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\na: 1\na: 2\n",
			7, "is given twice"),

		// Fields.
		cluster("unknown", "shade: red\n", 3, "shade: there is no such field"),
		cluster("misspelled", "networking:\n  serviceSubnets: 10.96.0.0/12\n", 4, "networking.serviceSubnets: there is no such field"),
		cluster("wrong case", "clustername: a\n", 3, "clustername: there is no such field"),
		cluster("of another document", "localAPIEndpoint: {}\n", 3, "localAPIEndpoint: there is no such field"),
		cluster("moved", "apiServer:\n  timeoutForControlPlane: 4m\n", 4, "no such field"),
		cluster("twice", "clusterName: a\nclusterName: b\n", 4, "is given twice, first in line 3"),
		cluster("twice below", "etcd:\n  local:\n    dataDir: /a\n    dataDir: /b\n", 6, "is given twice"),
		cluster("list for mapping", "networking: []\n", 3, "list, not a mapping"),
		cluster("mapping for list", "apiServer: {certSANs: {a: b}}\n", 3, "mapping, not a list"),
		cluster("text for mapping", "etcd: local\n", 3, "text, not a mapping"),
		cluster("text for list", "apiServer: {certSANs: a.example.com}\n", 3, "text, not a list"),
		cluster("list for text", "clusterName: [a]\n", 3, "list, not a text"),
		cluster("v1beta3's extraArgs", "scheduler:\n  extraArgs:\n    v: \"4\"\n", 4, "mapping, not a list"),
		cluster("number for text", "scheduler:\n  extraArgs:\n  - name: v\n    value: 4\n", 6, "number, not a text"),
		cluster("boolean for text", "scheduler:\n  extraArgs:\n  - name: v\n    value: true\n", 6, "the boolean"),
		cluster("yes for text", "clusterName: yes\n", 3, "the boolean"),
		cluster("version as a number", "kubernetesVersion: 1.36\n", 3, "number, not a text"),
		cluster("text for boolean", "featureGates: {RootlessControlPlane: \"true\"}\n", 3, "not true or false"),
		cluster("number for boolean", "dns: {disabled: 1}\n", 3, "not true or false"),
		cluster("duration without unit", "certificateValidityPeriod: 8760\n", 3, "not a duration"),
		cluster("duration of days", "certificateValidityPeriod: 365d\n", 3, "not a duration"),
		cluster("duration as a list", "certificateValidityPeriod: [1h]\n", 3, "list, not a text"),
		cluster("unknown in a list", "scheduler:\n  extraVolumes:\n  - name: a\n    path: /a\n", 6, "scheduler.extraVolumes[0].path"),
		cluster("tag of its own", "clusterName: !secret a\n", 3, "not a text"),
		cluster("binary", "clusterName: !!binary aGVsbG8=\n", 3, "not a text"),
		cluster("a mapping as a name", "? {a: b}\n: c\n", 3, "name of a field is a mapping"),
		cluster("merge of a text", "<<: a\n", 3, "merge key"),
		initial("text for number", "localAPIEndpoint:\n  bindPort: \"6443\"\n", 4, "not a whole number"),
		initial("float for number", "localAPIEndpoint: {bindPort: 6443.5}\n", 3, "not a whole number"),
		initial("number too large", "localAPIEndpoint: {bindPort: 99999999999}\n", 3, "not a whole number"),
		initial("octal", "localAPIEndpoint: {bindPort: 0x192B}\n", 3, "not a whole number"),
		initial("no time", "bootstrapTokens: [{expires: tomorrow}]\n", 3, "bootstrapTokens[0].expires"),
		ours("quantity", "containerLogMaxSize: 10MiB\n", 6, "containerLogMaxSize"),

		// Values.
		cluster("CIDR", "networking:\n  serviceSubnet: 10.96.0.0/33\n", 4, "not a CIDR"),
		cluster("CIDRs with a space", "networking: {serviceSubnet: \"10.96.0.0/16, fd00::/112\"}\n", 3, "not a CIDR"),
		cluster("subnet overlap", "networking:\n  podSubnet: 10.96.0.0/14\n  serviceSubnet: 10.96.0.0/12\n", 5, "overlaps"),
		cluster("too small", "networking: {serviceSubnet: 10.96.0.0/30}\n", 3, "4 addresses"),
		cluster("node mask", "networking: {podSubnet: 10.244.0.0/28}\n", 3, "smaller than one node's part"),
		cluster("unsupported version", "kubernetesVersion: v1.28.0\n", 3, "only Kubernetes"),
		cluster("version label", "kubernetesVersion: latest\n", 3, "not a version"),
		cluster("endpoint", "controlPlaneEndpoint: https://lb:6443\n", 3, "looks like a URL"),
		cluster("SAN", "apiServer:\n  certSANs:\n  - good.example.com\n  - https://bad\n", 6, "neither an IP address"),
		cluster("algorithm", "encryptionAlgorithm: ED25519\n", 3, "no such algorithm"),
		cluster("leaf outlives its CA", "certificateValidityPeriod: 200h\ncaCertificateValidityPeriod: 100h\n", 3,
			"longer than the CAs'"),
		cluster("relative directory", "certificatesDir: pki\n", 3, "not an absolute path"),
		cluster("data among certificates", "etcd: {local: {dataDir: /etc/kubernetes/etcd}}\n", 3, "overlaps"),
		cluster("two etcds", "etcd:\n  local: {}\n  external: {endpoints: [\"http://e:1\"]}\n", 3, "both local and external"),
		cluster("external without endpoints", "etcd:\n  external: {caFile: /a}\n", 4, "the list is empty"),
		cluster("half a key pair", "etcd: {external: {endpoints: [\"https://e:1\"], caFile: /a, certFile: /b}}\n", 3, "only one of"),
		cluster("repository", "imageRepository: https://registry.k8s.io\n", 3, "not an image repository"),
		cluster("gate", "featureGates: {NoSuchGate: true}\n", 3, "no such feature gate"),
		cluster("dashes", "scheduler: {extraArgs: [{name: --v, value: \"4\"}]}\n", 3, "starts with a dash"),
		cluster("no name", "scheduler: {extraArgs: [{value: \"4\"}]}\n", 3, "no name"),
		cluster("env of a Secret", "scheduler: {extraEnvs: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]}\n", 3,
			"API objects"),
		cluster("volume", "scheduler: {extraVolumes: [{name: A, hostPath: /a, mountPath: /a}]}\n", 3, "not a DNS label"),
		cluster("secure port", "apiServer: {extraArgs: [{name: secure-port, value: \"443\"}]}\n", 3, "use the bind port"),
		cluster("DNS domain", "networking: {dnsDomain: -x}\n", 3, "not a DNS name"),
		cluster("addon's image", "dns: {imageRepository: \"a b\"}\n", 3, "not an image repository"),
		initial("address", "localAPIEndpoint: {advertiseAddress: localhost}\n", 3, "not an IP address"),
		initial("address with zone", "localAPIEndpoint: {advertiseAddress: \"fe80::1%eth0\"}\n", 3, "zone"),
		initial("every address", "localAPIEndpoint: {advertiseAddress: 0.0.0.0}\n", 3, "every address"),
		initial("port", "localAPIEndpoint: {bindPort: 70000}\n", 3, "not a port"),
		initial("port in use", "localAPIEndpoint: {bindPort: 2380}\n", 3, "same port"),
		initial("node name", "nodeRegistration: {name: my_node}\n", 3, "not a DNS name"),
		initial("socket", "nodeRegistration: {criSocket: tcp://localhost:1}\n", 3, "not a socket"),
		initial("pull policy", "nodeRegistration: {imagePullPolicy: Sometimes}\n", 3, "no such value"),
		initial("taint", "nodeRegistration: {taints: [{key: a, effect: Maybe}]}\n", 3, "no such value"),
		initial("all and more", "nodeRegistration: {ignorePreflightErrors: [all, Swap]}\n", 3, "together with names"),
		initial("token", "bootstrapTokens:\n- token: hunter2\n", 4, "not a bootstrap token"),
		initial("token's usage", "bootstrapTokens: [{usages: [cooking]}]\n", 3, "no such value"),
		initial("token's group", "bootstrapTokens: [{groups: [\"system:masters\"]}]\n", 3, "not a group of bootstrappers"),
		initial("token's end", "bootstrapTokens: [{ttl: 1h, expires: \"2030-01-01T00:00:00Z\"}]\n", 3, "both ttl and expires"),
		initial("certificate key", "certificateKey: hunter2\n", 3, "not a key of 32 bytes"),
		initial("timeout", "timeouts: {etcdAPICall: -1s}\n", 3, "not more than zero"),
		join("nothing to discover by", "", 1, "neither bootstrapToken nor file"),
		join("two ways", "discovery:\n  bootstrapToken: {token: a}\n  file: {kubeConfigPath: /x}\n", 3, "both bootstrapToken and file"),
		join("no hashes", "discovery:\n  bootstrapToken: {token: abcdef.0123456789abcdef, apiServerEndpoint: \"e:6443\"}\n", 4,
			"pose as the cluster"),
		join("hash", "discovery:\n  bootstrapToken: {token: abcdef.0123456789abcdef, apiServerEndpoint: \"e:6443\",\n"+
			"    caCertHashes: [\"sha256:1\"]}\n", 5, "not a hash"),
		verb("join", "token", strings.Replace(tokenJoin, "0123456789", "hunter2", 1)+"    apiServerEndpoint: e:6443\n", 5,
			"not a bootstrap token"),
		verb("join", "endpoint without port", tokenJoin+"    apiServerEndpoint: e\n", 7, "not HOST:PORT"),
		verb("join", "no endpoint", tokenJoin, 4, "not HOST:PORT"),
		join("kubeconfig by http", "discovery: {file: {kubeConfigPath: \"http://e/x\"}}\n", 3, "https URL"),
		verb("join", "CA's path", tokenJoin+"    apiServerEndpoint: e:6443\ncaCertPath: ca.crt\n", 8, "not an absolute path"),
		verb("join", "control plane's address",
			tokenJoin+"    apiServerEndpoint: e:6443\ncontrolPlane: {localAPIEndpoint: {advertiseAddress: x}}\n", 8,
			"not an IP address"),
		verb("reset", "unmount flag", resetHead+"unmountFlags: [MNT_FORCE, MNT_HARDER]\n", 3, "no such value"),
		verb("reset", "certificates", resetHead+"certificatesDir: pki\n", 3, "not an absolute path"),
		verb("upgrade", "version", upgradeHead+"apply: {kubernetesVersion: v1.30.0}\n", 3, "only Kubernetes"),
		verb("upgrade", "patches", upgradeHead+"node: {patches: {directory: patches}}\n", 3, "not an absolute path"),
		verb("upgrade", "pull policy", upgradeHead+"apply: {imagePullPolicy: x}\n", 3, "no such value"),
		ours("back-off", "crashLoopBackOff: {initialPeriod: 1h}\n", 6, "longer than the maximum"),
		ours("a long back-off", "crashLoopBackOff: {maxContainerRestartPeriod: 301s}\n", 6, "between 1s and 300s"),
		ours("log files", "containerLogMaxFiles: 1\n", 6, "at least 2"),
		ours("log size", "containerLogMaxSize: \"10\"\n", 6, "less than 4Ki"),
		ours("URL", "staticPodURL: ftp://x\n", 6, "not a URL"),
		ours("metrics for all", "metricsBindAddress: 0.0.0.0:10260\n", 6, "not a loopback address"),
		ours("metrics by name", "metricsBindAddress: localhost:10260\n", 6, "not an IP address with a port"),
		ours("metrics without port", "metricsBindAddress: 127.0.0.1\n", 6, "not an IP address with a port"),
		ours("period", "fileCheckFrequency: 0s\n", 6, "not more than zero"),
	}
}

func bomb() string {
	text := ""
	for c := 'a'; c < 'g'; c++ {
		inner := "x,x,x,x,x,x,x,x"
		if c > 'a' {
			inner = strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 8), ",")
		}
		text += "x" + string(c) + ": &" + string(c) + " [" + inner + "]\n"
	}
	return text
}

// Every invalid file is refused, quickly, with the line and a remedy, and without a secret in the text.
func TestInvalidFiles(t *testing.T) {
	t.Parallel()
	files := invalidFiles()
	if len(files) < 80 {
		t.Errorf("only %d files", len(files))
	}
	names := map[string]bool{}
	for _, tc := range files {
		if names[tc.verb+tc.name] {
			t.Errorf("%s stands twice", tc.name)
		}
		names[tc.verb+tc.name] = true
		t.Run(tc.verb+" "+tc.name, func(t *testing.T) {
			start := time.Now()
			_, errs := load(tc.verb, tc.text)
			if took := time.Since(start); took > 10*time.Second { // a bomb that goes off, not a busy machine; the aim is a second
				t.Errorf("took %v", took)
			}
			all := errors.Join(errs...)
			found := false
			for _, err := range errs {
				var fe *FieldError
				if !errors.As(err, &fe) || fe.Hint() == "" {
					t.Errorf("no remedy: %v", err)
					continue
				}
				place := fmt.Sprintf("k.yaml:%d: ", tc.line)
				found = found || strings.HasPrefix(err.Error(), place) && strings.Contains(err.Error(), tc.want)
			}
			if !found {
				t.Errorf("no error in line %d that says %q, but:\n%v", tc.line, tc.want, all)
			}
			if strings.Contains(fmt.Sprint(all), "hunter2") {
				t.Errorf("a secret shows: %v", all)
			}
		})
	}
}

// What is misspelled or in the wrong place is told where it belongs.
func TestRemedies(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		clusterHead + "networking: {serviceSubnets: x}\n":               `Did you mean "serviceSubnet"?`,
		clusterHead + "clustername: a\n":                                `Did you mean "clusterName"?`,
		clusterHead + "localAPIEndpoint: {}\n":                          "It belongs in the InitConfiguration.",
		clusterHead + "apiServer: {timeoutForControlPlane: 4m}\n":       "timeouts.controlPlaneComponentHealthCheck",
		initHead + "networking: {}\n":                                   "It belongs in the ClusterConfiguration.",
		initHead + "containerLogMaxSize: 1Mi\n":                         "It belongs in the SupervisorConfiguration.",
		initHead + "force: true\n":                                      "It belongs in the ResetConfiguration.",
		head + "ClusterConfig\n":                                        `Did you mean "ClusterConfiguration"?`,
		clusterHead + "dns: {xyzzy: 1}\n":                               "one of: disabled, imageRepository, imageTag",
		clusterHead + "scheduler: {extraArgs: {v: \"4\"}}\n":            "v1beta4 has a list",
		clusterHead + "kubernetesVersion: 1.36\n":                       "Put it in quotes.",
		"apiVersion: kubeadm.k8s.io/v1beta1\nkind: InitConfiguration\n": "kubeadm 1.15",
	} {
		_, errs := Parse("k.yaml", []byte(text))
		var fe *FieldError
		if len(errs) != 1 || !errors.As(errs[0], &fe) || !strings.Contains(fe.Hint(), want) {
			t.Errorf("%q: %v\n%+v", text, errs, fe)
		}
	}
}

// All errors of a file are found in one go, of all its documents, in order.
func TestAllErrorsOfAFile(t *testing.T) {
	t.Parallel()
	_, errs := Parse("k.yaml", []byte(clusterHead+"a: 1\nclusterName: 2\n---\nb: [\n---\n"+initHead+"c: 3\n"))
	var lines []string
	for _, err := range errs {
		place, _, _ := strings.Cut(err.Error(), ": ")
		lines = append(lines, place)
	}
	if got := strings.Join(lines, " "); got != "k.yaml:6 k.yaml:3 k.yaml:4 k.yaml:10" {
		t.Errorf("%s\n%v", got, errors.Join(errs...))
	}
}
