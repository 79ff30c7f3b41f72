//go:build oracle

package kubeadm

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/manifests"
)

// With the feature gate RootlessControlPlane, which kubeadm's dry-run leaves
// out, the pods of both run as the users that kubeadm makes.
func TestRootless(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it takes root's rights to give files to other users")
	}
	for _, k := range kubeadms(t) {
		t.Run(k.version, func(t *testing.T) {
			c := testCase{name: "rootless", real: true, cluster: `featureGates: {RootlessControlPlane: true}`}.prepare(t, k, true)
			theirs, err := k.really(t, c)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := configOf(c)
			if err != nil {
				t.Fatal(err)
			}
			host := machine(c, time.Now()).ManifestsHost(cfg)
			host.Users = usersOf(t, c.root)
			rendered, err := manifests.Render(cfg, host)
			if err != nil {
				t.Fatal(err)
			}
			ours := &side{started: time.Now(), pki: c.pki, files: map[string]written{}}
			for _, f := range rendered {
				ours.files[manifestsDir+f.Name] = written{data: f.Data, mode: 0o600}
			}
			for path := range theirs.files {
				if !theirs.isManifest(path) {
					delete(theirs.files, path)
				}
			}
			newTable(deliberate()).check(t, occasion{c.name, "process", k.minor}, compare(theirs, ours))
		})
	}
}

// usersOf reads the users and groups that kubeadm has made.
func usersOf(t *testing.T, root string) *manifests.Users {
	t.Helper()
	id := func(file, name string) int64 {
		text, err := os.ReadFile(filepath.Join(root, "etc", file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if fields := strings.Split(line, ":"); fields[0] == name {
				id, err := strconv.ParseInt(strings.TrimSpace(fields[2]), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				return id
			}
		}
		t.Fatalf("kubeadm has made no %s in /etc/%s", name, file)
		return 0
	}
	user := func(name string) manifests.User {
		return manifests.User{UID: id("passwd", name), GID: id("group", name)}
	}
	return &manifests.Users{Etcd: user("kubeadm-etcd"), APIServer: user("kubeadm-kas"), ControllerManager: user("kubeadm-kcm"),
		Scheduler: user("kubeadm-ks"), KeyReaders: id("group", "kubeadm-sa-key-readers")}
}
