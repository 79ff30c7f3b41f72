package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A container has its log open, and may lock it. Neither readers nor a rotation take notice of that.
func TestWriterLocksItsLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "0.log")
	write(t, dir, map[string]string{"0.log": strings.Repeat("0123456789abcde\n", 4096)})
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	within(t, func() {
		if text, err := LastLines(path, 2, 1000); err != nil || text != "0123456789abcde\n0123456789abcde\n" {
			t.Errorf("%q, %v", text, err)
		}
		if err := Copy(t.Context(), io.Discard, dir, Options{Tail: -1}); err != nil {
			t.Error(err)
		}
		if done, err := Rotate(t.Context(), path, Policy{MaxBytes: 60 << 10, MaxFiles: 3}); !done || err != nil {
			t.Errorf("%v, %v", done, err)
		}
	})
}

// A lease lets whoever opens the log wait for the container's answer, up to 45 s. Readers ask again for a while, and say
// then why they cannot read.
func TestWriterLeasesItsLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "0.log")
	write(t, dir, map[string]string{"0.log": "text\n"})
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skipf("this file system has no leases: %v", err)
	}
	within(t, func() {
		var busy *BusyError
		if _, err := openLog(t.Context(), path, os.O_RDONLY, 50*time.Millisecond); !errors.As(err, &busy) {
			t.Errorf("no BusyError but %v", err)
		}
	})
}

// Something else in the place of a log, or of its lock, is an error and nothing to wait for.
func TestNoRegularFile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"0.log", lockName} {
		dir := t.TempDir()
		write(t, dir, map[string]string{"0.log": "text\n"})
		_ = os.Remove(filepath.Join(dir, name))
		if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
		within(t, func() {
			if _, err := LastLines(filepath.Join(dir, "0.log"), 1, 100); err == nil || !strings.Contains(err.Error(), "no regular file") {
				t.Errorf("a FIFO as %s: %v", name, err)
			}
		})
	}
}

// A reader that has the lock and does not give it back delays others, and does not hang them.
func TestLockHasAnEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock, err := lockDir(t.Context(), dir, unix.LOCK_SH, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock(lock)
	var busy *BusyError
	if _, err := lockDir(t.Context(), dir, unix.LOCK_EX, 20*time.Millisecond); !errors.As(err, &busy) || busy.Hint() == "" {
		t.Errorf("no BusyError but %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lockDir(ctx, dir, unix.LOCK_EX, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("not cancelled but %v", err)
	}
}

// within fails the test when do takes longer than any of these calls may.
func within(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it hangs")
	}
}

// A burst of more than is kept loses its oldest bytes and nothing else, and a follower goes on at the right place.
func TestBurstDropsTheOldest(t *testing.T) {
	t.Parallel()
	for name, dir := range filesystems(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, "0.log")
			line := strings.Repeat("0123456789abcde\n", 4096) // 64 KiB
			write(t, dir, map[string]string{"0.log": line})
			out, in := io.Pipe()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				_ = in.CloseWithError(errors.Join(Copy(ctx, in, dir, Options{Tail: -1, Follow: true}), io.EOF))
			}()
			if _, err := io.ReadFull(out, make([]byte, len(line))); err != nil {
				t.Fatal(err)
			}
			policy := Policy{MaxBytes: 64 << 10, MaxFiles: 3}
			burst := line + strings.Repeat(line, 30) + "the end\n"
			if err := os.WriteFile(path, []byte(burst), 0o600); err != nil { // 2 MB; 256 KiB are kept
				t.Fatal(err)
			}
			var dropped *DroppedError
			done, err := Rotate(t.Context(), path, policy)
			if !done || !errors.As(err, &dropped) || dropped.Bytes < 1<<20 {
				t.Fatalf("%v, %v", done, err)
			}
			if done, err := Rotate(t.Context(), path, policy); done || err != nil {
				t.Errorf("rotated again: %v, %v", done, err)
			}
			if used := allocatedBelow(t, dir); used > policy.rotatedBytes()+policy.MaxBytes {
				t.Errorf("%d bytes are left", used)
			}
			var rest bytes.Buffer
			if err := Copy(t.Context(), &rest, dir, Options{Tail: -1}); err != nil || !strings.HasSuffix(rest.String(), "abcde\nthe end\n") ||
				strings.ContainsRune(rest.String(), 0) || int64(rest.Len())+dropped.Bytes != int64(len(burst)) {
				t.Errorf("%d bytes are left, %d dropped of %d, %v", rest.Len(), dropped.Bytes, len(burst), err)
			}
			// The follower may have read some of the burst before the rotation; what it reads after it is the rest.
			got := make(chan string, 1)
			go func() { all, _ := io.ReadAll(out); got <- string(all) }()
			time.AfterFunc(2*pollPeriod, cancel)
			if all := <-got; !strings.HasSuffix(all, "abcde\nthe end\n") || strings.Count(all, "the end") != 1 || len(all) > len(burst) {
				t.Errorf("the follower read %d bytes, at the end %q", len(all), all[max(0, len(all)-40):])
			}
		})
	}
}

