package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The mode is the one asked for under every umask; what is there keeps its own.
func TestMkdirAllUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o027, 0o077, 0o777} {
		base := t.TempDir()
		there := filepath.Join(base, "there")
		if err := os.Mkdir(there, 0o700); err != nil {
			t.Fatal(err)
		}
		old := syscall.Umask(umask)
		err := errors.Join(
			MkdirAll(filepath.Join(there, "a", "b"), 0o755),
			Mkdir(filepath.Join(base, "shut"), 0o700),
			Mkdir(filepath.Join(base, "open"), 0o777),
			MkdirAll(there, 0o755),
		)
		syscall.Umask(old)
		if err != nil {
			t.Fatalf("umask %04o: %v", umask, err)
		}
		for name, mode := range map[string]fs.FileMode{"there": 0o700, "there/a": 0o755, "there/a/b": 0o755, "shut": 0o700, "open": 0o777} {
			if info, err := os.Stat(filepath.Join(base, name)); err != nil || info.Mode().Perm() != mode {
				t.Errorf("umask %04o: %s: %v, %v", umask, name, info.Mode(), err)
			}
		}
	}
}

// The errors are those of os.Mkdir and os.MkdirAll; a setgid bit that a parent hands down stays.
func TestMkdirErrors(t *testing.T) {
	base := t.TempDir()
	if err := os.Chmod(base, 0o755|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if err := Mkdir(filepath.Join(base, "a"), 0o777); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(base, "a")); err != nil || info.Mode() != fs.ModeDir|fs.ModeSetgid|0o777 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := Mkdir(filepath.Join(base, "a"), 0o755); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if err := Mkdir(filepath.Join(base, "x", "a"), 0o755); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	write(t, filepath.Join(base, "file"), "")
	for _, name := range []string{"file", "file/below"} {
		if err := MkdirAll(filepath.Join(base, name), 0o755); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
