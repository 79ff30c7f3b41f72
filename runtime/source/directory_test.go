package source

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/durable"
)

// Statements 1, 2: dotfiles are nothing, extensions say nothing.
func TestStatic_001_002_Names(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, name := range []string{".a.yaml", ".a.yaml.swp", ".#a.yaml", "b", "c.json", "d.txt", "e.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(manifest(fmt.Sprintf("p%d", i), "i")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := watchPath(t, dir, 0)
	w.untilAll([]string{"p3 i", "p4 i", "p5 i", "p6 i"}, []string{})
	w.write(".f.yaml", manifest("hidden", "i"))
	w.quiet(100 * time.Millisecond)
}

// The walk-through's promise: a backup is ignored, and shown.
func TestBackupsAreIgnored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a.yaml", "a.yaml.bak", "a.yaml~", "#a.yaml#", "a.yaml.orig", "A.BAK"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(manifest("a", "of-"+strings.Trim(strings.ToLower(name), "#~"))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := watchPath(t, dir, 0)
	u, _ := w.untilAll([]string{"a of-a.yaml"}, []string{"#a.yaml#", "A.BAK", "a.yaml.bak", "a.yaml.orig", "a.yaml~"})
	for _, p := range u.Problems {
		if !p.Warning {
			t.Errorf("a backup holds up readiness: %+v", p)
		}
	}
	w.must(os.Remove(filepath.Join(dir, "a.yaml")))
	w.until() // and no backup takes over
}

// Statement 3: what is no file is skipped and shown, and harms nobody.
func TestStatic_003_NoFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := &watched{t: t, dir: dir}
	w.must(os.Mkdir(filepath.Join(dir, "directory"), 0o700))
	w.must(os.WriteFile(filepath.Join(dir, "directory", "x.yaml"), []byte(manifest("x", "i")), 0o600))
	w.must(unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	w.must(unix.Mknod(filepath.Join(dir, "socket"), unix.S_IFSOCK|0o600, 0))
	w.must(os.Symlink("nowhere", filepath.Join(dir, "link")))
	w.must(os.Symlink("loop", filepath.Join(dir, "loop")))
	w.must(os.WriteFile(filepath.Join(dir, "good.yaml"), []byte(manifest("good", "i")), 0o600))
	w = watchPath(t, dir, 0)
	u, _ := w.untilAll([]string{"good i"}, []string{"directory", "fifo", "link", "loop", "socket"})
	for _, p := range u.Problems {
		if p.Warning != (filepath.Base(p.Source) != "loop") {
			t.Errorf("warning %t: %+v", p.Warning, p)
		}
	}
}

// Statement 4: links are followed. Statement 17: the poll finds a change behind a link.
func TestStatic_004_017_Links(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	target := filepath.Join(other, "target")
	w := &watched{t: t}
	w.must(os.WriteFile(target, []byte(manifest("a", "one")), 0o600))
	w.must(os.Symlink(target, filepath.Join(dir, "a.yaml")))
	w = watchPath(t, dir, 200*time.Millisecond)
	w.until("a one")
	w.must(durable.WriteFile(target, []byte(manifest("a", "two")), 0o600))
	if _, took := w.until("a two"); took > soon {
		t.Errorf("took %s", took)
	}
	w.must(os.Remove(target))
	w.until()
	if (&Directory{}).Period != 0 || DefaultPeriod != 20*time.Second {
		t.Error("the period is not the kubelet's")
	}
}

// A directory reached through a link, which is then turned to another directory (as a config map's is).
func TestLinkedDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := &watched{t: t}
	for _, name := range []string{"one", "two"} {
		w.must(os.Mkdir(filepath.Join(dir, name), 0o700))
		w.must(os.WriteFile(filepath.Join(dir, name, "a.yaml"), []byte(manifest("a", name)), 0o600))
	}
	w.must(os.Symlink("one", filepath.Join(dir, "link")))
	w = watchPath(t, filepath.Join(dir, "link"), 200*time.Millisecond)
	w.until("a one")
	w.must(os.Symlink("two", filepath.Join(dir, "new")))
	w.must(os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "link")))
	w.until("a two")
	w.write("b.yaml", manifest("b", "i"))
	w.until("a two", "b i")
}

