package source

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/durable"
)

// manifest is a pod's YAML; image tells contents apart.
func manifest(name, image string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata:\n  name: %s\nspec:\n  containers:\n  - name: main\n    image: %s\n", name, image)
}

// soon tells a change that was noticed from one that the periodic listing found, 20 s later. The aim is
// 100 ms; a test must not fail because the machine is busy, so speed is for make bench.
const soon = 5 * time.Second

// watched is a running Directory and what it has said.
type watched struct {
	t   *testing.T
	dir string
	ch  chan Update
	all []Update // every update so far
}

// watch runs a Directory on path.
func watchPath(t *testing.T, path string, period time.Duration) *watched {
	w := &watched{t: t, dir: path, ch: make(chan Update, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- (&Directory{Path: path, NodeName: "node1", Period: period}).Run(ctx, w.ch) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// next returns the next update.
func (w *watched) next() Update {
	w.t.Helper()
	select {
	case u := <-w.ch:
		w.all = append(w.all, u)
		return u
	case <-time.After(5 * time.Second):
		w.t.Fatal("no update came")
		return Update{}
	}
}

// until waits for a set of pods, as "name image", and gives back the update and how long it took.
func (w *watched) until(pods ...string) (Update, time.Duration) {
	w.t.Helper()
	return w.untilAll(pods, nil)
}

func (w *watched) untilAll(pods, problems []string) (Update, time.Duration) {
	w.t.Helper()
	begun := time.Now()
	var u Update
	for time.Since(begun) < 10*time.Second {
		select {
		case u = <-w.ch:
			w.all = append(w.all, u)
			if slices.Equal(podsOf(u), pods) && (problems == nil || slices.Equal(problemsOf(u), problems)) {
				return u, time.Since(begun)
			}
		case <-time.After(time.Second / 10):
		}
	}
	w.t.Fatalf("the set is %q, problems %+v; want %q, %q", podsOf(u), u.Problems, pods, problems)
	return u, 0
}

// quiet wants no update for a while.
func (w *watched) quiet(d time.Duration) {
	w.t.Helper()
	select {
	case u := <-w.ch:
		w.t.Errorf("an update came: %q, %+v", podsOf(u), u.Problems)
	case <-time.After(d):
	}
}

func (w *watched) write(name, content string) {
	w.t.Helper()
	if err := durable.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func podsOf(u Update) []string {
	var pods []string
	for _, p := range u.Pods {
		pods = append(pods, strings.TrimSuffix(p.Name, "-node1")+" "+p.Spec.Containers[0].Image)
	}
	return pods
}

func problemsOf(u Update) []string {
	var all []string
	for _, p := range u.Problems {
		all = append(all, filepath.Base(p.Source))
	}
	return all
}

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

// Statements 25, 27: of two files for one pod the one in use stays, and the other is shown; then it takes over.
func TestStatic_025_027_Duplicates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := &watched{t: t}
	w.must(os.WriteFile(filepath.Join(dir, "m.yaml"), []byte(manifest("a", "first")), 0o600))
	w.must(os.WriteFile(filepath.Join(dir, "z.yaml"), []byte(manifest("a", "second")), 0o600))
	w = watchPath(t, dir, 0)
	u, _ := w.untilAll([]string{"a first"}, []string{"z.yaml"})
	if p := u.Problems[0]; !p.Warning || !strings.Contains(p.Message, "m.yaml already defines pod a-node1_default") {
		t.Errorf("%+v", p)
	}
	w.write("b.yaml", manifest("a", "third"))
	w.untilAll([]string{"a first"}, []string{"b.yaml", "z.yaml"})
	w.write("m.yaml", manifest("a", "edited"))
	w.untilAll([]string{"a edited"}, []string{"b.yaml", "z.yaml"})
	w.must(os.Remove(filepath.Join(dir, "m.yaml")))
	w.untilAll([]string{"a third"}, []string{"z.yaml"})
	for _, u := range w.all {
		if len(u.Pods) != 1 {
			t.Errorf("a set of %q", podsOf(u))
		}
	}
	uid := strings.Replace(manifest("other", "i"), "name: other", "name: other\n  uid: same", 1)
	w.write("c.yaml", uid)
	w.write("d.yaml", strings.Replace(uid, "other", "another", 1))
	w.untilAll([]string{"a third", "other i"}, []string{"d.yaml", "z.yaml"})
}

// Statement 28: a malformed edit keeps the last good pod, and says where the fault is.
func TestStatic_028_MalformedEdit(t *testing.T) {
	t.Parallel()
	w := watchPath(t, t.TempDir(), 100*time.Millisecond)
	w.write("a.yaml", manifest("a", "one"))
	w.until("a one")
	w.write("a.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n   - name: main\n  image: [\n")
	u, _ := w.untilAll([]string{"a one"}, []string{"a.yaml"})
	if p := u.Problems[0]; p.Warning || p.Line != 8 && p.Line != 9 || !strings.Contains(p.Message, "the last good version stays in use") {
		t.Errorf("%+v", p)
	}
	w.quiet(300 * time.Millisecond) // over several polls
	w.write("a.yaml", manifest("a", "''"))
	u, _ = w.untilAll([]string{"a one"}, []string{"a.yaml"})
	if p := u.Problems[0]; p.Line != 8 || !strings.HasPrefix(p.Message, "invalid pod: [spec.containers[0].image: Required value]") {
		t.Errorf("%+v", p)
	}
	w.write("a.yaml", manifest("a", "two"))
	w.untilAll([]string{"a two"}, []string{})
}

// Statement 29: a file that is being written is not read, however slowly it comes.
func TestStatic_029_PartialWrites(t *testing.T) {
	t.Parallel()
	w := watchPath(t, t.TempDir(), 50*time.Millisecond)
	w.write("a.yaml", manifest("a", "one"))
	w.until("a one")
	f, err := os.OpenFile(filepath.Join(w.dir, "a.yaml"), os.O_WRONLY|os.O_TRUNC, 0)
	w.must(err)
	whole := manifest("a", "two") + "    args: [\"x\"]\n"
	for i := range len(whole) { // the first lines alone would be a pod too
		_, err := f.WriteString(whole[i : i+1])
		w.must(err)
		time.Sleep(3 * time.Millisecond)
	}
	w.quiet(50 * time.Millisecond)
	w.must(f.Close())
	if u, took := w.until("a two"); len(u.Pods[0].Spec.Containers[0].Args) != 1 || took > soon {
		t.Errorf("args %v after %s", u.Pods[0].Spec.Containers[0].Args, took)
	}
	for _, u := range w.all {
		if len(u.Problems) > 0 {
			t.Errorf("a partial file was read: %+v", u.Problems)
		}
	}
}

// Statement 29: a supervisor that starts while a manifest is being written waits for it, rather than
// reporting a set without its pod.
func TestStatic_029_PartialAtStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "a.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w := watchPath(t, dir, 0)
	for _, part := range []string{"apiVersion: v1\n", strings.TrimPrefix(manifest("a", "i"), "apiVersion: v1\n")} {
		_, err = f.WriteString(part)
		w.must(err)
		w.quiet(100 * time.Millisecond)
	}
	w.must(f.Close())
	if u := w.next(); len(u.Pods) != 1 || len(u.Problems) != 0 {
		t.Errorf("the first set is %q, %+v", podsOf(u), u.Problems)
	}
}

// Statement 29: the ways of editors cause one change each, and never an outage.
func TestStatic_029_Editors(t *testing.T) {
	t.Parallel()
	step := func(w *watched) { time.Sleep(2 * time.Millisecond) }
	for name, save := range map[string]func(w *watched, path, content string){
		"vim with a backup": func(w *watched, path, content string) {
			w.must(os.WriteFile(filepath.Join(w.dir, "4913"), nil, 0o600))
			w.must(os.Remove(filepath.Join(w.dir, "4913")))
			w.must(os.Rename(path, path+"~"))
			step(w)
			f, err := os.Create(path)
			w.must(err)
			step(w)
			_, err = f.WriteString(content)
			w.must(err)
			w.must(f.Sync())
			w.must(f.Close())
			step(w)
			w.must(os.Remove(path + "~"))
		},
		"emacs": func(w *watched, path, content string) {
			lock := filepath.Join(w.dir, ".#a.yaml")
			w.must(os.Symlink("user@host.1:2", lock))
			w.must(os.WriteFile(filepath.Join(w.dir, "#a.yaml#"), []byte(content[:20]), 0o600))
			step(w)
			w.must(os.Rename(path, path+"~"))
			w.must(os.WriteFile(path, []byte(content), 0o600))
			step(w)
			w.must(os.Remove(filepath.Join(w.dir, "#a.yaml#")))
			w.must(os.Remove(lock))
			w.must(os.Remove(path + "~"))
		},
		"sed -i": func(w *watched, path, content string) {
			image := content[strings.Index(content, "image: ")+7 : len(content)-1]
			out, err := exec.Command("sed", "-i", "s/image: .*/image: "+image+"/", path).CombinedOutput()
			if err != nil {
				w.t.Fatalf("%v: %s", err, out)
			}
		},
		"removed and created": func(w *watched, path, content string) {
			w.must(os.Remove(path))
			step(w)
			w.must(os.WriteFile(path, []byte(content), 0o600))
		},
		"written in place": func(w *watched, path, content string) { w.must(os.WriteFile(path, []byte(content), 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watchPath(t, t.TempDir(), 0)
			w.write("a.yaml", manifest("a", "v0"))
			w.until("a v0")
			w.all = nil
			for i := 1; i <= 10; i++ {
				image := fmt.Sprintf("v%d", i)
				save(w, filepath.Join(w.dir, "a.yaml"), manifest("a", image))
				if _, took := w.until("a " + image); took > soon {
					t.Errorf("%s took %s", image, took)
				}
			}
			images := map[string]int{}
			last := "v0"
			for _, u := range w.all {
				if len(u.Pods) != 1 || filepath.Base(u.Pods[0].Origin) != "a.yaml" {
					t.Fatalf("an outage: %q", podsOf(u))
				}
				if image := u.Pods[0].Spec.Containers[0].Image; image != last {
					images[image]++
					last = image
				}
				for _, p := range u.Problems {
					if !p.Warning {
						t.Errorf("a passing problem: %+v", p)
					}
				}
			}
			for image, n := range images {
				if n != 1 {
					t.Errorf("%s came %d times", image, n)
				}
			}
		})
	}
}

// 300 edits in a row end on the last one.
func TestManyEdits(t *testing.T) {
	t.Parallel()
	w := watchPath(t, t.TempDir(), 0)
	path := filepath.Join(w.dir, "a.yaml")
	for i := range 300 {
		content := manifest("a", fmt.Sprintf("v%03d", i))
		if i%3 == 0 {
			w.must(os.Rename(writeTemp(t, content), path))
		} else {
			w.must(os.WriteFile(path, []byte(content), 0o600))
		}
	}
	w.until("a v299")
	w.quiet(100 * time.Millisecond)
}

func writeTemp(t *testing.T, content string) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f.Name()
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

// Statement 31: another name in one file is another pod in the same update; the supervisor ends the old one first.
func TestStatic_031_NameInFileChanged(t *testing.T) {
	t.Parallel()
	w := watchPath(t, t.TempDir(), 0)
	w.write("a.yaml", manifest("old", "i"))
	w.until("old i")
	w.write("a.yaml", manifest("new", "i"))
	w.until("new i")
	for _, u := range w.all {
		if len(u.Pods) > 1 {
			t.Errorf("both at once: %q", podsOf(u))
		}
	}
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
