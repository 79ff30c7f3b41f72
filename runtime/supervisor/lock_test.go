package supervisor

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A supervisor was killed while it started a container: what was to become that holds the lock for a moment longer,
// and the next supervisor waits for it.
func TestLockOutlastsItsOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	first, err := takeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := unix.FcntlInt(first.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	time.AfterFunc(100*time.Millisecond, func() { _ = unix.Close(inherited) })
	second, err := takeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}