// Statement 5, 8: a single file; when it is bad that is an error and no update.
func TestStatic_005_008_SingleFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := watchPath(t, filepath.Join(dir, "pod.yaml"), 0)
	w.dir = dir
	w.untilAll(nil, []string{})
	w.write("other.yaml", manifest("other", "i"))
	w.write("pod.yaml", manifest("a", "one"))
	w.until("a one")
	w.write("pod.yaml", manifest("a", "two"))
	w.until("a two")
	w.write("pod.yaml", "garbage")
	u, _ := w.untilAll([]string{"a two"}, []string{"pod.yaml"})
	if u.Problems[0].Warning {
		t.Error("a bad file is only a warning")
	}
	w.must(os.Remove(filepath.Join(dir, "pod.yaml")))
	w.until()

	bad := filepath.Join(t.TempDir(), "bad")
	w.must(os.WriteFile(bad, []byte("garbage"), 0o600))
	w = watchPath(t, bad, 0)
	if u := w.next(); !u.Incomplete || len(u.Pods) != 0 || len(u.Problems) != 1 {
		t.Errorf("a bad single file gives %+v", u)
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	w.must(unix.Mkfifo(fifo, 0o600))
	w = watchPath(t, fifo, 0)
	if u := w.next(); !u.Incomplete || len(u.Problems) != 1 || !strings.Contains(u.Problems[0].Message, "path is not a directory or file") {
		t.Errorf("a FIFO gives %+v", u)
	}
}

// Statements 6, 7: nothing there, and nothing in it, are empty sets; what comes later is seen at once.
func TestStatic_006_007_MissingAndEmpty(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "x", "y", "manifests")
	w := watchPath(t, dir, 0)
	if u := w.next(); u.Incomplete || len(u.Pods) != 0 {
		t.Errorf("a missing directory gives %+v", u)
	}
	w.must(os.MkdirAll(dir, 0o700))
	time.Sleep(50 * time.Millisecond)
	w.write("a.yaml", manifest("a", "i"))
	if _, took := w.until("a i"); took > soon {
		t.Errorf("took %s", took)
	}
	w = watchPath(t, t.TempDir(), 0)
	if u := w.next(); u.Incomplete || len(u.Pods)+len(u.Problems) != 0 {
		t.Errorf("an empty directory gives %+v", u)
	}
}

// Statement 9: one bad file blocks no other.
func TestStatic_009_BadAmongGood(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := &watched{t: t}
	for name, content := range map[string]string{"a.yaml": manifest("a", "i"), "b.yaml": "][", "c.yaml": manifest("c", "i"), "d.yaml": "kind: Pod", "e": "\x00\xff"} {
		w.must(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	w = watchPath(t, dir, 0)
	w.untilAll([]string{"a i", "c i"}, []string{"b.yaml", "d.yaml", "e"})
}

// A field that no Pod has is ignored, as by the kubelet, but not in silence: a mistyped probe would never probe.
func TestUnknownFieldsAreTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	good := manifest("a", "i")
	w := &watched{t: t}
	w.must(os.WriteFile(path, []byte(good+"  restartpolicy: Never\n"), 0o600))
	w = watchPath(t, dir, 0)
	u, _ := w.untilAll([]string{"a i"}, []string{"a.yaml"})
	if p := u.Problems[0]; !p.Warning || !strings.Contains(p.Message, `unknown field "spec.restartpolicy"`) {
		t.Errorf("told is %+v", p)
	}
	w.must(os.WriteFile(path, []byte(good), 0o600))
	w.untilAll([]string{"a i"}, []string{})
}

// Statement 14: a new file acts at once, whether it is renamed into place or written there.
func TestStatic_014_NewFileAtOnce(t *testing.T) {
	t.Parallel()
	w := watchPath(t, t.TempDir(), 0)
	w.until()
	var slowest time.Duration
	var pods []string
	for i := range 20 {
		name := fmt.Sprintf("p%02d", i)
		if i%2 == 0 {
			w.write(name, manifest(name, "i"))
		} else {
			w.must(os.WriteFile(filepath.Join(w.dir, name), []byte(manifest(name, "i")), 0o600))
		}
		pods = append(pods, name+" i")
		_, took := w.until(pods...)
		slowest = max(slowest, took)
	}
	t.Logf("the slowest of 20 took %s", slowest)
	if slowest > soon {
		t.Errorf("took %s", slowest)
	}
}

// Statement 15: a change acts at once; another name is another pod, and the old one goes first.
func TestStatic_015_ChangeAndRename(t *testing.T) {
	t.Parallel()
	w := watchPath(t, t.TempDir(), 0)
	w.write("a.yaml", manifest("a", "one"))
	first, _ := w.until("a one")
	w.write("a.yaml", manifest("a", "two"))
	u, took := w.until("a two")
	if took > soon || u.Pods[0].UID == first.Pods[0].UID {
		t.Errorf("took %s, UID %s", took, u.Pods[0].UID)
	}
	w.must(os.Rename(filepath.Join(w.dir, "a.yaml"), filepath.Join(w.dir, "b.yaml")))
	for {
		if u = w.next(); len(u.Pods) == 1 && filepath.Base(u.Pods[0].Origin) == "b.yaml" {
			break
		}
	}
	if u.Pods[0].UID == w.all[len(w.all)-2].Pods[0].UID {
		t.Error("the UID does not depend on the path")
	}
}

// Statement 16: the same bytes, other modes and other times are no change.
func TestStatic_016_NoChange(t *testing.T) {
	t.Parallel()
	w := watchPath(t, t.TempDir(), 0)
	w.write("a.yaml", manifest("a", "one"))
	w.until("a one")
	path := filepath.Join(w.dir, "a.yaml")
	w.write("a.yaml", manifest("a", "one"))
	w.must(os.WriteFile(path, []byte(manifest("a", "one")), 0o600))
	w.must(os.Chmod(path, 0o644))
	w.must(os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)))
	w.write("a.yaml", "# a comment\n"+manifest("a", "one"))
	w.quiet(200 * time.Millisecond)
}

