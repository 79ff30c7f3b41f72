package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// load does what cmd/cli does with a file.
func load(verb, text string) (Config, []error) {
	d, errs := Parse("k.yaml", []byte(text))
	c, more := d.Apply(verb, Default(""))
	errs = append(errs, more...)
	c = c.Complete(HostFacts{Hostname: "node-1", DefaultAddress: netip.MustParseAddr("10.1.2.3")})
	return c, append(errs, d.Locate(verb, c.Validate())...)
}

const everything = `
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens:
- token: abcdef.0123456789abcdef
  description: d
  ttl: 1h
  usages: [signing]
  groups: []
- expires: 2030-01-01T00:00:00Z
dryRun: yes
nodeRegistration:
  name: Node-7
  criSocket: unix:///run/x.sock
  taints: []
  kubeletExtraArgs: [{name: v, value: "5"}]
  ignorePreflightErrors: [Swap]
  imagePullPolicy: Never
  imagePullSerial: false
localAPIEndpoint: {advertiseAddress: 192.0.2.7, bindPort: 7443}
certificateKey: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
skipPhases: [addon]
patches: {directory: /patches}
timeouts:
  controlPlaneComponentHealthCheck: 1m
  kubeletHealthCheck: 2m
  kubernetesAPICall: 3m
  etcdAPICall: 4m
  tlsBootstrap: 5m30s
  discovery: 6m
  upgradeManifests: 7m
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
etcd:
  local:
    imageRepository: example.com/etcd
    imageTag: 3.6.9
    dataDir: /data/
    extraArgs: [{name: a, value: b}]
    extraEnvs: [{name: A, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]
    serverCertSANs: [S.example.com]
    peerCertSANs: [192.0.2.8]
networking: {serviceSubnet: "10.0.0.0/16,fd00::/112", podSubnet: "10.1.0.0/16,fd01::/56", dnsDomain: example.org}
kubernetesVersion: 1.35.4
controlPlaneEndpoint: lb.example.com:443
apiServer:
  extraArgs: [{name: v, value: "4"}, {name: v, value: "5"}]
  extraVolumes: [{name: x, hostPath: /x, mountPath: /y, readOnly: true, pathType: File}]
  extraEnvs: [{name: B, value: c}]
  certSANs: [api.example.com]
controllerManager: {extraArgs: [{name: v, value: "6"}]}
scheduler: {extraArgs: [{name: v, value: "7"}]}
dns: {imageRepository: example.com/dns, imageTag: v1, disabled: true}
proxy: {disabled: true}
certificatesDir: /pki
imageRepository: example.com/k8s
featureGates: {RootlessControlPlane: true}
clusterName: c7
encryptionAlgorithm: RSA-3072
certificateValidityPeriod: 100h
caCertificateValidityPeriod: 200h
---
apiVersion: kubecrank.dev/v1alpha1
kind: SupervisorConfiguration
crashLoopBackOff: {initialPeriod: 1s, maxContainerRestartPeriod: 2s}
containerLogMaxSize: 1Mi
containerLogMaxFiles: 3
fileCheckFrequency: 4s
httpCheckFrequency: 5s
staticPodURL: http://example.com/x
staticPodURLHeader: {Authorization: [Bearer x]}
metricsBindAddress: 127.0.0.1:9
--- # passed on
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
anything: {goes: [here, 1, true]}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
`

