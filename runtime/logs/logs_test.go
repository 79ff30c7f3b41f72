package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// An existing log is never opened again, whatever number the caller believes in.
func TestCreateNeverReuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		there []string
		ask   int
		want  int
	}{
		{"first", nil, 0, 0},
		{"as asked", []string{"0.log"}, 1, 1},
		{"no record of the earlier start", []string{"0.log"}, 0, 1},
		{"counts rotated files as the kubelet does", []string{"2.log", "4.log.20261121-010203.gz"}, 2, 5},
		{"asked for more than there is", []string{"0.log"}, 7, 7},
		{"foreign names do not count", []string{"99.txt", "x9.log", "0.log"}, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range tc.there {
				write(t, dir, map[string]string{f: "old"})
			}
			f, n, err := Create(dir, tc.ask)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if n != tc.want || filepath.Base(f.Name()) != fmt.Sprintf("%d.log", tc.want) {
				t.Errorf("got restart %d in %s, want %d", n, f.Name(), tc.want)
			}
			if info, _ := f.Stat(); info.Mode().Perm() != 0o640 {
				t.Errorf("mode %v", info.Mode())
			}
			for _, f := range tc.there {
				if b, _ := os.ReadFile(filepath.Join(dir, f)); string(b) != "old" {
					t.Errorf("%s was touched: %q", f, b)
				}
			}
		})
	}
}

// A symlink planted at the log's place is not written through.
func TestCreateFollowsNoLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := filepath.Join(t.TempDir(), "target")
	if err := os.Symlink(target, filepath.Join(dir, "0.log")); err != nil {
		t.Fatal(err)
	}
	f, n, err := Create(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n != 1 {
		t.Errorf("restart %d", n)
	}
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the link's target was made")
	}
}

