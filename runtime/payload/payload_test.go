package payload

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// packed is a payload made of the start of this test's own program: real x86-64
// code in an ELF file, of three chunks, the last one short.
func packed(t testing.TB) (raw []byte, src Source) {
	t.Helper()
	src = Source{Path: filepath.Join(t.TempDir(), "program"), Version: "v1.2.3", Components: Names(), About: []byte("has flags")}
	if err := os.WriteFile(src.Path, program3(t), 0o644); err != nil {
		t.Fatal(err)
	}
	packOnce.Do(func() {
		var out bytes.Buffer
		packErr = Pack(&out, src)
		packRaw = out.Bytes()
	})
	if packErr != nil {
		t.Fatal(packErr)
	}
	return packRaw, src
}

var (
	packOnce sync.Once
	packRaw  []byte
	packErr  error
)

// program3 is the start of this program, with an ELF header that says that there are no sections.
func program3(t testing.TB) []byte {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file = file[:2*chunkSize+chunkSize/3]
	clear(file[0x28:0x30]) // e_shoff
	clear(file[0x3c:0x40]) // e_shnum, e_shstrndx
	return file
}

func open(t testing.TB, raw []byte) *Payload {
	t.Helper()
	p, err := Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What is staged is what was packed, byte for byte, under every name, and the
// digest is the plain SHA-256 of the file.
func TestStageWritesWhatWasPacked(t *testing.T) {
	t.Parallel()
	raw, src := packed(t)
	p := open(t, raw)
	dir := filepath.Join(t.TempDir(), "a", p.Digest())
	if err := p.Stage(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(src.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(Names(), fileName) {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from what was packed", name)
		}
	}
	if p.Digest() != sum(want) || p.Version() != "v1.2.3" || !reflect.DeepEqual(p.Components(), Names()) {
		t.Errorf("the index says %s %s %v", p.Digest(), p.Version(), p.Components())
	}
	if about, err := p.About(); err != nil || string(about) != "has flags" {
		t.Errorf("it says of its components %q, %v", about, err)
	}
	if err := p.Verify(t.Context(), dir); err != nil {
		t.Errorf("Verify of a fresh stage: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != len(Names())+1 {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
}

// Every kind of damage is found by Verify, named with its file and a remedy,
// and repaired by Stage.
func TestDamageIsFoundAndRepaired(t *testing.T) {
	t.Parallel()
	raw, _ := packed(t)
	p := open(t, raw)
	inode := func(dir string) string { return filepath.Join(dir, fileName) }
	tests := map[string]struct {
		damage func(dir string) error
		want   string
	}{
		"missing":   {func(dir string) error { return os.Remove(inode(dir)) }, "components is missing"},
		"truncated": {func(dir string) error { return os.Truncate(inode(dir), 100) }, "components is truncated: 100 of "},
		"longer":    {func(dir string) error { return os.Truncate(inode(dir), p.Size()+1) }, "components is altered"},
		"altered":   {func(dir string) error { return flipByte(inode(dir), p.Size()-1) }, "components is altered: the "},
		"mode":      {func(dir string) error { return os.Chmod(inode(dir), 0o644) }, "has mode 0644 instead of 0755"},
		"writable":  {func(dir string) error { return os.Chmod(inode(dir), 0o777) }, "has mode 0777 instead of 0755"},
		"symlinked": {symlinked, "components is a symlink"},
		"directory": {func(dir string) error {
			return errors.Join(os.Remove(inode(dir)), os.Mkdir(inode(dir), 0o755))
		}, "is not a regular file"},
		"link gone":  {func(dir string) error { return os.Remove(filepath.Join(dir, "etcd")) }, "etcd is not the symlink"},
		"link moved": {linkMoved, "kubectl is not the symlink"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := p.Stage(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			if err := tt.damage(dir); err != nil {
				t.Fatal(err)
			}
			err := p.Verify(t.Context(), dir)
			var damaged *DamagedError
			if !errors.As(err, &damaged) || !strings.Contains(err.Error(), tt.want) || damaged.Hint() == "" {
				t.Fatalf("Verify = %v, want %q", err, tt.want)
			}
			if name == "directory" {
				return // a rename does not replace a directory: Stage refuses, see below
			}
			if err := p.Stage(t.Context(), dir); err != nil {
				t.Fatalf("Stage does not repair it: %v", err)
			}
			if err := p.Verify(t.Context(), dir); err != nil {
				t.Errorf("Verify after the repair: %v", err)
			}
		})
	}
}

func symlinked(dir string) error {
	path := filepath.Join(dir, fileName)
	return errors.Join(os.Rename(path, path+".real"), os.Symlink(fileName+".real", path))
}

func linkMoved(dir string) error {
	path := filepath.Join(dir, "kubectl")
	return errors.Join(os.Remove(path), os.Symlink("/bin/true", path))
}

func flipByte(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		return err
	}
	b[0] ^= 1
	_, err = f.WriteAt(b, at)
	return err
}

// A stage that is whole is used as it is: the same inode, not a new file.
func TestStageReusesWhatIsWhole(t *testing.T) {
	t.Parallel()
	raw, _ := packed(t)
	p := open(t, raw)
	dir := t.TempDir()
	var infos [2]fs.FileInfo
	for i := range infos {
		if err := p.Stage(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "etcd"))
		if err != nil {
			t.Fatal(err)
		}
		infos[i] = info
	}
	if !os.SameFile(infos[0], infos[1]) || infos[0].ModTime() != infos[1].ModTime() {
		t.Error("a second Stage wrote the file again")
	}
}

// A stage that ends early leaves no components file, and the next one removes
// what a killed one left.
func TestStageInterrupted(t *testing.T) {
	t.Parallel()
	raw, _ := packed(t)
	p := open(t, raw)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Stage(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Fatalf("Stage with an ended context = %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
	left := filepath.Join(dir, tmpPrefix+"12345")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Stage(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover of a killed stage is still there: %v", err)
	}
}

// One flipped bit anywhere in the payload makes Open or Stage fail, and no
// components file appears.
func TestDamagedPayload(t *testing.T) {
	t.Parallel()
	raw, _ := packed(t)
	head := bytes.IndexByte(raw, '}') // inside of the index
	for _, at := range []int{0, len(magic), head, len(raw) / 2, len(raw) - 1} {
		bad := bytes.Clone(raw)
		bad[at] ^= 1
		dir := t.TempDir()
		p, err := Open(bad)
		if err == nil {
			err = p.Stage(t.Context(), dir)
		}
		if err == nil {
			t.Errorf("a bit flipped at %d of %d goes unnoticed", at, len(raw))
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("a damaged payload was staged: %v", entries)
		}
	}
	for _, n := range []int{0, 5, len(magic) + 4, head, len(raw) - 1} {
		if _, err := Open(raw[:n]); err == nil {
			t.Errorf("a payload cut off at %d of %d goes unnoticed", n, len(raw))
		}
	}
}

// Only a full disk gets the hint that says how much must be free. (test/e2e fills a real one.)
func TestNoSpaceHint(t *testing.T) {
	t.Parallel()
	for cause, want := range map[error]string{unix.ENOSPC: "136 MB must be free", unix.EDQUOT: "136 MB", unix.EIO: ""} {
		hint := ""
		if h, ok := noSpace(cause, "/x", 135e6).(interface{ Hint() string }); ok {
			hint = h.Hint()
		}
		if !strings.HasPrefix(hint, want) || (want == "") != (hint == "") {
			t.Errorf("%v: the hint is %q, want %q", cause, hint, want)
		}
	}
}

// Packed tells a payload of these components from one of others, and from garbage.
func TestPacked(t *testing.T) {
	t.Parallel()
	raw, src := packed(t)
	path := filepath.Join(t.TempDir(), "payload.bin")
	check := func(want bool, src Source, what string) {
		t.Helper()
		if got, err := Packed(path, src); err != nil || got != want {
			t.Errorf("%s: Packed = %v, %v", what, got, err)
		}
	}
	check(false, src, "no file")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	check(true, src, "the same")
	other := src
	other.Version = "v1.2.4"
	check(false, other, "another version")
	other = src
	other.Path = "payload_test.go"
	check(false, other, "another file")
	if err := os.WriteFile(path, raw[:100], 0o644); err != nil {
		t.Fatal(err)
	}
	check(false, src, "cut off")
}

// The figures of the design: staging 135 MB in about 0.2 s on two cores,
// verifying in about 0.05 s. Run with -tags payload.
func BenchmarkStage(b *testing.B) {
	p, ok := Embedded()
	if !ok {
		b.Skip("the lean build has no payload: use -tags payload")
	}
	dir := b.TempDir()
	b.SetBytes(p.Size())
	for b.Loop() {
		if err := os.RemoveAll(filepath.Join(dir, fileName)); err != nil {
			b.Fatal(err)
		}
		if err := p.Stage(b.Context(), dir); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	p, ok := Embedded()
	if !ok {
		b.Skip("the lean build has no payload: use -tags payload")
	}
	dir := b.TempDir()
	if err := p.Stage(b.Context(), dir); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(p.Size())
	for b.Loop() {
		if err := p.Verify(b.Context(), dir); err != nil {
			b.Fatal(err)
		}
	}
}

// The same components make the same payload, so that a release can be built again bit by bit.
func TestPackIsReproducible(t *testing.T) {
	t.Parallel()
	first, src := packed(t)
	var second bytes.Buffer
	if err := Pack(&second, src); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second.Bytes()) {
		t.Error("packing twice gives different bytes")
	}
}
