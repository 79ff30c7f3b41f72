package manifests

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/templates"
)

var update = flag.Bool("update", false, "write the golden files anew")

func testConfig(root string) config.Config {
	c := config.Default(root).Complete(config.HostFacts{Hostname: "n", DefaultAddress: netip.MustParseAddr("10.1.2.3")})
	c.Runtime = config.RuntimeContainerd // exactly kubeadm's manifests
	return c
}

func prefixes(s string) []netip.Prefix {
	out, err := config.ParseSubnets(s)
	if err != nil {
		panic(err)
	}
	return out
}

type testCase struct {
	config func(*config.Config)
	host   Host
}

// cases are the configurations of the goldens, by file name.
func cases() map[string]testCase {
	only := func(f func(*config.Config)) testCase { return testCase{config: f} }
	return map[string]testCase{
		"default":         only(func(*config.Config) {}),
		"process-runtime": only(func(c *config.Config) { c.Runtime = config.RuntimeProcess }),
		"root":            {func(c *config.Config) { *c = testConfig("/srv/a b") }, Host{CADirs: OptionalCADirs()}},
		"port-offset":     only(func(c *config.Config) { c.PortOffset = 1000 }),
		"loopback":        only(func(c *config.Config) { c.Node.AdvertiseAddress = netip.MustParseAddr("127.0.0.1") }),
		"ipv6": only(func(c *config.Config) {
			c.Node.AdvertiseAddress = netip.MustParseAddr("fd00::1")
			c.Networking.ServiceSubnets = prefixes("fd00:1::/108")
			c.PortOffset = 10
		}),
		"dual-stack": only(func(c *config.Config) {
			c.Networking.ServiceSubnets = prefixes("10.96.0.0/16,fd00:1::/108")
			c.Networking.PodSubnets = prefixes("10.244.0.0/16,fd00:2::/56")
		}),
		"pod-subnet": only(func(c *config.Config) { c.Networking.PodSubnets = prefixes("10.244.0.0/16") }),
		"external-etcd": only(func(c *config.Config) {
			c.Etcd.External = &config.ExternalEtcd{Endpoints: []string{"https://10.0.0.1:2379", "https://[fd00::2]:2379"},
				CAFile: "/etc/etcd/ca/ca.crt", CertFile: "/etc/etcd/client.crt", KeyFile: "/etc/kubernetes/pki/etcd.key"}
		}),
		"external-etcd-http": only(func(c *config.Config) {
			c.Etcd.External = &config.ExternalEtcd{Endpoints: []string{"http://10.0.0.1:2379"}}
		}),
		"endpoint-and-sans": only(func(c *config.Config) {
			c.ControlPlaneEndpoint = "lb.example.com:8443"
			c.APIServer.CertSANs = []string{"api.example.com"}
			c.Node.BindPort = 8443
			c.Networking.DNSDomain = "example.org"
			c.ClusterName = "prod: 'eu' #1"
		}),
		"images": only(func(c *config.Config) {
			c.KubernetesVersion = "v1.36.3+local.1"
			c.ImageRepository = "registry.example.com:5000/k8s"
			c.Etcd.ImageRepository, c.Etcd.ImageTag = "quay.io/coreos", "v3.6.9"
		}),
		"extra": {extra, Host{ProxyEnv: []config.Env{{Name: "HTTPS_PROXY", Value: "http://p:3128"}, {Name: "NO_PROXY",
			Value: "10.0.0.0/8,*.svc"}}}},
		"ca-dirs": {func(*config.Config) {}, Host{CADirs: []string{"/usr/share/ca-certificates", "/etc/pki/ca-trust",
			"/etc/ssl/certs", "/other"}}},
		"external-ca": {func(*config.Config) {}, Host{ExternalCA: true}},
		"rootless": {func(c *config.Config) {}, Host{Users: &Users{Etcd: User{1, 2}, APIServer: User{3, 4},
			ControllerManager: User{5, 6}, Scheduler: User{7, 8}, KeyReaders: 9}}},
		"timeouts": only(func(c *config.Config) { c.Timeouts.ControlPlaneComponentHealthCheck = 61 * time.Second }),
		"v1.35":    only(func(c *config.Config) { c.KubernetesVersion = "v1.35.4" }),
		"v1.34-old-etcd": only(func(c *config.Config) {
			c.KubernetesVersion, c.Etcd.ImageTag = "v1.34.4", "3.5.24-0"
			c.ControllerManager.ExtraArgs = []config.Arg{{Name: "flex-volume-plugin-dir", Value: "/opt/flex"}}
		}),
		"structured-authorization": only(func(c *config.Config) {
			c.APIServer.ExtraArgs = []config.Arg{{Name: "authorization-config", Value: "/etc/kubernetes/authz.yaml"}}
		}),
	}
}

