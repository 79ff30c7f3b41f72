package facts

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/resource"
)

func mustGather(t *testing.T, cfg config.Config) Facts {
	t.Helper()
	f, err := Gather(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Every path that init may touch was looked at, or follows from what was:
// otherwise a dry-run would say "new" of what is there.
func TestGatherLooksAtAllThatInitTouches(t *testing.T) {
	root := t.TempDir()
	cfg := config.Default(root)
	cfg.CertificatesDir = filepath.Join(root, "certs/of/mine")
	cfg.Etcd.DataDir = filepath.Join(root, "data/etcd")
	paths := cfg.Paths()
	var touched []string
	for _, spec := range pki.Specs(cfg) {
		touched = append(touched, filepath.Join(paths.PKI, spec.CertFile()), filepath.Join(paths.PKI, spec.KeyFile()))
	}
	for _, spec := range pki.KubeconfigSpecs(cfg) {
		touched = append(touched, filepath.Join(paths.Kubernetes, spec.Name))
	}
	touched = append(touched, filepath.Join(paths.PKI, "sa.key"), filepath.Join(paths.PKI, "sa.pub"), paths.Socket,
		filepath.Join(paths.Manifests, "etcd.yaml"), filepath.Join(paths.EtcdData, "member"), filepath.Join(paths.Components, "cafe"))
	f := mustGather(t, cfg)
	for _, path := range touched {
		if seen := f.Look(path); seen.Kind != resource.Absent {
			t.Errorf("on a bare machine %s is %+v", path, seen)
		}
	}
	for _, path := range touched {
		write(t, path, path)
	}
	f = mustGather(t, cfg)
	for _, path := range touched {
		if seen := f.Look(path); seen.Kind != resource.Regular || strings.HasPrefix(path, paths.PKI) && string(seen.Data) != path {
			t.Errorf("%s is %+v", path, seen)
		}
	}
	if seen := f.Look("/somewhere/else"); seen.Kind == resource.Absent {
		t.Error("what nobody looked at is said not to be there")
	}
}

// In an empty directory nothing is, also if the directory is only looked at as one that others write into.
func TestGatherKnowsEmptyDirectories(t *testing.T) {
	cfg := config.Default(t.TempDir())
	paths := cfg.Paths()
	for _, dir := range []string{paths.PKI, paths.PodLogs, paths.EtcdData} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		seen := mustGather(t, cfg).Look(filepath.Join(dir, "something"))
		if seen.Kind != resource.Absent {
			t.Errorf("in the empty directory %s there is %+v", dir, seen)
		}
	}
}

// What may not be read is a fact.
func TestGatherWithoutRights(t *testing.T) {
	if os.Geteuid() == 0 {
		runAsNobody(t)
		return
	}
	root := t.TempDir()
	cfg := config.Default(root)
	paths := cfg.Paths()
	write(t, filepath.Join(paths.PKI, "ca.key"), "x")
	write(t, paths.Journal, "x")
	for _, path := range []string{filepath.Join(paths.PKI, "ca.key"), paths.Journal} {
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(paths.EtcdData, 0o100); err != nil {
		t.Fatal(err)
	}
	f := mustGather(t, cfg)
	if seen := f.Look(filepath.Join(paths.PKI, "ca.key")); seen.Kind != resource.Unreadable || seen.Error != "permission denied" {
		t.Errorf("a key is %+v", seen)
	}
	if seen := f.Look(filepath.Join(paths.EtcdData, "member")); seen.Kind == resource.Absent && f.Look(paths.EtcdData).Error == "" {
		t.Errorf("member is %+v", seen)
	}
	if f.JournalError == nil {
		t.Error("the journal could be read")
	}
	if p := f.Places[paths.EtcdData]; p.Writable || !strings.Contains(p.Problem, "permission denied") {
		t.Errorf("place is %+v", p)
	}
}

// runAsNobody runs the test again as a user without rights.
func runAsNobody(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "facts")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "facts.test")
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, data, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env, cmd.Dir = []string{"TMPDIR=" + dir}, dir
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestProxyEnv(t *testing.T) {
	got := ProxyEnv([]string{"no_proxy=10.0.0.0/8", "PATH=/bin", "HTTPS_PROXY=http://p:3128", "http_proxy=", "broken", "My_Proxy=x=y"})
	want := []config.Env{{Name: "HTTPS_PROXY", Value: "http://p:3128"}, {Name: "My_Proxy", Value: "x=y"},
		{Name: "no_proxy", Value: "10.0.0.0/8"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The node's name and address do not flip between two runs, and a throw-away needs no network.
func TestHostFacts(t *testing.T) {
	here, remembered := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	loopback := netip.MustParseAddr("127.0.0.1")
	history := journal.History{Records: 1, Node: journal.Identity{Name: "old", AdvertiseAddress: "192.0.2.2"}}
	for name, test := range map[string]struct {
		facts Facts
		root  string
		want  config.HostFacts
	}{
		"first run": {
			Facts{Hostname: "n", DefaultAddress: here}, "", config.HostFacts{Hostname: "n", DefaultAddress: here},
		},
		"later run": {
			Facts{Hostname: "n", DefaultAddress: here, History: history}, "", config.HostFacts{Hostname: "old", DefaultAddress: remembered},
		},
		"no default route":               {Facts{Hostname: "n"}, "", config.HostFacts{Hostname: "n"}},
		"no default route, below a root": {Facts{Hostname: "n"}, "/r", config.HostFacts{Hostname: "n", DefaultAddress: loopback}},
		"a journal that says something else": {
			Facts{Hostname: "n", DefaultAddress: here, History: journal.History{Node: journal.Identity{AdvertiseAddress: "x"}}}, "",
			config.HostFacts{Hostname: "n", DefaultAddress: here},
		},
	} {
		if got := test.facts.HostFacts(config.Default(test.root)); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

// A CA whose key a killed run did not come to write is no external CA.
func TestManifestsHostExternalCA(t *testing.T) {
	dir := resource.Seen{Kind: resource.Directory, Names: []string{"ca.crt"}}
	files := map[string]resource.Seen{"/etc/kubernetes/pki": dir, "/etc/kubernetes/pki/ca.crt": {Kind: resource.Regular}}
	meant := map[resource.Resource]resource.Claim{{Kind: resource.File, Key: "/etc/kubernetes/pki/ca.key"}: {}}
	for name, test := range map[string]struct {
		facts Facts
		want  bool
	}{
		"no CA":                          {Facts{Files: map[string]resource.Seen{"/etc/kubernetes/pki": {Kind: resource.Absent}}}, false},
		"theirs":                         {Facts{Files: files}, true},
		"killed before the key":          {Facts{Files: files, History: journal.History{Claims: meant}}, false},
		"set up, and the key taken away": {Facts{Files: files, History: journal.History{Claims: meant, SetUp: true}}, true},
	} {
		if got := test.facts.ManifestsHost(config.Default("")).ExternalCA; got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Below a root a link could lead anywhere: it is named as a reason not to write.
func TestPlacesNameLinksBelowTheRoot(t *testing.T) {
	root := t.TempDir()
	if err := os.Symlink("/etc", filepath.Join(root, "etc")); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default(root)
	f := mustGather(t, cfg)
	if p := f.Places[cfg.Paths().PKI]; p.Writable || !strings.Contains(p.Problem, filepath.Join(root, "etc")+" is a symbolic link") {
		t.Errorf("place is %+v", p)
	}
	if p := f.Places[cfg.Paths().State]; !p.Writable || p.Existing != root || p.FreeBytes == 0 {
		t.Errorf("place is %+v", p)
	}
}

func TestMachine(t *testing.T) {
	f := mustGather(t, config.Default(t.TempDir()))
	if f.Hostname == "" || f.BootID == "" || f.CPUs == 0 || f.MemoryMiB == 0 || f.UID != os.Geteuid() || time.Since(f.Now) > time.Minute {
		t.Errorf("facts are %+v", f)
	}
	if !slices.Contains(f.Addresses, netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("addresses are %v", f.Addresses)
	}
	if f.DefaultAddress.IsValid() && !slices.Contains(f.Addresses, f.DefaultAddress) {
		t.Errorf("the default address %s is not among %v", f.DefaultAddress, f.Addresses)
	}
	if len(f.CADirs) != 0 {
		t.Errorf("with a root, CA directories are %v", f.CADirs)
	}
}

// A socket that nobody listens on any more is no supervisor.
func TestSupervisorRuns(t *testing.T) {
	root, err := os.MkdirTemp("", "k") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	cfg := config.Default(root)
	socket := cfg.Paths().Socket
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if !mustGather(t, cfg).SupervisorRuns {
		t.Error("a supervisor that listens does not run")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if mustGather(t, cfg).SupervisorRuns {
		t.Error("a socket that is left runs")
	}
}

// The facts print no file's content: it may be a key.
func TestFactsPrintNoContent(t *testing.T) {
	root := t.TempDir()
	cfg := config.Default(root)
	write(t, filepath.Join(cfg.Paths().PKI, "ca.key"), "SECRET")
	f := mustGather(t, cfg)
	if text := fmt.Sprintf("%v %+v", f, f.Files); strings.Contains(text, "SECRET") || strings.Contains(text, "[83 69 67 82 69 84]") {
		t.Error("a key is printed")
	}
}
