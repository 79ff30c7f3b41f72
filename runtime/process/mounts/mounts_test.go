package mounts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inside runs f on a thread of its own, in a mount namespace of its own. The other tests are in runtime/process, with
// real containers.
func inside(t *testing.T, f func() error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // not unlocked
		for unix.Gettid() == os.Getpid() {
			done <- errNoThread
			return
		}
		if err := private(); err != nil {
			done <- fmt.Errorf("%w: %w", errNoThread, err)
			return
		}
		done <- f()
	}()
	switch err := <-done; {
	case errors.Is(err, errNoThread):
		t.Skip(err)
	case err != nil:
		t.Error(err)
	}
}

var errNoThread = errors.New("needs a thread that may have a mount namespace")

// Before Linux 5.12 a mount is made read-only by setting all its flags anew: none is lost.
func TestRemountReadOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inside(t, func() error {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME, ""); err != nil {
			return err
		}
		if err := remountReadOnly(dir); err != nil {
			return err
		}
		data, err := os.ReadFile("/proc/thread-self/mountinfo")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			if strings.Contains(line, dir) && strings.Contains(line, " ro,nosuid,nodev,noexec,noatime ") {
				return nil
			}
		}
		return fmt.Errorf("not there in\n%s", data)
	})
}

// Where the kernel has hidden some mounts below others, the root can be made read-only all the same.
func TestLockRootCovered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inside(t, func() error {
		deep := filepath.Join(dir, "deep")
		if err := os.Mkdir(deep, 0o755); err != nil {
			return err
		}
		for _, at := range []string{deep, dir} {
			if err := unix.Mount("tmpfs", at, "tmpfs", 0, ""); err != nil {
				return err
			}
		}
		if err := lockRoot(false); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); !errors.Is(err, unix.EROFS) {
			return fmt.Errorf("written: %w", err)
		}
		return os.WriteFile("/dev/null", []byte("x"), 0)
	})
}

// A volume beneath which links lead out of it is opened beneath it or not at all, and what is made for it is made inside.
func TestBeneath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	volume := filepath.Join(dir, "volume")
	err := errors.Join(os.Mkdir(out, 0o755), os.MkdirAll(filepath.Join(volume, "in"), 0o755), os.Symlink("../out", filepath.Join(volume, "link")),
		os.Symlink("in", filepath.Join(volume, "inner")), os.Symlink("/proc/self/root", filepath.Join(volume, "magic")),
		os.Symlink("../out/none", filepath.Join(volume, "dangling")))
	if err != nil {
		t.Fatal(err)
	}
	for sub, want := range map[string]string{
		"in": "", "inner": "", "inner/new": "", "new/er": "", ".": "",
		"link": "leads out of", "link/new": "leads out of", "magic/etc": "leads out of", "dangling": "leads out of", "dangling/x": "leads out of",
	} {
		fd, err := Mount{Source: volume, SubPath: sub}.open()
		if err == nil {
			_ = unix.Close(fd)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", sub, err, want)
		}
	}
	if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
		t.Errorf("outside: %v, %v", left, err)
	}
}