// extra sets all that a user can change in the components.
func extra(c *config.Config) {
	c.APIServer.ExtraArgs = []config.Arg{{Name: "v", Value: "4"}, {Name: "enable-admission-plugins",
		Value: "NodeRestriction,PodNodeSelector"},
		{Name: "audit-policy-file", Value: "/etc/audit \"policy\".yaml"}, {Name: "service-account-issuer", Value: "https://a"},
		{Name: "service-account-issuer", Value: "https://b"}}
	c.APIServer.ExtraVolumes = []config.HostPathMount{
		{Name: "z-audit", HostPath: "/var/log/audit", MountPath: "/audit", PathType: "DirectoryOrCreate"},
		{Name: "ca-certs", HostPath: "/opt/certs", MountPath: "/etc/ssl/certs", ReadOnly: true},
	}
	c.APIServer.ExtraEnvs = []config.Env{
		{Name: "NO_PROXY", Value: "none"}, {Name: "EMPTY"}, {Name: "LINES", Value: "a\nb: \u00e9\u2028\U0001f600\x07"},
		{Name: "TRUE", Value: "true"},
		{Name: "NODE_IP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.hostIP"}}},
		{Name: "LONG", Value: strings.Repeat("word ", 40)},
	}
	c.ControllerManager.ExtraArgs = []config.Arg{{Name: "bind-address", Value: "0.0.0.0"}, {Name: "secure-port", Value: "11257"}}
	c.Scheduler.ExtraArgs = []config.Arg{{Name: "bind-address", Value: "10.1.2.3"}, {Name: "config", Value: "/etc/s.yaml"}}
	c.Scheduler.ExtraVolumes = []config.HostPathMount{{Name: "config", HostPath: "/etc/s.yaml", MountPath: "/etc/s.yaml",
		ReadOnly: true, PathType: "File"}}
	c.Etcd.ExtraArgs = []config.Arg{{Name: "listen-metrics-urls", Value: "https://[::1]:9381,http://x:1"},
		{Name: "advertise-client-urls", Value: "https://etcd.example.com:2379"}}
	c.Etcd.ExtraEnvs = []config.Env{{Name: "ETCD_LOG_LEVEL", Value: "debug"}}
}

// The bytes of every configuration are the golden ones; what changed is to be seen in a diff.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, tc := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testConfig("")
			tc.config(&c)
			if errs := c.Validate(); len(errs) > 0 {
				t.Fatal(errs)
			}
			files, err := Render(c, tc.host)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for _, f := range files {
				got.WriteString("--- # " + f.Name + "\n")
				got.Write(f.Data)
			}
			golden := filepath.Join("testdata", "golden", name+".yaml")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("not as in %s (write it anew with -update):\n%s", golden, firstDifference(got.String(), string(want)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "got  " + g[i] + "\nwant " + w[i]
		}
	}
	return "one is longer"
}

// The files are the bytes that kubeadm's marshaller writes, and mean the same when they are read again.
func TestBytesAreKubeadms(t *testing.T) {
	t.Parallel()
	for name, tc := range cases() {
		c := testConfig("")
		tc.config(&c)
		files, err := Render(c, tc.host)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if again, err := decode(f.Data); err != nil || !reflect.DeepEqual(again, f.Pod) {
				t.Errorf("%s %s reads as another pod: %v", name, f.Name, err)
			}
			encoded, err := yaml.Marshal(f.Pod)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(encoded, f.Data) {
				t.Errorf("%s %s: %s", name, f.Name, firstDifference(string(f.Data), string(encoded)))
			}
		}
	}
}

