package resource

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/durable"
)

func put(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

func testRemover(t *testing.T, root string) *Remover {
	t.Helper()
	r, err := NewRemover(root)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Links go, wherever they lead; what they lead to stays.
func TestRemoveNeverFollowsLinks(t *testing.T) {
	base := t.TempDir()
	root, outside := filepath.Join(base, "root"), put(t, filepath.Join(base, "outside", "f"))
	for _, r := range []string{root, ""} {
		tree := filepath.Join(root, "tree")
		put(t, filepath.Join(tree, "sub", "f"))
		link(t, filepath.Dir(outside), filepath.Join(tree, "dir"))
		link(t, outside, filepath.Join(tree, "sub", "file"))
		link(t, "..", filepath.Join(tree, "sub", "up"))
		if err := testRemover(t, r).Tree(tree, nil); err != nil {
			t.Fatal(err)
		}
		if exists(tree) || !exists(outside) || !exists(root) {
			t.Errorf("tree %v, outside %v, root %v", exists(tree), exists(outside), exists(root))
		}
	}
}

// Below a root, a directory that became a link out of it is an error, and nothing outside is touched.
func TestRemoveStaysBelowTheRoot(t *testing.T) {
	base := t.TempDir()
	root, outside := filepath.Join(base, "root"), put(t, filepath.Join(base, "outside", "f"))
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	link(t, filepath.Dir(outside), filepath.Join(root, "dir"))
	r := testRemover(t, root)
	all := func(string) bool { return true }
	for name, err := range map[string]error{
		"file": r.File(filepath.Join(root, "dir", "f"), all),
		"tree": r.Tree(filepath.Join(root, "dir", "f"), nil),
		"dir":  r.EmptyDir(filepath.Join(root, "dir", "f")),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "cannot remove") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	if !exists(outside) {
		t.Error("a file outside the root was removed")
	}
}

// What is mounted below a tree is somebody's data, not ours: RemoveAll would have deleted it (kubeadm#2923).
func TestRemoveDoesNotCrossMounts(t *testing.T) {
	const marker = "KUBECRANK_TEST_MOUNTS"
	if os.Getenv(marker) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), marker+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Skipf("no mount namespace here: %v", err)
		}
		if err != nil {
			t.Errorf("%s", out)
		}
		return
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Skipf("cannot make mounts private: %v", err)
	}
	base := t.TempDir()
	theirs := filepath.Dir(put(t, filepath.Join(base, "theirs", "precious")))
	tree := filepath.Join(base, "tree")
	put(t, filepath.Join(tree, "a", "f"))
	mountPoint := filepath.Join(tree, "b", "with space")
	if err := os.MkdirAll(mountPoint, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(theirs, mountPoint, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(mountPoint, unix.MNT_DETACH) }()
	link(t, tree, filepath.Join(base, "link")) // the tree is found under its real name
	err := testRemover(t, "").Tree(filepath.Join(base, "link", "b"), nil)
	var left *LeftError
	if !errors.As(err, &left) || !strings.Contains(left.Why, mountPoint) {
		t.Errorf("error is %v", err)
	}
	if err := testRemover(t, "").Tree(tree, nil); !errors.As(err, &left) {
		t.Errorf("error is %v", err)
	}
	if !exists(filepath.Join(theirs, "precious")) || exists(filepath.Join(tree, "a")) {
		t.Error("the wrong things were removed")
	}
	if err := testRemover(t, "").EmptyDir(mountPoint); !errors.As(err, &left) {
		t.Errorf("error is %v", err)
	}
}

func TestRemoveOwned(t *testing.T) {
	base := t.TempDir()
	path := func(parts ...string) string { return filepath.Join(append([]string{base}, parts...)...) }
	our := func(kind Kind, path string, done bool) Claim {
		return Claim{Resource: Resource{Kind: kind, Key: path}, Done: done, Sums: []string{Sum([]byte("x"))}}
	}
	edited := put(t, path("edited"))
	if err := os.WriteFile(edited, []byte("y"), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, path("full", "f"))
	put(t, path("intended", "theirs"))
	put(t, path("tree", "sub", "f"))
	put(t, path("replaced", "f"))
	file := put(t, path("file"))
	leftover := put(t, path(durable.TempPrefix+"file.ABCDEFGH"))
	if err := os.Mkdir(path("empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	link(t, path("full"), path("dirlink"))
	for name, test := range map[string]struct {
		owned Claim
		left  string // "": removed
	}{
		"a file":                                  {our(File, file, true), ""},
		"a file that was changed":                 {our(File, edited, true), "changed"},
		"a file that became a directory":          {our(File, path("replaced"), true), "not a file"},
		"a file that is gone":                     {our(File, path("gone"), true), ""},
		"a file whose directory is gone":          {our(File, path("gone", "f"), true), ""},
		"an empty directory":                      {our(Dir, path("empty"), true), ""},
		"a directory with something in it":        {our(Dir, path("full"), true), "not empty"},
		"a directory that became a link":          {our(Dir, path("dirlink"), true), "not a directory"},
		"a tree":                                  {our(Tree, path("tree"), true), ""},
		"a tree that we meant to make, with data": {our(Tree, path("intended"), false), "not empty"},
	} {
		err := test.owned.Undo(t.Context(), "")
		var left *LeftError
		if err != nil && !errors.As(err, &left) {
			t.Errorf("%s: %v", name, err)
		}
		if (left != nil) != (test.left != "") || left != nil && !strings.Contains(left.Why, test.left) {
			t.Errorf("%s: %+v", name, left)
		}
		if exists(test.owned.Key) != (test.left != "") {
			t.Errorf("%s: is there: %v", name, exists(test.owned.Key))
		}
	}
	if exists(leftover) {
		t.Error("what a killed write had left is still there")
	}
}

// In a directory that others use too, only what has our prefix and came after us goes.
func TestRemoveEntries(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"kube-system_etcd-n_old", "kube-system_etcd-n_new", "default_other_1"} {
		put(t, filepath.Join(dir, name, "0.log"))
	}
	m := Claim{Resource: EntriesOf(dir, "kube-system_etcd-n_"), Except: []string{"kube-system_etcd-n_old"}}
	for range 2 {
		if err := m.Undo(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"default_other_1", "kube-system_etcd-n_old"}) {
		t.Errorf("there are %v", names)
	}
	m.Key = filepath.Join(dir, "gone", "x")
	if err := m.Undo(t.Context(), ""); err != nil {
		t.Error(err)
	}
}
