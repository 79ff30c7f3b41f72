package supervisor

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/source"
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

// The root of a supervisor is removed while it runs: nobody could find or stop it any more, so it stops its pods and
// ends, and makes nothing anew where the root was.
func TestEndsWithItsRoot(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "root")
	l := runLive(t, dir)
	l.src.ch <- source.Update{Pods: []*runtime.Pod{newPod("a")}}
	l.await(t, func(s runtime.Status) bool { return s.Ready && len(s.Pods) == 1 })
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-l.done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it still runs")
	}
	if len(l.rt.running()) != 0 {
		t.Error("it ended and left pods running")
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Errorf("%s is there again", dir)
	}
}

// A stop that is asked for from within, as a signal does, needs no socket.
func TestStopWithoutSocket(t *testing.T) {
	t.Parallel()
	l := runLive(t, t.TempDir())
	l.src.ch <- source.Update{Pods: []*runtime.Pod{newPod("a")}}
	l.await(t, func(s runtime.Status) bool { return s.Ready && len(s.Pods) == 1 })
	if err := os.Remove(l.opts.SocketPath); err != nil {
		t.Fatal(err)
	}
	close(l.stop)
	select {
	case err := <-l.done:
		if err != nil || len(l.rt.running()) != 0 {
			t.Errorf("%v, %d containers run", err, len(l.rt.running()))
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it still runs")
	}
}