// Every field of the documents arrives in the Config.
func TestApplyInit(t *testing.T) {
	t.Parallel()
	got, errs := load("init", everything)
	if len(errs) > 0 {
		t.Fatal(errors.Join(errs...))
	}
	if !strings.Contains(string(got.KubeletConfiguration), "anything: {goes") ||
		!strings.Contains(string(got.KubeProxyConfiguration), "nftables") {
		t.Error("the documents of kubelet and kube-proxy are not passed on")
	}
	got.KubeletConfiguration, got.KubeProxyConfiguration = nil, nil
	want := Config{
		Runtime: RuntimeProcess, KubernetesVersion: "v1.35.4", ClusterName: "c7", ImageRepository: "example.com/k8s",
		ControlPlaneEndpoint: "lb.example.com:443", CertificatesDir: "/pki",
		Networking: Networking{ServiceSubnets: subnets(t, "10.0.0.0/16,fd00::/112"), PodSubnets: subnets(t, "10.1.0.0/16,fd01::/56"),
			DNSDomain: "example.org"},
		Node: Node{Name: "node-7", AdvertiseAddress: netip.MustParseAddr("192.0.2.7"), BindPort: 7443, CRISocket: "unix:///run/x.sock",
			Taints: []corev1.Taint{}, KubeletExtraArgs: []Arg{{"v", "5"}}, ImagePullPolicy: "Never"},
		Etcd: Etcd{DataDir: "/data", ImageRepository: "example.com/etcd", ImageTag: "3.6.9", ExtraArgs: []Arg{{"a", "b"}},
			ExtraEnvs: []Env{{Name: "A",
				ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.hostIP"}}}},
			ServerCertSANs: []string{"s.example.com"}, PeerCertSANs: []string{"192.0.2.8"}},
		APIServer: APIServer{CertSANs: []string{"api.example.com"}, Component: Component{ExtraArgs: []Arg{{"v", "4"}, {"v", "5"}},
			ExtraVolumes: []HostPathMount{{"x", "/x", "/y", true, "File"}}, ExtraEnvs: []Env{{Name: "B", Value: "c"}}}},
		ControllerManager: Component{ExtraArgs: []Arg{{"v", "6"}}},
		Scheduler:         Component{ExtraArgs: []Arg{{"v", "7"}}},
		KeyAlgorithm:      RSA3072, CertificateValidity: 100 * time.Hour, CACertificateValidity: 200 * time.Hour,
		Timeouts: Timeouts{time.Minute, 3 * time.Minute, 4 * time.Minute, 6 * time.Minute, 2 * time.Minute,
			5*time.Minute + 30*time.Second, 7 * time.Minute},
		FeatureGates:          map[string]bool{"RootlessControlPlane": true},
		IgnorePreflightErrors: []string{"swap"}, SkipPhases: []string{"addon"}, Patches: "/patches",
		DNS: Addon{"example.com/dns", "v1", true}, Proxy: Addon{Disabled: true},
		BootstrapTokens: []BootstrapToken{
			{Token: "abcdef.0123456789abcdef", Description: "d", TTL: time.Hour, Usages: []string{"signing"}, Groups: []string{}},
			{Expires: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), Usages: []string{"signing", "authentication"},
				Groups: []string{"system:bootstrappers:kubeadm:default-node-token"}},
		},
		CertificateKey: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
		Supervisor: Supervisor{time.Second, 2 * time.Second, 1 << 20, 3, 4 * time.Second, 5 * time.Second, "http://example.com/x",
			map[string][]string{"Authorization": {"Bearer x"}}, "127.0.0.1:9"},
	}
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		if !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", g.Type().Field(i).Name, g.Field(i), w.Field(i))
		}
	}
	d, _ := Parse("k.yaml", []byte(everything))
	if !d.Init.DryRun {
		t.Error("dryRun: yes is not true")
	}
	if strings.Contains(fmt.Sprintf("%+v %#v", got.CertificateKey, got.BootstrapTokens), "0123") {
		t.Error("a secret shows itself")
	}
}

// The older form says the same, and is warned of.
func TestV1beta3(t *testing.T) {
	t.Parallel()
	d, errs := Parse("k.yaml", []byte(beta3))
	c, more := d.ApplyInit(Default(""))
	if errs = append(errs, more...); len(errs) > 0 {
		t.Fatal(errs)
	}
	if want := []Arg{{"a", "1"}, {"b", "2"}}; !reflect.DeepEqual(c.APIServer.ExtraArgs, want) {
		t.Errorf("%+v", c.APIServer)
	}
	if c.Timeouts.ControlPlaneComponentHealthCheck != 3*time.Minute || c.Node.KubeletExtraArgs[0] != (Arg{"v", "2"}) ||
		c.Etcd.ExtraArgs[0] != (Arg{"c", "d"}) || c.APIServer.CertSANs[0] != "a.example.com" {
		t.Errorf("%+v", c)
	}
	if len(d.Warnings) != 3 {
		t.Error(d.Warnings)
	}
}

