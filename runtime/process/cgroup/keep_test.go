package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A container without limits has one group, in the best hierarchy where it can be made, and no controller is touched.
func TestKeep(t *testing.T) {
	t.Parallel()
	tree := fakeKernel(t)
	v2 := tree.hierarchies()[0]
	freezer := hierarchy{bases: []string{t.TempDir()}, rank: rankFreezer}
	gone := hierarchy{bases: []string{filepath.Join(t.TempDir(), "none")}, v2: true}
	for name, tc := range map[string]struct {
		all  []hierarchy
		want string
	}{
		"v2 first":         {[]hierarchy{freezer, v2}, v2.bases[0]},
		"v2 not ours":      {[]hierarchy{gone, freezer}, freezer.bases[0]},
		"nothing possible": {[]hierarchy{gone}, ""},
		"no hierarchy":     {nil, ""},
	} {
		tree.hierarchies = func() []hierarchy { return tc.all }
		g, err := tree.New(Pod{UID: "u"}, "c-0", Limits{Shares: 2})
		if tc.want == "" && err == nil || tc.want != "" && (len(g) != 1 || !strings.HasPrefix(g[0].Path, tc.want+"/")) {
			t.Errorf("%s: %v, %v", name, g, err)
		}
	}
	if data, err := os.ReadFile(filepath.Join(v2.bases[0], "cgroup.subtree_control")); err != nil || len(data) > 0 {
		t.Errorf("controllers %q, %v", data, err)
	}
}

// What systemd has delegated comes first; where nothing is, the order stays.
func TestPreferDelegated(t *testing.T) {
	t.Parallel()
	a, b := t.TempDir(), t.TempDir()
	bases := []string{a, b}
	if preferDelegated(bases); !reflect.DeepEqual(bases, []string{a, b}) {
		t.Errorf("%v", bases)
	}
	if err := unix.Setxattr(b, "user.delegate", []byte("1"), 0); err != nil {
		t.Skipf("needs extended attributes: %v", err)
	}
	if preferDelegated(bases); !reflect.DeepEqual(bases, []string{b, a}) {
		t.Errorf("%v", bases)
	}
}

// A group of cgroup v1 is frozen and thawed, with what a process in it has frozen itself.
func TestRealFreezer(t *testing.T) {
	t.Parallel()
	dir := fmt.Sprint("/sys/fs/cgroup/freezer/kubecrank-keep-", os.Getpid())
	inside := filepath.Join(dir, "inside")
	if err := os.MkdirAll(inside, 0o755); err != nil {
		t.Skipf("needs the freezer of cgroup v1: %v", err)
	}
	group := Group{{Path: dir}}
	defer func() {
		if err := group.Remove(); err != nil {
			t.Error(err)
		}
	}()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := write(filepath.Join(inside, "cgroup.procs"), fmt.Sprint(cmd.Process.Pid)); err != nil {
		t.Error(err)
	}
	group.Freeze()
	if err := write(filepath.Join(inside, "freezer.state"), "FROZEN"); err != nil {
		t.Error(err)
	}
	_ = cmd.Process.Kill()
	group.Thaw()
	_ = cmd.Wait() // never, if it is still frozen
}
