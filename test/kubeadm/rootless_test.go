//go:build oracle

package kubeadm

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases"
	"github.com/kubecrank/kubecrank/phases/accounts"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/phases/steps"
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
			f := machine(c, time.Now())
			f.Accounts = chosen(t, c.root)
			if got, want := *f.Accounts.Manifests(), *usersOf(t, c.root); got != want {
				t.Errorf("users are %+v, kubeadm's are %+v", got, want)
			}
			rendered, err := manifests.Render(cfg, f.ManifestsHost(cfg))
			if err != nil {
				t.Fatal(err)
			}
			compareOwners(t, cfg, f, c.root)
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

// chosen is what we make of /etc/passwd and /etc/group as they were before kubeadm.
func chosen(t *testing.T, root string) accounts.Set {
	t.Helper()
	before := func(file string) string {
		text, err := os.ReadFile(filepath.Join(root, "etc", file))
		if err != nil {
			t.Fatal(err)
		}
		var lines strings.Builder
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "kubeadm-") {
				lines.WriteString(line)
			}
		}
		return lines.String()
	}
	set, err := accounts.Choose(before("passwd"), before("group"), "")
	if err != nil {
		t.Fatal(err)
	}
	for file, entries := range map[string][]accounts.Entry{"passwd": set.Users, "group": set.Groups} {
		text, err := os.ReadFile(filepath.Join(root, "etc", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range accounts.Lines(entries) {
			if !strings.Contains("\n"+string(text), "\n"+line+"\n") {
				t.Errorf("kubeadm's /etc/%s has no line %q:\n%s", file, line, text)
			}
		}
	}
	return set
}

// compareOwners holds what our plan gives away against what kubeadm has given away, both ways.
func compareOwners(t *testing.T, cfg config.Config, f facts.Facts, root string) {
	t.Helper()
	cfg.IgnorePreflightErrors = []string{"all"}
	p, err := phases.Init(cfg, f, phases.Payload{})
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]steps.Own{}
	for _, ph := range p.Phases {
		for _, step := range ph.Steps {
			if own, ok := step.(steps.Own); ok && own.Path != cfg.Paths().State {
				ours[own.Path] = own
			}
		}
	}
	seen := 0
	for _, dir := range []string{"/etc/kubernetes", cfg.CertificatesDir, cfg.Etcd.DataDir} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			uid, gid := resource.OwnerOf(info)
			name := strings.TrimPrefix(path, root)
			own, given := ours[name]
			switch {
			case given && (uid != own.UID || gid != own.GID || info.Mode().Perm() != own.Mode):
				t.Errorf("%s is %d:%d %04o, ours %d:%d %04o", name, uid, gid, info.Mode().Perm(), own.UID, own.GID, own.Mode)
			case !given && (uid != 0 || gid != 0):
				t.Errorf("kubeadm gives %s to %d:%d", name, uid, gid)
			case given:
				seen++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < len(ours) {
		t.Errorf("of %d files that we give away kubeadm has %d", len(ours), seen)
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