const beta3 = `apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
apiServer:
  timeoutForControlPlane: 3m
  certSANs: [a.example.com]
  extraArgs: {b: "2", a: "1"}
etcd: {local: {extraArgs: {c: d}}}
---
# a comment that stays
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
---
apiVersion: kubeadm.k8s.io/v1beta3
kind: InitConfiguration
nodeRegistration: {kubeletExtraArgs: {v: "2"}, taints: []}
`

// A migrated file says the same as the old one, without a warning, and migrating it again changes nothing.
func TestMigrate(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]string{
		"v1beta3":  beta3,
		"v1beta4":  everything,
		"no init":  "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\napiServer: {timeoutForControlPlane: 3m}\n",
		"mixed":    strings.Replace(beta3, "kubeadm.k8s.io/v1beta3\nkind: Init", "kubeadm.k8s.io/v1beta4\nkind: Init", 1),
		"CRLF":     strings.ReplaceAll(everything, "\n", "\r\n"),
		"join":     "apiVersion: kubeadm.k8s.io/v1beta3\nkind: JoinConfiguration\ndiscovery: {timeout: 7m, file: {kubeConfigPath: /x}}\n",
		"empty":    "apiVersion: kubeadm.k8s.io/v1beta3\nkind: InitConfiguration\n",
		"one line": "--- {apiVersion: kubeadm.k8s.io/v1beta4, kind: InitConfiguration}\n",
	} {
		old = strings.Replace(old, "kubeletExtraArgs: {v: \"2\"}, taints", map[bool]string{true: "taints",
			false: "kubeletExtraArgs: {v: \"2\"}, taints"}[name == "mixed"], 1)
		migrated, errs := Migrate("k.yaml", []byte(old))
		if len(errs) > 0 {
			t.Errorf("%s: %v", name, errs)
			continue
		}
		again, errs := Migrate("k.yaml", migrated)
		if len(errs) > 0 || string(again) != string(migrated) {
			t.Errorf("%s: changes again: %v\n%s\n%s", name, errs, migrated, again)
		}
		verb := "init"
		if name == "join" {
			verb = "join"
		}
		before, _ := Parse("k.yaml", []byte(old))
		after, _ := Parse("k.yaml", migrated)
		b, _ := before.Apply(verb, Default(""))
		a, _ := after.Apply(verb, Default(""))
		b.KubeletConfiguration, a.KubeletConfiguration, b.KubeProxyConfiguration, a.KubeProxyConfiguration = nil, nil, nil, nil
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: says something else:\n%s\n%+v\n%+v", name, migrated, b, a)
		}
		if strings.Contains(strings.Join(after.Warnings, "\n"), "deprecated") || strings.Contains(string(migrated), "v1beta3") {
			t.Errorf("%s: %v\n%s", name, after.Warnings, migrated)
		}
		if name == "v1beta3" && !strings.Contains(string(migrated), "# a comment that stays") {
			t.Errorf("%s", migrated)
		}
	}
}

// With a root the paths of a file lie below it, as for kubeadm --rootfs.
func TestApplyBelowRoot(t *testing.T) {
	t.Parallel()
	d, _ := Parse("k.yaml",
		[]byte("apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\ncertificatesDir: /etc/kubernetes/pki\n"+
			"etcd: {local: {dataDir: /srv/a/data}}\n"))
	c, errs := d.ApplyInit(Default("/srv/a"))
	if len(errs) > 0 || c.CertificatesDir != "/srv/a/etc/kubernetes/pki" || c.Etcd.DataDir != "/srv/a/data" {
		t.Errorf("%+v %v", c, errs)
	}
	d, _ = Parse("k.yaml", []byte("apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"+
		"etcd: {external: {endpoints: [\"https://e:1\"], caFile: /../etc/ca.crt, certFile: /c, keyFile: /k}}\n"))
	c, _ = d.ApplyInit(Default("/srv/a"))
	if c.Etcd.External.CAFile != "/srv/a/etc/ca.crt" {
		t.Errorf("%+v", c.Etcd.External)
	}
}

