package process

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
)

// Housekeeping rotates the logs of started and of adopted containers, while they write.
func TestHousekeepRotates(t *testing.T) {
	t.Parallel()
	root, _ := killedSupervisor(t, "writer", "i=0; while :; do i=$((i+1)); echo $i; done")
	rt := runtimeAt(t, root)
	rt.opts.LogMaxBytes, rt.opts.LogMaxFiles = 64<<10, 3
	c := one(t, rt)
	dir := filepath.Dir(c.Info().LogPath)
	eventually(t, "three files", func() bool {
		if err := rt.Housekeep(t.Context()); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) > 3 {
			t.Fatalf("%d files, %v", len(entries), err)
		}
		return len(entries) == 3
	})
}

// What grows with restarts and with edits of a manifest is cut back, but never what runs or what ran before it.
func TestHousekeepPrunes(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	rt.opts.KeepRestarts, rt.opts.KeepPodLogs = 3, 2
	old := func(name string, age time.Duration) {
		dir := filepath.Join(rt.opts.LogDir, name, "main")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Dir(dir), then, then); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		old(fmt.Sprintf("kube-system_edited_uid%d", i), time.Duration(i+1)*time.Hour)
	}
	old("kube-system_edited-not_uid", 10*time.Hour)
	old("other_edited_uid", 10*time.Hour)
	old("kube-system_edited_uid-recorded", 10*time.Hour)
	if err := os.Mkdir(filepath.Join(rt.opts.StateDir, "uid-recorded"), 0o700); err != nil {
		t.Fatal(err)
	}
	pod := testPod("edited", "true")
	s, err := rt.OpenPod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		c, err := s.Start(t.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0], RestartCount: i})
		if err != nil {
			t.Fatal(err)
		}
		wait(t, c)
	}
	if err := rt.Housekeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(rt.opts.LogDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(rt.opts.LogDir, "kube-system_edited_uid-edited", "main", "*"))
	if err != nil {
		t.Fatal(err)
	}
	base := func(paths []string) []string {
		for i := range paths {
			paths[i] = filepath.Base(paths[i])
		}
		return paths
	}
	want := []string{"kube-system_edited-not_uid", "kube-system_edited_uid-edited", "kube-system_edited_uid-recorded",
		"kube-system_edited_uid0", "kube-system_edited_uid1", "other_edited_uid"}
	if got := base(left); !slices.Equal(got, want) {
		t.Errorf("left\n%v, want\n%v", got, want)
	}
	if got := base(logs); !slices.Equal(got, []string{"3.log", "4.log", "5.log"}) {
		t.Errorf("left logs %v", got)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	m := marker{root: "r", namespace: "n", pod: "p", uid: "u", container: "c", restart: 3, specHash: "h"}
	if got, ok := parseMarker(m.String()); !ok || got != m {
		t.Errorf("%+v, %v", got, ok)
	}
	for _, bad := range []string{
		"", "r/n/p/u/c/3", m.String() + "/exec/1", "r/n/p/u/c/x/h", "r/n/p/u/c/-1/h", "r/n/../u/c/3/h", "r//p/u/c/3/h",
	} {
		if _, ok := parseMarker(bad); ok {
			t.Errorf("%q was taken", bad)
		}
	}
	for other, want := range map[string]bool{m.String(): true, m.String() + "/exec/1": true, m.String() + "2": false, "": false} {
		if covers(m.String(), other) != want {
			t.Errorf("%q: not %v", other, want)
		}
	}
	self, err := procfs.ReadStat(os.Getpid())
	if err != nil || self.Dead() || self.Start == 0 {
		t.Errorf("%+v, %v", self, err)
	}
	if age := time.Since(startedAt(self.Start)); age < 0 || age > 10*time.Minute {
		t.Errorf("this process started %v ago", age)
	}
	if _, err := New(Options{LogDir: "relative", StateDir: "/x"}); err == nil || !strings.Contains(err.Error(), "LogDir") {
		t.Errorf("relative directory: %v", err)
	}
}
