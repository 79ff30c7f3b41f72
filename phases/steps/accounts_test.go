package steps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

const passwd = "root:x:0:0:root:/root:/bin/bash\nme:x:1000:1000::/home/me:/bin/sh" // no line end, as an editor may leave it

func accountsHost(owned map[string]resource.Claim) plan.Host {
	h := journal.History{Claims: byResource(owned)}
	return plan.Host{Now: time.Now(), History: h, Look: func(path string) resource.Seen { return resource.Look(path, false) },
		Claim: h.Claim}
}

// Users are added behind those that are there, once, and go again without a trace; a line that somebody changed stays.
func TestAddAccounts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(file, []byte(passwd), 0o644); err != nil {
		t.Fatal(err)
	}
	step := AddAccounts{File: file, Lines: []string{"a:x:100:100:::/bin/false", "b:x:101:101:::/bin/false"}}
	w := step.Compare(accountsHost(nil))
	if w.State != plan.New || len(w.Makes) != 2 || w.Makes[1].Key != file+":b" || w.Makes[1].Kind != resource.Line {
		t.Fatalf("work is %+v", w)
	}
	for range 2 { // killed after it, it is done again
		if _, err := w.Do(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	want := passwd + "\n" + strings.Join(step.Lines, "\n") + "\n"
	if got := string(resource.Look(file, false).Data); got != want {
		t.Fatalf("the file is %q, want %q", got, want)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	owned := map[string]resource.Claim{}
	for _, m := range w.Makes {
		m.Sums = []string{m.SHA256}
		owned[m.Key] = m
	}
	again := step.Compare(accountsHost(owned))
	if again.State != plan.Unchanged || len(again.Makes) != 2 {
		t.Errorf("after a kill it is %+v", again)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(want, "b:x:101:101:::/bin/false", "b:x:101:101:::/bin/sh", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, state := range map[string]plan.State{file + ":a": "", file + ":b": plan.Left} {
		w := Undo{resource.Resource{Kind: resource.Line, Key: path}}.Compare(accountsHost(owned))
		out, err := w.Do(t.Context(), &plan.Node{})
		if err != nil || out.State != state {
			t.Errorf("removing %s: %+v, %v", path, out, err)
		}
	}
	if got := string(resource.Look(file, false).Data); got != passwd+"\nb:x:101:101:::/bin/sh\n" {
		t.Errorf("the file is %q", got)
	}
}

// Another entry with the name or the ID is in the way, also one that came after the plan.
func TestAddAccountsRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "group")
	if err := os.WriteFile(file, []byte("a:x:100:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{"a:x:101:": "there is another entry a", "b:x:100:": "the ID 100 of b is a's"} {
		if w := (AddAccounts{File: file, Lines: []string{line}}).Compare(accountsHost(nil)); w.State != plan.Conflict || w.Detail != want {
			t.Errorf("%s: %+v", line, w)
		}
	}
	w := AddAccounts{File: file, Lines: []string{"c:x:102:"}}.Compare(accountsHost(nil))
	if err := os.WriteFile(file, []byte("d:x:102:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Do(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "the ID 102 of c is d's") {
		t.Errorf("error is %v", err)
	}
}

// Nothing is changed while another program changes users.
func TestAddAccountsWaitsForTheLock(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "passwd")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(dir, ".pwd.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	// A lock of an open file description conflicts with one of this process as another program's would.
	if err := unix.FcntlFlock(lock.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		t.Skipf("no locks here: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = resource.EditAccounts(ctx, file, func(string) (string, error) { t.Error("it is edited"); return "x", nil })
	if err == nil || !strings.Contains(err.Error(), "another program has "+dir+"/.pwd.lock locked") {
		t.Errorf("error is %v", err)
	}
}

// A file is given away and given back; a link is not followed out of the root; a tree goes without lost+found.
func TestOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	root := t.TempDir()
	key := filepath.Join(root, "ca.key")
	if err := os.WriteFile(key, []byte("k"), 0o640); err != nil {
		t.Fatal(err)
	}
	step := Own{Path: key, UID: 4001, GID: 4002, Mode: 0o600, To: "x"}
	w := step.Compare(accountsHost(nil))
	if w.State != plan.Changed || len(w.Makes) != 1 || w.Makes[0].Mode != 0o640 || w.Makes[0].Resource != (resource.Resource{Kind: resource.Owner, Key: key}) {
		t.Fatalf("work is %+v", w)
	}
	n := &plan.Node{Root: root}
	if _, err := w.Do(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if seen := resource.Look(key, false); seen.UID != 4001 || seen.GID != 4002 || seen.Mode != 0o600 {
		t.Errorf("it is %+v", seen)
	}
	if again := step.Compare(accountsHost(nil)); again.State != plan.Unchanged || len(again.Makes) > 0 {
		t.Errorf("then it is %+v", again)
	}
	given := w.Makes[0]
	given.Done = true
	owned := map[string]resource.Claim{key: given}
	back := Undo{given.Resource}.Compare(accountsHost(owned))
	if _, err := back.Do(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if seen := resource.Look(key, false); seen.UID != 0 || seen.Mode != 0o640 {
		t.Errorf("given back it is %+v", seen)
	}

	// A journal that others wrote does not make a program setuid.
	for _, mode := range []fs.FileMode{0o755 | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky, 0o4755} {
		if err := resource.Give(root, key, resource.Claim{Mode: mode}, false); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(key); err != nil || info.Mode() != 0o755 {
			t.Errorf("mode %v makes it %v, %v", mode, info.Mode(), err)
		}
	}

	for _, dir := range []string{"data/member/wal", "data/lost+found"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tree := Own{Path: filepath.Join(root, "data"), UID: 4001, GID: 4002, Mode: 0o700, Tree: true}
	if _, err := tree.Compare(accountsHost(nil)).Do(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	for path, uid := range map[string]int64{"data": 4001, "data/member/wal": 4001, "data/lost+found": 0} {
		if seen := resource.Look(filepath.Join(root, path), false); seen.UID != uid {
			t.Errorf("%s is %d's", path, seen.UID)
		}
	}

	if again := tree.Compare(accountsHost(nil)); again.State != plan.Unchanged {
		t.Errorf("the tree is %+v", again)
	}
	if err := os.WriteFile(filepath.Join(root, "data", "other"), nil, 0o600); err != nil { // whatever a component names its files
		t.Fatal(err)
	}
	if again := tree.Compare(accountsHost(nil)); again.State != plan.Changed {
		t.Errorf("with a file of root's in it the tree is %+v", again)
	}

	outside := filepath.Join(t.TempDir(), "shadow")
	if err := errors.Join(os.WriteFile(outside, nil, 0o600), os.Symlink(outside, filepath.Join(root, "link")),
		os.Symlink(filepath.Dir(outside), filepath.Join(root, "dir"))); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"link", "dir/shadow"} {
		if err := resource.Give(root, filepath.Join(root, path), resource.Claim{UID: 4001, Mode: 0o666}, false); err == nil {
			t.Errorf("%s is given away", path)
		}
	}
	if seen := resource.Look(outside, false); seen.UID != 0 || seen.Mode != 0o600 {
		t.Errorf("what is outside of the root is %+v", seen)
	}
}

// A link in the place of the file is not followed, and not replaced.
func TestEditAccountsFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	victim, file := filepath.Join(dir, "victim"), filepath.Join(dir, "passwd")
	if err := errors.Join(os.WriteFile(victim, []byte("a:x\n"), 0o600), os.Symlink(victim, file)); err != nil {
		t.Fatal(err)
	}
	err := resource.EditAccounts(t.Context(), file, func(string) (string, error) { return "changed", nil })
	if err == nil || !strings.Contains(err.Error(), "it is a symbolic link") {
		t.Errorf("error is %v", err)
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != "a:x\n" {
		t.Errorf("the victim is %q, %v", data, err)
	}
}