// Same input, same bytes, whatever the order of maps; and the input stays as it was.
func TestRenderIsPure(t *testing.T) {
	t.Parallel()
	c, untouched := testConfig(""), testConfig("")
	extra(&c)
	extra(&untouched)
	host := cases()["extra"].host
	first, err := Render(c, host)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := Render(c, host)
		if err != nil || !reflect.DeepEqual(first, again) {
			t.Fatal("rendered differently", err)
		}
	}
	if !reflect.DeepEqual(c, untouched) {
		t.Error("Render changed its input")
	}
}

// Hostile values arrive as they are, and never become YAML of their own.
func TestHostileValues(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"a: b", "- x", "#c", "'", `"`, "{{.Name}}", "a\nprivileged: true", "\t", "*a", "&a", "!!int 1", "|",
		"> x", "%", "@", "`", "", " ", "~", "yes", "0x10", "1e3", "2026-01-01", "é", "\u2028", "\u0085", "\U0001f600",
		"\ufeff", "a b ", strings.Repeat("x y ", 100)} {
		c := testConfig("")
		c.Scheduler.ExtraArgs = []config.Arg{{Name: "x", Value: v}}
		c.Scheduler.ExtraEnvs = []config.Env{{Name: "X", Value: v}}
		c.Scheduler.ExtraVolumes = []config.HostPathMount{{Name: "x", HostPath: "/" + v, MountPath: "/" + v}}
		files, err := Render(c, Host{})
		if err != nil {
			t.Errorf("%q: %v", v, err)
			continue
		}
		if again, err := decode(files[3].Data); err != nil || !reflect.DeepEqual(again, files[3].Pod) {
			t.Errorf("%q: the file reads as another pod: %v\n%s", v, err, files[3].Data)
		}
		container, volumes := files[3].Pod.Spec.Containers[0], files[3].Pod.Spec.Volumes
		if got := container.Command[len(container.Command)-1]; got != "--x="+v {
			t.Errorf("%q became %q", v, got)
		}
		if container.Env[0].Value != v || container.VolumeMounts[1].MountPath != "/"+v || volumes[1].HostPath.Path != "/"+v {
			t.Errorf("%q became %+v %+v", v, container, volumes)
		}
	}
	for _, v := range []string{"a\x00", "\xff", "\x7f"} {
		c := testConfig("")
		c.Scheduler.ExtraArgs = []config.Arg{{Name: "x", Value: v}}
		if _, err := Render(c, Host{}); err == nil {
			t.Errorf("%q is rendered", v)
		}
	}
}

// The annotations are those that the supervisor reads.
func TestAnnotations(t *testing.T) {
	t.Parallel()
	files, err := Render(testConfig(""), Host{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []map[string]string{
		{},
		{runtime.StopBeforeAnnotation: Etcd},
		{runtime.StartAfterAnnotation: APIServer},
		{runtime.StartAfterAnnotation: APIServer},
	} {
		want[runtime.EagerProbeAnnotation] = "25ms"
		got := map[string]string{}
		for k, v := range files[i].Pod.Annotations {
			if strings.HasPrefix(k, "kubecrank.dev/") {
				got[k] = v
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v", files[i].Name, got)
		}
	}
}

// Every template has all its values in a pod, also in the zero one. None is left over.
func TestTemplatesHaveTheirValues(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../templates/*.yaml.tmpl")
	if err != nil || len(files) != len(podNames()) {
		t.Fatal(files, err)
	}
	for _, name := range podNames() {
		for _, p := range []pod{{Name: name}, {Name: name, StopBefore: "x", Users: &Users{}}} {
			filled, err := templates.Execute(name+".yaml", p)
			if err != nil || bytes.Contains(filled, []byte("{{")) {
				t.Errorf("%s: %v: %s", name, err, filled)
			}
			if _, err := decode(filled); err != nil {
				t.Errorf("%s: %v: %s", name, err, filled)
			}
		}
	}
	if _, err := templates.Execute(Etcd+".yaml", nil); err == nil || !strings.Contains(err.Error(), ".Address") {
		t.Errorf("a place without a value is filled in: %v", err)
	}
}

func BenchmarkRender(b *testing.B) {
	c := testConfig("")
	extra(&c)
	for b.Loop() {
		if _, err := Render(c, Host{}); err != nil {
			b.Fatal(err)
		}
	}
}