// Statement 23: config.seen is set once, and kept as long as the content is.
func TestStatic_023_Seen(t *testing.T) {
	t.Parallel()
	w := watchPath(t, t.TempDir(), 0)
	w.write("a.yaml", manifest("a", "one"))
	u, _ := w.until("a one")
	seen := u.Pods[0].Annotations[ConfigSeenAnnotation]
	if _, err := time.Parse(time.RFC3339Nano, seen); err != nil || u.Pods[0].Annotations[configSourceAnnotation] != "file" {
		t.Errorf("annotations: %v, %v", u.Pods[0].Annotations, err)
	}
	w.write("a.yaml", "# touched\n"+manifest("a", "one"))
	w.write("b.yaml", manifest("b", "i"))
	u, _ = w.until("a one", "b i")
	if got := u.Pods[0].Annotations[ConfigSeenAnnotation]; got != seen {
		t.Errorf("seen %s, then %s", seen, got)
	}
	w.write("a.yaml", manifest("a", "two"))
	u, _ = w.until("a two", "b i")
	if got := u.Pods[0].Annotations[ConfigSeenAnnotation]; got == seen {
		t.Error("another content was seen when the old one was")
	}
}

// Statement 30: the directory is removed, made again, replaced: the watch follows.
func TestStatic_030_DirectoryReplaced(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "manifests")
	w := watchPath(t, dir, 0)
	for round := range 5 {
		image := fmt.Sprintf("r%d", round)
		w.must(os.Mkdir(dir, 0o700))
		w.write("a.yaml", manifest("a", image))
		w.until("a " + image)
		w.write("b.yaml", manifest("b", image)) // the new watch works
		if _, took := w.until("a "+image, "b "+image); took > soon {
			t.Errorf("took %s", took)
		}
		// Another directory takes its place, in one step for the pod of a.
		other := filepath.Join(root, "other")
		w.must(os.Mkdir(other, 0o700))
		w.must(os.WriteFile(filepath.Join(other, "a.yaml"), []byte(manifest("a", image)), 0o600))
		w.must(unix.Renameat2(unix.AT_FDCWD, other, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE))
		w.until("a " + image)
		w.write("c.yaml", manifest("c", image))
		w.until("a "+image, "c "+image)
		w.must(os.RemoveAll(other))
		w.must(os.RemoveAll(dir))
		w.until()
	}
}

// A directory that cannot be read is not an empty one.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root can read everything")
	}
	w := watchPath(t, t.TempDir(), 0)
	w.write("a.yaml", manifest("a", "i"))
	w.until("a i")
	w.must(os.Chmod(filepath.Join(w.dir, "a.yaml"), 0))
	w.untilAll([]string{"a i"}, []string{"a.yaml"})
	w.must(os.Chmod(w.dir, 0))
	for {
		if u := w.next(); u.Incomplete {
			if len(u.Pods) != 1 {
				t.Errorf("the set is %q", podsOf(u))
			}
			break
		}
	}
	w.must(os.Chmod(w.dir, 0o700))
	w.must(os.Chmod(filepath.Join(w.dir, "a.yaml"), 0o600))
	w.untilAll([]string{"a i"}, []string{})
}

// Hundreds of manifests are read and watched without trouble; one change among them acts at once.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var pods []string
	for i := range 300 {
		name := fmt.Sprintf("p%03d", i)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(manifest(name, "i")), 0o600); err != nil {
			t.Fatal(err)
		}
		pods = append(pods, name+" i")
	}
	begun := time.Now()
	w := watchPath(t, dir, 0)
	w.until(pods...)
	t.Logf("read 300 files in %s", time.Since(begun))
	w.write("p150", manifest("p150", "j"))
	pods[150] = "p150 j"
	_, took := w.until(pods...)
	t.Logf("a change among 300 took %s", took)
	if took > soon {
		t.Errorf("took %s", took)
	}
}
