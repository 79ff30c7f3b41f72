package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/manifests/config"
)

func acquire(t *testing.T, paths config.Paths) *Lock {
	t.Helper()
	l, err := Acquire(paths, "init")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The second of two runs is told at once who holds the lock.
func TestLockNamesItsHolder(t *testing.T) {
	paths := config.PathsBelow(t.TempDir())
	l := acquire(t, paths)
	_, err := Acquire(paths, "reset")
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() || locked.Verb != "init" {
		t.Fatalf("error is %v", err)
	}
	if !strings.Contains(err.Error(), "kubecrank init is at work (PID") {
		t.Errorf("error is %q", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	acquire(t, paths)
}

// Without a journal, a lock that is released leaves nothing, not even the directories it needed.
func TestLockLeavesNothing(t *testing.T) {
	base := t.TempDir()
	paths := config.PathsBelow(filepath.Join(base, "new", "root"))
	l := acquire(t, paths)
	if want := filepath.Join(base, "new"); l.Made()[0] != want {
		t.Errorf("made %v, want %s first", l.Made(), want)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(base); len(entries) != 0 {
		t.Errorf("left %v", entries)
	}
}

// Directories that were there before stay, and so do those that others have put something into.
func TestLockLeavesTheirDirectories(t *testing.T) {
	root := t.TempDir()
	paths := config.PathsBelow(root)
	if err := os.MkdirAll(paths.Run, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := acquire(t, paths).Release(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(paths.Run); err != nil || len(entries) != 0 {
		t.Errorf("there are %v, %v", entries, err)
	}
	other := config.PathsBelow(filepath.Join(root, "other"))
	l := acquire(t, other)
	theirs := filepath.Join(root, "other", "run", "theirs")
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(other.Run); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", other.Run, err)
	}
}

// With a journal the file stays, and the next one still knows which directories were made for it.
func TestLockRemembersItsDirectories(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	paths := config.PathsBelow(root)
	l := acquire(t, paths)
	made := l.Made()
	j := openJournal(t, root)
	if err := j.Commit(begun("init")); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	l = acquire(t, paths)
	if got := l.Made(); strings.Join(got, " ") != strings.Join(made, " ") {
		t.Errorf("made %v, want %v", got, made)
	}
}

// What a lock file says is believed only of the file's own parents.
func TestLockFileIsNotTrusted(t *testing.T) {
	root := t.TempDir()
	paths := config.PathsBelow(root)
	if err := os.MkdirAll(paths.Run, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(paths.Lock, []byte(`{"made":["/","/etc","`+filepath.Dir(paths.Run)+`"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	l := acquire(t, paths)
	if got := l.Made(); len(got) != 1 || got[0] != filepath.Dir(paths.Run) {
		t.Errorf("made %v", got)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	// Garbage is no reason to fail, and a link is not followed.
	if err := os.WriteFile(paths.Lock, []byte("\x00garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := acquire(t, paths).Release(); err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(root, "victim")
	if err := os.Symlink(victim, paths.Lock); err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(paths, "init"); err == nil {
		t.Error("a link was followed")
	}
	if _, err := os.Lstat(victim); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the link's target was made")
	}
}

// Runs that come and go, each removing the lock behind it, are never two at a time.
func TestLockExcludesWhileItIsRemoved(t *testing.T) {
	paths := config.PathsBelow(filepath.Join(t.TempDir(), "root"))
	var holders, turns atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for turns.Load() < 100 {
				l, err := Acquire(paths, "init")
				var locked *LockedError
				if errors.As(err, &locked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if holders.Add(1) != 1 {
					t.Error("two hold the lock")
				}
				turns.Add(1)
				holders.Add(-1)
				if err := l.Release(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A reset that is killed after it has removed the journal is finished by the
// next one; where nothing is left, nothing is touched.
func TestFinishReset(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(t *testing.T, root string){
		"the state has lost its name": func(t *testing.T, root string) {
			l := acquire(t, config.PathsBelow(root))
			l.file.Close() // what a kill does
			mkdirAll(t, filepath.Join(root, durable.TempPrefix+"var.ABCDEFGH", "lib", "kubecrank"))
		},
		"the lock is left": func(t *testing.T, root string) {
			acquire(t, config.PathsBelow(root)).file.Close()
		},
		"all has lost its name": func(t *testing.T, root string) {
			mkdirAll(t, filepath.Join(filepath.Dir(root), durable.TempPrefix+"root.ABCDEFGH", "run"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := t.TempDir()
			root := filepath.Join(base, "root")
			leave(t, root)
			if did, err := FinishReset(config.PathsBelow(root)); !did || err != nil {
				t.Fatalf("FinishReset = %v, %v", did, err)
			}
			if entries, err := os.ReadDir(base); err != nil || len(entries) > 0 {
				t.Errorf("left %v, %v", entries, err)
			}
			if did, err := FinishReset(config.PathsBelow(root)); did || err != nil {
				t.Errorf("a second FinishReset = %v, %v", did, err)
			}
		})
	}
}

func mkdirAll(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

// A directory that took the place of the lock's, or of a parent of it, is not removed with the lock.
func TestReleaseAfterRename(t *testing.T) {
	for _, moved := range []string{"run/kubecrank", "run"} {
		root := t.TempDir()
		paths := config.PathsBelow(root)
		lock := acquire(t, paths)
		if err := os.Rename(filepath.Join(root, moved), filepath.Join(root, "aside")); err != nil {
			t.Fatal(err)
		}
		theirs := filepath.Join(paths.Run, filepath.Base(paths.Lock))
		mkdirAll(t, paths.Run)
		if err := os.WriteFile(theirs, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := lock.Release()
		if data, _ := os.ReadFile(theirs); string(data) != "theirs" {
			t.Errorf("%s was moved: Release removed what took its place (%v)", moved, err)
		}
	}
}
