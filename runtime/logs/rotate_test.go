package logs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if os.Getenv("LOGS_TEST_WRITER") != "" {
		writeNumbers()
	}
	os.Exit(m.Run())
}

// writeNumbers is the container: it writes numbered lines of various lengths to its stdout until it is killed.
func writeNumbers() {
	pad := strings.Repeat("x", 300)
	for i := 0; ; i++ {
		if _, err := fmt.Fprintf(os.Stdout, "%d %s\n", i, pad[:i*7%300]); err != nil {
			os.Exit(1)
		}
	}
}

// filesystems are a place on disk and one in memory: in the one a range of a file can be
// collapsed (ext4, XFS), in the other only punched (tmpfs).
func filesystems(t *testing.T) map[string]string {
	dirs := map[string]string{"temp": t.TempDir()}
	if shm, err := os.MkdirTemp("/dev/shm", "kubecrank-logs-"); err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(shm) })
		dirs["shm"] = shm
	}
	return dirs
}

// Not a line is lost or doubled, neither on disk nor for a follower, while a process writes at full speed and its log
// is rotated under it.
func TestRotateLosesNothing(t *testing.T) {
	t.Parallel()
	for name, dir := range filesystems(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, _, err := Create(dir, 0)
			if err != nil {
				t.Fatal(err)
			}
			writer := exec.Command(os.Args[0])
			writer.Env = []string{"LOGS_TEST_WRITER=1"}
			writer.Stdout = log
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out, in := io.Pipe()
			followed := make(chan error, 1)
			go func() { followed <- Copy(ctx, in, dir, Options{Tail: -1, Follow: true}) }()
			counted := make(chan int, 1)
			go func() { counted <- countLines(t, out) }()

			if err := writer.Start(); err != nil {
				t.Fatal(err)
			}
			path := log.Name()
			_ = log.Close()
			rotations := 0
			for deadline := time.Now().Add(1500 * time.Millisecond); time.Now().Before(deadline); {
				done, err := Rotate(t.Context(), path, Policy{MaxBytes: 128 << 10, MaxFiles: 1 << 20})
				if err != nil {
					t.Fatal(err)
				}
				if done {
					rotations++
				}
			}
			_ = writer.Process.Kill()
			_ = writer.Wait()

			var all bytes.Buffer
			if err := Copy(t.Context(), &all, dir, Options{Tail: -1}); err != nil {
				t.Fatal(err)
			}
			written := countLines(t, &all)
			time.AfterFunc(1500*time.Millisecond, cancel) // the follower's last poll has passed
			if err := <-followed; err != nil {
				t.Error(err)
			}
			_ = in.Close()
			if got := <-counted; got != written {
				t.Errorf("the follower saw %d lines of %d", got, written)
			}
			if rotations < 5 || written < 1000 {
				t.Errorf("only %d rotations and %d lines: nothing was tested", rotations, written)
			}
			t.Logf("%d lines, %d rotations", written, rotations)
		})
	}
}

// countLines checks that the lines are numbered without a gap, and returns how many there are. The last
// one may be cut: its writer was killed.
func countLines(t *testing.T, r io.Reader) int {
	s := bufio.NewScanner(r)
	n := 0
	for s.Scan() {
		if number, _, _ := strings.Cut(s.Text(), " "); number != fmt.Sprint(n) {
			t.Errorf("line %d is %.40q", n, s.Text())
			_, _ = io.Copy(io.Discard, r)
			return n
		}
		n++
	}
	return n
}

func TestRotatePolicy(t *testing.T) {
	t.Parallel()
	for name, dir := range filesystems(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, "0.log")
			line := strings.Repeat("0123456789abcde\n", 4096) // 64 KiB
			write(t, dir, map[string]string{"0.log": line[:1000], "0.log.20991231-235959": "the clock went back\n"})
			policy := Policy{MaxBytes: 60 << 10, MaxFiles: 3}
			if done, err := Rotate(t.Context(), path, policy); done || err != nil {
				t.Fatalf("a small log was rotated: %v, %v", done, err)
			}
			for range 4 {
				f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := f.WriteString(line); err != nil {
					t.Fatal(err)
				}
				_ = f.Close()
				if done, err := Rotate(t.Context(), path, policy); !done || err != nil {
					t.Fatalf("not rotated: %v, %v", done, err)
				}
				if done, err := Rotate(t.Context(), path, policy); done || err != nil {
					t.Fatalf("rotated twice: %v, %v", done, err)
				}
			}
			want := []string{".lock", "0.log", "0.log.21000101-000002", "0.log.21000101-000003"}
			if got := names(t, dir); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("left %v, want %v", got, want)
			}
			var st unix.Stat_t
			if err := unix.Stat(path, &st); err != nil {
				t.Fatal(err)
			}
			if st.Blocks*512 > 16<<10 {
				t.Errorf("the live file still holds %d bytes", st.Blocks*512)
			}
			got, err := LastLines(path, 3000, 1<<20)
			if err != nil || got != line[:3000*16] {
				t.Errorf("the rest is damaged: %d bytes, %v", len(got), err)
			}
		})
	}
}

// A rotation that was killed at any point is finished or taken back, and the text stays the same.
func TestRecover(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789abcde\n", 2048) + "end\n" // repeats itself: only the file's extent tells
	for _, tc := range []struct {
		name  string
		leave func(t *testing.T, path string)
	}{
		{"while copying", func(t *testing.T, path string) {
			write(t, filepath.Dir(path), map[string]string{".0.log.tmp": text[:5000]})
		}},
		{"before the head was dropped", func(t *testing.T, path string) {
			write(t, filepath.Dir(path), map[string]string{fmt.Sprintf(".0.log.0-%d.pending", len(text)): text[:8192]})
		}},
		{"after the head was dropped", func(t *testing.T, path string) {
			write(t, filepath.Dir(path), map[string]string{fmt.Sprintf(".0.log.0-%d.pending", len(text)): text[:8192]})
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := dropHead(f, 8192); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		for name, dir := range filesystems(t) {
			t.Run(tc.name+" "+name, func(t *testing.T) {
				t.Parallel()
				write(t, dir, map[string]string{"0.log": text})
				path := filepath.Join(dir, "0.log")
				tc.leave(t, path)
				if err := Recover(t.Context(), path); err != nil {
					t.Fatal(err)
				}
				var out strings.Builder
				if err := Copy(t.Context(), &out, dir, Options{Tail: -1}); err != nil {
					t.Fatal(err)
				}
				if out.String() != text {
					t.Errorf("%d bytes, want %d", out.Len(), len(text))
				}
				if left, err := leftovers(path); len(left) > 0 || err != nil {
					t.Errorf("left %v, %v", left, err)
				}
			})
		}
	}
}

// A log of any other name is rotated too, keeps its mode, and its neighbors stay.
func TestRotateOtherName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "supervisor.log")
	neighbors := []string{"supervisor.log.bak", "supervisor.logs.20200101-000000", "1.log.20200101-000000"}
	for _, name := range neighbors {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 4 {
		if _, err := f.Write(bytes.Repeat([]byte("0123456789abcde\n"), 2000)); err != nil {
			t.Fatal(err)
		}
		if done, err := Rotate(t.Context(), path, Policy{MaxBytes: 20000, MaxFiles: 3}); !done || err != nil {
			t.Fatalf("%v, %v", done, err)
		}
	}
	files, err := rotatedOf(path)
	if err != nil || len(files) != 2 {
		t.Fatalf("rotated files are %+v, %v", files, err)
	}
	for _, rotated := range files {
		if info, err := os.Stat(filepath.Join(dir, rotated.name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	for _, name := range neighbors {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}
