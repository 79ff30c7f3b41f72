package source

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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
					t.Errorf("a passing problem: %+v", p)
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

// Statement 29: the file that sed -i writes is not read, even when it defines another pod and a slow machine
// lets it be seen; one that is really called so is read after a while.
func TestStatic_029_SedTemporary(t *testing.T) {
	t.Parallel()
	w := watchPath(t, t.TempDir(), 0)
	w.write("a.yaml", manifest("a", "one"))
	w.until("a one")
	w.write("sedAb3dEf", manifest("b", "two"))
	w.quiet(300 * time.Millisecond)
	w.must(os.Rename(filepath.Join(w.dir, "sedAb3dEf"), filepath.Join(w.dir, "a.yaml")))
	if u, _ := w.untilAll([]string{"b two"}, []string{}); filepath.Base(u.Pods[0].Origin) != "a.yaml" {
		t.Errorf("the pod is from %s", u.Pods[0].Origin)
	}
	w.write("sedative", manifest("c", "i"))
	w.until("b two", "c i")
	w.write("sedan1234", manifest("e", "i"))
	w.write("sedating-1", manifest("d", "i"))
	w.until("b two", "d i", "c i")
	w.until("b two", "e i", "d i", "c i")
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