// The printed files are the defaults, and say every field that there is.
func TestDefaultsText(t *testing.T) {
	t.Parallel()
	for _, verb := range Verbs() {
		text, err := Defaults(verb)
		if err != nil {
			t.Fatal(err)
		}
		c, errs := load(verb, string(text))
		if len(errs) > 0 {
			t.Errorf("%s: %v", verb, errors.Join(errs...))
		}
		want := Default("").Complete(HostFacts{Hostname: "node-1", DefaultAddress: netip.MustParseAddr("10.1.2.3")})
		c.Join, c.FeatureGates = nil, nil
		c.APIServer.CertSANs = nil
		if !reflect.DeepEqual(c, want) {
			t.Errorf("%s is not the default:\n%+v\n%+v", verb, c, want)
		}
		// What is commented out is right too: "#name:" and "#- name:" are fields, "# text" is not.
		var open strings.Builder
		for line := range strings.Lines(string(text)) {
			trimmed := strings.TrimLeft(line, " ")
			if strings.HasPrefix(trimmed, "#") && !strings.HasPrefix(trimmed, "# ") || strings.HasPrefix(trimmed, "#  ") {
				line = strings.Replace(line, "#", "", 1)
			}
			open.WriteString(line)
		}
		d, errs := Parse("k.yaml", []byte(open.String()))
		if len(errs) > 0 {
			t.Errorf("%s uncommented: %v\n%s", verb, errors.Join(errs...), open.String())
		}
		for _, document := range []any{d.Init, d.Cluster, d.Join, d.Reset, d.Upgrade, d.Supervisor} {
			if v := reflect.ValueOf(document); !v.IsNil() {
				unset(t, verb, v.Elem(), v.Type().Elem().Name())
			}
		}
	}
	if _, err := Defaults("explode"); err == nil {
		t.Error("there are defaults of a verb that there is not")
	}
}

// unset reports fields that a default file does not mention. Booleans and empty lists are mentioned with their zero values.
func unset(t *testing.T, verb string, v reflect.Value, at string) {
	t.Helper()
	for i := range v.NumField() {
		f := v.Field(i)
		name := at + "." + v.Type().Field(i).Name
		switch {
		case v.Type().Field(i).PkgPath != "" || strings.Contains(name, "EnvVar") || strings.HasSuffix(name, ".Expires"):
		case f.Kind() == reflect.Pointer && f.IsNil(), f.Kind() == reflect.String && f.Len() == 0, f.Kind() == reflect.Slice && f.IsNil():
			t.Errorf("%s: %s is not in the file", verb, name)
		case f.Kind() == reflect.Struct:
			unset(t, verb, f, name)
		case f.Kind() == reflect.Pointer && f.Elem().Kind() == reflect.Struct && !strings.Contains(f.Type().String(), "Duration") &&
			!strings.Contains(f.Type().String(), "Quantity"):
			unset(t, verb, f.Elem(), name)
		}
	}
}

func TestGoesWithFile(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]bool{"config": true, "skip-phases": true, "node-name": true, "root": true, "service-cidr": false,
		"kubernetes-version": false, "cert-dir": false} {
		if GoesWithFile(flag) != want {
			t.Errorf("%s: %v", flag, !want)
		}
	}
}

// No input makes Parse, Apply, Validate or Migrate fail in another way than by an error with a place and a remedy.
func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(beta3))
	for _, tc := range invalidFiles() {
		if len(tc.text) < 4<<10 { // the fuzzer spends its time on making large ones smaller
			f.Add([]byte(tc.text))
		}
	}
	for _, verb := range Verbs() {
		text, _ := Defaults(verb)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, errs := Parse("k.yaml", data)
		parsed := len(errs)
		for _, verb := range Verbs() {
			c, more := d.Apply(verb, Default("/srv/a"))
			errs = append(errs, more...)
			errs = append(errs, d.Locate(verb, c.Complete(HostFacts{Hostname: "n",
				DefaultAddress: netip.MustParseAddr("10.1.2.3")}).Validate())...)
		}
		for _, err := range errs {
			var fe *FieldError
			if !errors.As(err, &fe) || fe.Hint() == "" || fe.Field == "" || fe.Problem == "" {
				t.Errorf("%#v", err)
			}
		}
		if parsed > 0 {
			return
		}
		migrated, errs := Migrate("k.yaml", data)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		if _, errs := Parse("k.yaml", migrated); len(errs) > 0 {
			t.Errorf("what was migrated is refused: %v\n%s", errs, migrated)
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, errs := load("init", everything); len(errs) > 0 {
			b.Fatal(errs)
		}
	}
}