// On a full disk a rotation frees room first. Before, the copy failed, and the disk stayed full for ever.
func TestRotateOnFullDisk(t *testing.T) {
	for _, kind := range []string{"tmpfs", "ext4"} {
		for name, policy := range map[string]Policy{
			"one burst":        {MaxBytes: 1 << 20, MaxFiles: 2},
			"little by little": {MaxBytes: 4 << 20, MaxFiles: 5}, // more is kept than there is room for
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				dir := smallDisk(t, kind)
				f, _, err := Create(dir, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				line := []byte(strings.Repeat("0123456789abcde\n", 4096))
				for round := range 5 {
					for err = nil; err == nil; {
						_, err = f.Write(line)
					}
					if !errors.Is(err, unix.ENOSPC) {
						t.Fatal(err)
					}
					var dropped *DroppedError
					if done, err := Rotate(t.Context(), f.Name(), policy); !done || !errors.As(err, &dropped) {
						t.Fatalf("round %d: %v, %v", round, done, err)
					}
					if _, err := f.Write([]byte("it goes on\n")); err != nil {
						t.Fatalf("round %d: the disk is still full: %v", round, err)
					}
				}
				if text, err := LastLines(f.Name(), 1, 100); !strings.HasSuffix(text, "it goes on\n") || err != nil {
					t.Errorf("%q, %v", text, err)
				}
			})
		}
	}
}

// smallDisk mounts a file system of 16 MB.
func smallDisk(t *testing.T, kind string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir, source, options := t.TempDir(), "small", "size=16m"
	if kind == "ext4" {
		source, options = filepath.Join(t.TempDir(), "disk"), "loop"
		if err := os.WriteFile(source, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(source, 16<<20); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", source).CombinedOutput(); err != nil {
			t.Skipf("no ext4 can be made here: %v %s", err, out)
		}
	}
	if out, err := exec.Command("mount", "-t", kind, "-o", options, source, dir).CombinedOutput(); err != nil {
		t.Skipf("nothing can be mounted here: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	sub := filepath.Join(dir, "logs")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	return sub
}

// The end of a line of 3 GB is found at once, and without 3 GB of memory.
func TestTailOfAnEndlessLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "0.log")
	write(t, dir, map[string]string{"0.log": "x"})
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("the end"), 3<<30); err != nil { // the rest is a hole: NULs without a newline
		t.Fatal(err)
	}
	began := time.Now()
	if text, err := LastLines(path, 10, 4<<10); err != nil || len(text) != 4<<10 || !strings.HasSuffix(text, "the end") {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	var tail bytes.Buffer
	if err := Copy(t.Context(), &tail, dir, Options{Tail: 1}); err != nil || tail.Len() > longestTail+1 ||
		!strings.HasSuffix(tail.String(), "the end") {
		t.Errorf("%d bytes, %v", tail.Len(), err)
	}
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("it took %s", took)
	}
}

// Some kilobytes of a rotated log that was compressed may unpack to gigabytes: neither the tail nor the whole is held in
// memory.
func TestGzippedLogIsNotHeldInMemory(t *testing.T) {
	dir := t.TempDir()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	chunk := make([]byte, 1<<20)
	for range 64 {
		_, _ = z.Write(chunk)
	}
	_, _ = z.Write([]byte("\nthe end\n"))
	_ = z.Close()
	write(t, dir, map[string]string{"0.log": "", "0.log.20260101-000000.gz": packed.String()})
	var tail bytes.Buffer
	if bytes := allocates(func() {
		if err := Copy(t.Context(), &tail, dir, Options{Tail: 1}); err != nil || tail.String() != "the end\n" {
			t.Errorf("%q, %v", tail.String(), err)
		}
	}); bytes > 200<<20 { // a growing window of 16 MiB
		t.Errorf("%d bytes of memory for the tail", bytes)
	}
	if bytes := allocates(func() {
		if err := Copy(t.Context(), io.Discard, dir, Options{Tail: -1}); err != nil {
			t.Error(err)
		}
	}); bytes > 30<<20 {
		t.Errorf("%d bytes of memory for one read", bytes)
	}
}

// allocates is how much memory a call takes in all, and what runs beside it.
func allocates(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// The logs of ended restarts are bounded in bytes, and the previous one is always there, at least its end.
func TestPruneBytes(t *testing.T) {
	t.Parallel()
	for name, dir := range filesystems(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := strings.Repeat("0123456789abcde\n", 4096) // 64 KiB
			big := strings.Repeat(line, 32) + "the end\n"     // 2 MB
			write(t, dir, map[string]string{"0.log": line, "1.log": big, "2.log": line + line, "3.log": big})
			policy := Policy{MaxBytes: 64 << 10, MaxFiles: 3} // 320 KiB
			var dropped *DroppedError
			if err := Prune(t.Context(), dir, 5, policy); !errors.As(err, &dropped) {
				t.Fatalf("the newest log has ended too, and is rotated: %v", err)
			}
			if used := allocatedBelow(t, dir); used > 2*(policy.rotatedBytes()+policy.MaxBytes)+64<<10 {
				t.Errorf("%d bytes are left", used)
			}
			if got := strings.Join(names(t, dir), " "); strings.Contains(got, " 0.log") || !strings.Contains(got, " 1.log") {
				t.Errorf("left: %s", got)
			}
			for _, restart := range []string{"1.log", "3.log"} {
				if text, err := LastLines(filepath.Join(dir, restart), 1, 100); text != "the end\n" || err != nil {
					t.Errorf("%s: %q, %v", restart, text, err)
				}
			}
		})
	}
}

func allocatedBelow(t *testing.T, dir string) (sum int64) {
	t.Helper()
	for _, name := range names(t, dir) {
		n, err := allocated(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}