func TestPruneKeepsPrevious(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	all := map[string]string{"foreign": "", "12.log.20260101-000000": ""}
	for i := range 13 {
		all[fmt.Sprintf("%d.log", i)] = ""
	}
	write(t, dir, all)
	if err := Prune(t.Context(), dir, 5, Policy{MaxBytes: 1 << 20, MaxFiles: 5}); err != nil {
		t.Fatal(err)
	}
	want := []string{"10.log", "11.log", "12.log", "12.log.20260101-000000", "8.log", "9.log", "foreign"}
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
	if err := Prune(t.Context(), dir, 0, Policy{MaxBytes: 1 << 20, MaxFiles: 5}); err != nil { // a nonsensical policy does not lose the previous log
		t.Fatal(err)
	}
	want = []string{"11.log", "12.log", "12.log.20260101-000000", "foreign"}
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 11, 21, 1, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name  string
		files map[string]string
		opts  Options
		want  string
	}{
		{"rotated files first, oldest first", map[string]string{
			"0.log": "old\n", "1.log.20260101-000000": "a\nb", "1.log.20260102-000000": "b\nc\n", "1.log": "d\n",
		}, Options{Tail: -1}, "a\nbb\nc\nd\n"},
		{"a kubelet's compressed file, and a half-made one", map[string]string{
			"0.log.20260101-000000.gz": gzipped(t, "a\n"), "0.log.20260102-000000": "b\n",
			"0.log.20260102-000000.tmp": "xx", "0.log": "c\n",
		}, Options{Tail: -1}, "a\nb\nc\n"},
		{"compressed and original at once count once", map[string]string{
			"0.log.20260101-000000.gz": "not even gzip", "0.log.20260101-000000": "a\n", "0.log": "b\n",
		}, Options{Tail: -1}, "a\nb\n"},
		{"previous", map[string]string{"0.log": "a\n", "3.log": "b\n", "7.log": "c\n"}, Options{Tail: -1, Previous: true}, "b\n"},
		{"tail 0", map[string]string{"0.log": "a\nb\n"}, Options{}, ""},
		{"tail", map[string]string{"0.log": "a\nb\nc\n"}, Options{Tail: 2}, "b\nc\n"},
		{"tail counts a line without its end", map[string]string{"0.log": "a\nb\nc"}, Options{Tail: 2}, "b\nc"},
		{"tail of more than there is", map[string]string{"0.log": "a\nb\n"}, Options{Tail: 5}, "a\nb\n"},
		{"tail reaches into rotated files", map[string]string{
			"0.log.20260101-000000": "a\nb\nc", "0.log.20260102-000000.gz": gzipped(t, "c\nd"), "0.log": "d\ne\n",
		}, Options{Tail: 3}, "cc\ndd\ne\n"},
		{"tail at a file's border", map[string]string{"0.log.20260101-000000": "a\nb\n", "0.log": "c\n"}, Options{Tail: 2}, "b\nc\n"},
		{"tail with an empty live file", map[string]string{"0.log.20260101-000000": "a\nb\n", "0.log": ""}, Options{Tail: 1}, "b\n"},
		{"CRI lines lose their prefix, partial ones are joined", map[string]string{
			"0.log": "2026-11-21T01:00:00.123456789Z stdout P par\n2026-11-21T01:00:00.2Z stdout F tial\n" +
				"2026-11-21T01:00:01+01:00 stderr F x y\n2026-11-21T01:00:00Z stdin F z\n",
		}, Options{Tail: -1}, "partial\nx y\n2026-11-21T01:00:00Z stdin F z\n"},
		{"since, CRI", map[string]string{
			"0.log": "2026-11-21T00:59:59Z stdout F a\n2026-11-21T01:00:00Z stdout F b\n2026-11-21T01:00:01Z stdout F c\n",
		}, Options{Tail: -1, Since: since}, "b\nc\n"},
		{"since, etcd; lines without a time belong to the line before", map[string]string{
			"0.log": `half a line` + "\n" + `{"level":"info","ts":"2026-11-21T00:59:59.999999Z","msg":"a"}` + "\n stack\n" +
				`{"level":"info","ts":"2026-11-21T01:00:00.000000Z","msg":"b"}` + "\n stack\n",
		}, Options{Tail: -1, Since: since}, `{"level":"info","ts":"2026-11-21T01:00:00.000000Z","msg":"b"}` + "\n stack\n"},
		{"since, lines before the first time belong to it", map[string]string{
			"0.log": "usage\n2026-11-21T02:00:00Z b\n",
		}, Options{Tail: -1, Since: since}, "usage\n2026-11-21T02:00:00Z b\n"},
		{"since, no times at all", map[string]string{
			"0.log": "a\nb\nInvalid\n{}\n12 x",
		}, Options{Tail: -1, Since: since}, "a\nb\nInvalid\n{}\n12 x"},
		{"since, all older", map[string]string{"0.log": "2026-11-20T02:00:00Z a\nb\n"}, Options{Tail: -1, Since: since}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, tc.files)
			var out strings.Builder
			if err := Copy(t.Context(), &out, dir, tc.opts); err != nil {
				t.Fatal(err)
			}
			if out.String() != tc.want {
				t.Errorf("got  %q\nwant %q", out.String(), tc.want)
			}
		})
	}
}

// Lines larger than every buffer come out whole, and the tail finds them.
func TestLongLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	long := strings.Repeat("x", 300<<10) + "\n"
	write(t, dir, map[string]string{"0.log": "a\n" + long + "b\n" + long})
	for tail, want := range map[int]string{-1: "a\n" + long + "b\n" + long, 1: long, 3: long + "b\n" + long} {
		var out strings.Builder
		if err := Copy(t.Context(), &out, dir, Options{Tail: tail}); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("tail %d: got %d bytes, want %d", tail, out.Len(), len(want))
		}
	}
}

func TestCopyWithoutLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, opts := range []Options{{Tail: -1}, {Tail: -1, Previous: true}} {
		if err := Copy(t.Context(), &strings.Builder{}, dir, opts); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: %v", opts, err)
		}
	}
	if err := Copy(t.Context(), &strings.Builder{}, filepath.Join(dir, "none"), Options{Follow: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"3.log.20260101-000000": "one\ntwo\nth", "3.log": "ree\n2026-11-21T01:00:00Z stderr F fatal: bad \xff flag\n",
	})
	for _, tc := range []struct {
		lines, limit int
		want         string
	}{
		{2, 1000, "three\nfatal: bad \uFFFD flag\n"},
		{3, 22, "fatal: bad \uFFFD flag\n"},
		{3, 9, "d \uFFFD flag\n"},
		{80, 1000, "one\ntwo\nthree\nfatal: bad \uFFFD flag\n"},
	} {
		got, err := LastLines(filepath.Join(dir, "3.log"), tc.lines, tc.limit)
		if err != nil || got != tc.want {
			t.Errorf("%d lines, %d bytes: %q, %v; want %q", tc.lines, tc.limit, got, err, tc.want)
		}
	}
	if _, err := LastLines(filepath.Join(dir, "4.log"), 1, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing log: %v", err)
	}
}

func TestLineTime(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("X", 3600)
	now := time.Date(2027, 1, 2, 0, 0, 0, 0, zone)
	for line, want := range map[string]time.Time{
		"I0101 01:47:49.123456       1 server.go:1] x":                        time.Date(2027, 1, 1, 1, 47, 49, 123456000, zone),
		"E1231 23:59:59.000000       1 server.go:1] x":                        time.Date(2026, 12, 31, 23, 59, 59, 0, zone), // last year
		"W0229 00:00:00.000000       1 server.go:1] x":                        time.Date(2024, 2, 29, 0, 0, 0, 0, zone),
		"I am not klog at all, but long enough":                               {},
		`{"level":"warn","ts":"2026-11-21T01:47:49.123456Z","caller":"a"}`:    time.Date(2026, 11, 21, 1, 47, 49, 123456000, time.UTC),
		`{"level":"warn","ts":"2026-11-21T01:47:49.123456+0100","caller":""}`: time.Date(2026, 11, 21, 1, 47, 49, 123456000, zone),
		`{"ts":1795225669123.5,"caller":"a"}`:                                 time.UnixMicro(1795225669123500),
		`{"ts":1795225669.5,"caller":"a"}`:                                    time.UnixMicro(1795225669500000),
		`{"ts":"yesterday"}`:                                                  {},
		"2026-11-21T01:47:49Z\n":                                              time.Date(2026, 11, 21, 1, 47, 49, 0, time.UTC),
		"":                                                                    {},
	} {
		if got := lineTime([]byte(line), now); !got.Equal(want) {
			t.Errorf("%q: got %v, want %v", line, got, want)
		}
	}
}

// A follower sees what is appended, what a rotation moved, and the logs of later restarts, each once.
func TestFollow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"0.log": "older\nnewer\n"})
	ctx, cancel := context.WithCancel(t.Context())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- Copy(ctx, w, dir, Options{Tail: 1, Follow: true})
		_ = w.Close()
	}()
	expect := func(want string) {
		t.Helper()
		_ = r.SetReadDeadline(time.Now().Add(5 * time.Second))
		got := make([]byte, len(want))
		for n := 0; n < len(got); {
			m, err := r.Read(got[n:])
			if n += m; err != nil {
				t.Fatalf("got %q, want %q: %v", got[:n], want, err)
			}
		}
		if string(got) != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	appendTo := func(name, text string) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	expect("newer\n")
	appendTo("0.log", "begin")
	appendTo("0.log", " end\n")
	expect("begin end\n")
	// a kubelet's rotation: renamed, the writer goes on in the old file for a moment, then makes a new one
	if err := os.Rename(filepath.Join(dir, "0.log"), filepath.Join(dir, "0.log.20260101-000000")); err != nil {
		t.Fatal(err)
	}
	appendTo("0.log.20260101-000000", "still the old file\n")
	expect("still the old file\n")
	appendTo("0.log", "new file\n")
	expect("new file\n")
	appendTo("0.log", "cut off")
	appendTo("1.log", "restarted\n")
	expect("cut offrestarted\n")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
