package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The mode is the one asked for whatever the umask, and a link is replaced, not followed.
func TestWriteFileReplacesLinks(t *testing.T) {
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "file")
	write(t, victim, "keep")
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("new"), 0o666); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o666 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if data, _ := os.ReadFile(victim); string(data) != "keep" {
		t.Errorf("the link was followed: %q", data)
	}
}

// Nothing is half-written: when one of many cannot be written, no file appears and no temporary file stays.
func TestWriteFilesAllOrNothingBeforeRename(t *testing.T) {
	dir := t.TempDir()
	err := WriteFiles([]File{
		{Path: filepath.Join(dir, "a"), Data: []byte("a"), Mode: 0o600},
		{Path: filepath.Join(dir, "missing", "b"), Data: []byte("b"), Mode: 0o600},
	})
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "cannot write "+filepath.Join(dir, "missing", "b")) {
		t.Errorf("error is %v", err)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
	// A directory in the way of the second: the first is there, whole; nothing else is.
	if err := os.Mkdir(filepath.Join(dir, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	err = WriteFiles([]File{
		{Path: filepath.Join(dir, "a"), Data: []byte("a"), Mode: 0o600},
		{Path: filepath.Join(dir, "b"), Data: []byte("b"), Mode: 0o600},
		{Path: filepath.Join(dir, "c"), Data: []byte("c"), Mode: 0o600},
	})
	if err == nil {
		t.Error("a directory was replaced by a file")
	}
	if got := names(t, dir); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("there are %v", got)
	}
}

// Only leftovers of the named files go: another writer's and other files stay.
func TestSweepDir(t *testing.T) {
	dir := t.TempDir()
	keep := []string{TempPrefix + "b.ABCDEFGH", TempPrefix + "a.SHORT", "a", TempPrefix + "a.conf.ABCDEFGH"}
	for _, name := range append(keep, TempPrefix+"a.ABCDEFGH") {
		write(t, filepath.Join(dir, name), "x")
	}
	if err := SweepDir(dir, "a"); err != nil {
		t.Fatal(err)
	}
	slices.Sort(keep)
	if got := names(t, dir); !slices.Equal(got, keep) {
		t.Errorf("there are %v, want %v", got, keep)
	}
	if err := SweepDir(filepath.Join(dir, "missing"), "a"); err != nil {
		t.Error(err)
	}
}

func TestNewDir(t *testing.T) {
	base := t.TempDir()
	path := filepath.Join(base, "a", "b", "c")
	fill := func(made []string) []File {
		return []File{{Path: filepath.Join(path, "list"), Data: []byte(strings.Join(made, " ")), Mode: 0o640}}
	}
	made, err := NewDir(path, 0o700, fill)
	want := []string{filepath.Join(base, "a"), filepath.Join(base, "a", "b"), path}
	if err != nil || !slices.Equal(made, want) {
		t.Fatalf("made %v, %v", made, err)
	}
	if data, _ := os.ReadFile(filepath.Join(path, "list")); string(data) != strings.Join(want, " ") {
		t.Errorf("the file says %q", data)
	}
	for dir, mode := range map[string]fs.FileMode{path: 0o700, filepath.Dir(path): 0o755} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, %v", dir, info.Mode(), err)
		}
	}
	made, err = NewDir(path, 0o700, func([]string) []File { t.Error("filled again"); return nil })
	if made != nil || err != nil {
		t.Errorf("second time: %v, %v", made, err)
	}
	if got := names(t, base); !slices.Equal(got, []string{"a"}) {
		t.Errorf("left behind: %v", got)
	}
}

// A file in the way is an error that names it, and nothing is made.
func TestNewDirOverFile(t *testing.T) {
	base := t.TempDir()
	write(t, filepath.Join(base, "a"), "x")
	_, err := NewDir(filepath.Join(base, "a", "b"), 0o700, func([]string) []File { return nil })
	if err == nil || !strings.Contains(err.Error(), "is not a directory") && !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("error is %v", err)
	}
}

// Many at once: exactly one makes each directory, and every one finds its directory whole, even while others sweep.
func TestNewDirConcurrently(t *testing.T) {
	base := t.TempDir()
	paths := []string{filepath.Join(base, "a", "x"), filepath.Join(base, "a", "y")}
	var mu sync.Mutex
	madeBy := map[string]int{}
	var wg sync.WaitGroup
	for i := range 16 {
		path := paths[i%2]
		wg.Go(func() {
			if err := Sweep(path); err != nil {
				t.Error(err)
			}
			made, err := NewDir(path, 0o700, func([]string) []File {
				return []File{{Path: filepath.Join(path, "f"), Data: []byte("x"), Mode: 0o600}}
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(path, "f")); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, dir := range made {
				madeBy[dir]++
			}
		})
	}
	wg.Wait()
	if len(madeBy) != 3 || madeBy[paths[0]] != 1 || madeBy[paths[1]] != 1 || madeBy[filepath.Dir(paths[0])] != 1 {
		t.Errorf("made %v", madeBy)
	}
	if got := names(t, base); !slices.Equal(got, []string{"a"}) {
		t.Errorf("left behind: %v", got)
	}
}

// What a killed NewDir or RetireDir left goes, at any parent; what a living one holds stays.
func TestSweep(t *testing.T) {
	base := t.TempDir()
	path := filepath.Join(base, "run", "kubecrank")
	dead := filepath.Join(base, TempPrefix+"run.ABCDEFGH")
	alive := filepath.Join(base, TempPrefix+"run.HGFEDCBA")
	other := filepath.Join(base, TempPrefix+"var.ABCDEFGH")
	for _, dir := range []string{dead, alive, other} {
		write(t, filepath.Join(dir, "kubecrank", "f"), "x")
	}
	release, err := hold(alive)
	if err != nil {
		t.Fatal(err)
	}
	if err := Sweep(path); err != nil {
		t.Fatal(err)
	}
	if got := names(t, base); !slices.Equal(got, []string{filepath.Base(alive), filepath.Base(other)}) {
		t.Errorf("there are %v", got)
	}
	release()
	if err := Sweep(path); err != nil {
		t.Fatal(err)
	}
	if got := names(t, base); !slices.Equal(got, []string{filepath.Base(other)}) {
		t.Errorf("there are %v", got)
	}
}

// A link in the directory goes, and what it leads to stays.
func TestRetireDir(t *testing.T) {
	base := t.TempDir()
	outside := filepath.Join(base, "outside")
	write(t, filepath.Join(outside, "f"), "x")
	dir := filepath.Join(base, "dir")
	write(t, filepath.Join(dir, "sub", "f"), "x")
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := RetireDir(dir); err != nil {
		t.Fatal(err)
	}
	if err := RetireDir(dir); err != nil {
		t.Errorf("second time: %v", err)
	}
	if got := names(t, base); !slices.Equal(got, []string{"outside"}) {
		t.Errorf("there are %v", got)
	}
	if _, err := os.Stat(filepath.Join(outside, "f")); err != nil {
		t.Error(err)
	}
}
