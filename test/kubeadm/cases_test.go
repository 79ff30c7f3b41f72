//go:build oracle

package kubeadm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// testCase is one configuration. What it does not say is as in base.
type testCase struct {
	name string
	// init and cluster are YAML that is laid over the base's InitConfiguration and ClusterConfiguration.
	init, cluster string
	// document is a whole file instead, with VERSION for the version.
	document string
	more     string            // documents that follow
	patches  map[string]string // files of the directory that init's PATCHES stands for
	env      []string          // of kubeadm, and so of the machine
	since    int               // the first minor version that has the field; 0: all
	until    int               // the last one; 0: all
	runtime  string            // "" is the default
	slow     bool              // RSA keys: for one version only, and not in the short form
	host     host
	// thisMachine leaves name and address to the machine; kubeadm sees those of the real one in its root directory, too.
	thisMachine bool
	real        bool // kubeadm runs for real, and directories are compared
}

// host is the machine below kubeadm's root directory.
type host struct {
	caDirs     []string
	files      map[string]written
	externalCA bool // the PKI is there before, without the key of its CA
}

// base has what depends on the machine otherwise, and keys that are made fast.
func base(version string) (init, cluster map[string]any) {
	return map[string]any{
			"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "InitConfiguration",
			"nodeRegistration": map[string]any{"name": "node-1", "criSocket": "unix:///run/containerd/containerd.sock"},
			"localAPIEndpoint": map[string]any{"advertiseAddress": "192.0.2.10"},
		}, map[string]any{
			"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration",
			"kubernetesVersion": version, "encryptionAlgorithm": "ECDSA-P256",
		}
}

// prepared is a case for one version: what both programs are given.
type prepared struct {
	testCase
	root     string // holds kubeadm's input; its whole world if isolated
	isolated bool
	document []byte
	pki      string
	etcdData string // "" for an external etcd
}

// inside is what kubeadm calls a file of the root directory.
func (c prepared) inside(path string) string {
	if c.isolated {
		return path
	}
	return filepath.Join(c.root, path)
}

func (c testCase) prepare(t *testing.T, k kubeadm, isolated bool) prepared {
	t.Helper()
	init, cluster := base(k.version)
	p := prepared{testCase: c, root: t.TempDir(), isolated: isolated, pki: "/etc/kubernetes/pki", etcdData: "/var/lib/etcd"}
	text := c.document
	if text == "" {
		overlay(t, init, c.init)
		overlay(t, cluster, c.cluster)
		for _, doc := range []map[string]any{init, cluster} {
			encoded, err := yaml.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			text += "---\n" + string(encoded)
		}
	}
	text = strings.NewReplacer("VERSION", k.version, "PATCHES", p.inside(patchesDir)).Replace(text + c.more)
	p.document = []byte(text)
	if dir, ok := cluster["certificatesDir"].(string); ok {
		p.pki = filepath.Clean(dir)
	}
	etcd, _ := cluster["etcd"].(map[string]any)
	if local, ok := etcd["local"].(map[string]any); ok {
		if dir, ok := local["dataDir"].(string); ok {
			p.etcdData = filepath.Clean(dir)
		}
	}
	if etcd["external"] != nil {
		p.etcdData = ""
	}
	if c.host.externalCA {
		p.host.files = externalCA(t, p)
	}
	p.furnish(t)
	return p
}

// furnish puts into the root directory what kubeadm finds there.
func (c prepared) furnish(t *testing.T) {
	t.Helper()
	for path, f := range c.host.files {
		write(t, filepath.Join(c.root, path), f.data, f.mode)
	}
	write(t, filepath.Join(c.root, configFile), c.document, 0o600)
	for name, text := range c.patches {
		write(t, filepath.Join(c.root, patchesDir, name), []byte(text), 0o600)
	}
	write(t, filepath.Join(c.root, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\n"), 0o644)
	write(t, filepath.Join(c.root, "etc/group"), []byte("root:x:0:\n"), 0o644)
	for _, dir := range append([]string{"/tmp", "/var/lib", dryRunDir}, c.host.caDirs...) {
		if err := os.MkdirAll(filepath.Join(c.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// overlay puts YAML over an object; maps are merged, all else is replaced.
func overlay(t *testing.T, to map[string]any, text string) {
	t.Helper()
	var from map[string]any
	if err := yaml.UnmarshalStrict([]byte(text), &from); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	mergeMaps(to, from)
}

func mergeMaps(to, from map[string]any) {
	for k, v := range from {
		below, ok := to[k].(map[string]any)
		if child, isMap := v.(map[string]any); ok && isMap {
			mergeMaps(below, child)
			continue
		}
		to[k] = v
	}
}

// in says whether the case is for a version.
func (c testCase) in(minor int) bool {
	return (c.since == 0 || minor >= c.since) && (c.until == 0 || minor <= c.until)
}

// allCases are those that were written by hand and the generated ones. No two have one name.
func allCases(t *testing.T) []testCase {
	t.Helper()
	all := slices.Concat(clusterCases(), formatCases(), componentCases(), etcdCases(), nodeCases(), patchCases(), combinedCases(), realCases(), generatedCases())
	seen := map[string]bool{}
	for _, c := range all {
		if seen[c.name] {
			t.Fatalf("there are two cases %q", c.name)
		}
		seen[c.name] = true
	}
	if n := len(all); n < 80 {
		t.Fatalf("only %d cases are left", n)
	}
	return all
}
