package trust

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// mallory is a user who is neither root nor the caller.
const mallory = 54321

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it takes root's rights to make directories of other users")
	}
}

// ownTree makes directories below a fresh one and returns it.
func ownTree(t *testing.T, dirs ...string) string {
	t.Helper()
	base := t.TempDir()
	for _, dir := range append(dirs, ".") {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return base
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Each rule on each place of a path: who owns a component, who may write to it, and what a link leads through.
func TestCheck(t *testing.T) {
	needRoot(t)
	tests := []struct {
		name  string
		set   func(t *testing.T, base string) // base has the directories a/b and other
		blame string                          // below base; "" if it is trusted
		cause Cause
		link  bool
	}{
		{"all root's", func(*testing.T, string) {}, "", "", false},
		{"another's at the top", func(t *testing.T, d string) { must(t, os.Chown(d, mallory, 0)) }, ".", Owner, false},
		{"another's in the middle", func(t *testing.T, d string) { must(t, os.Chown(d+"/a", mallory, 0)) }, "a", Owner, false},
		{"another's at the end", func(t *testing.T, d string) { must(t, os.Chown(d+"/a/b", mallory, 0)) }, "a/b", Owner, false},
		{"another's group only", func(t *testing.T, d string) { must(t, os.Chown(d+"/a", 0, mallory)) }, "", "", false},
		{"writable by the group", func(t *testing.T, d string) { must(t, os.Chmod(d+"/a", 0o775)) }, "a", Writable, false},
		{"writable by all", func(t *testing.T, d string) { must(t, os.Chmod(d+"/a", 0o757)) }, "a", Writable, false},
		{"setgid", func(t *testing.T, d string) { must(t, os.Chmod(d+"/a", 0o755|fs.ModeSetgid)) }, "", "", false},
		{"sticky as a parent", func(t *testing.T, d string) { must(t, os.Chmod(d+"/a", 0o777|fs.ModeSticky)) }, "", "", false},
		{"sticky of another", func(t *testing.T, d string) {
			must(t, os.Chmod(d+"/a", 0o777|fs.ModeSticky))
			must(t, os.Chown(d+"/a", mallory, 0))
		}, "a", Owner, false},
		{"sticky at the end", func(t *testing.T, d string) { must(t, os.Chmod(d+"/a/b", 0o777|fs.ModeSticky)) }, "a/b", Writable, false},
		{"planted in a sticky one", func(t *testing.T, d string) {
			must(t, os.Chmod(d+"/a", 0o777|fs.ModeSticky))
			must(t, os.Chown(d+"/a/b", mallory, mallory))
		}, "a/b", Owner, false},
		{"an ACL's mask", func(t *testing.T, d string) {
			if err := unix.Setxattr(d+"/a", "system.posix_acl_access", aclForMallory, 0); err != nil {
				t.Skipf("no ACLs here: %v", err)
			}
		}, "a", Writable, false},
		{"missing", func(t *testing.T, d string) { must(t, os.RemoveAll(d+"/a")) }, "", "", false},
		{"a file in the way", func(t *testing.T, d string) {
			must(t, os.RemoveAll(d+"/a"))
			must(t, os.WriteFile(d+"/a", nil, 0o600))
		}, "", "", false},
		{"a link of root's", func(t *testing.T, d string) { move(t, d, "other") }, "", "", false},
		{"a relative link of root's", func(t *testing.T, d string) {
			must(t, os.Rename(d+"/a", d+"/other/a"))
			must(t, os.Symlink("other/../other/./a", d+"/a"))
		}, "", "", false},
		{"a link of another's", func(t *testing.T, d string) {
			move(t, d, "other")
			must(t, os.Lchown(d+"/a", mallory, 0))
		}, "a", Owner, true},
		{"a link into another's", func(t *testing.T, d string) {
			move(t, d, "other")
			must(t, os.Chown(d+"/other", mallory, 0))
		}, "other", Owner, false},
		{"a link in circles", func(t *testing.T, d string) {
			must(t, os.RemoveAll(d+"/a"))
			must(t, os.Symlink("a", d+"/a"))
		}, "!", "", false},
		{"a file that the group may write to", func(t *testing.T, d string) {
			must(t, os.Remove(d+"/a/b"))
			must(t, os.WriteFile(d+"/a/b", nil, 0o600))
			must(t, os.Chmod(d+"/a/b", 0o660))
		}, "a/b", Writable, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := ownTree(t, "a/b", "other")
			defer func() { _ = os.Chown(base, 0, 0) }()
			tt.set(t, base)
			err := Caller().Check(filepath.Join(base, "a/b"))
			var refused *Error
			if tt.blame == "!" {
				if !errors.Is(err, syscall.ELOOP) {
					t.Errorf("got %v, want too many links", err)
				}
				return
			}
			if errors.As(err, &refused) != (tt.blame != "") || err != nil && refused == nil {
				t.Fatalf("got %v, want %q to blame", err, tt.blame)
			}
			if refused != nil && (refused.At != filepath.Join(base, tt.blame) || refused.Cause != tt.cause || refused.IsLink != tt.link) {
				t.Errorf("blames %s, %s, link %v", refused.At, refused.Cause, refused.IsLink)
			}
			if tt.cause == Owner { // unless told otherwise
				if err := Caller(mallory).Check(filepath.Join(base, "a/b")); err != nil {
					t.Errorf("told to believe that user: %v", err)
				}
			}
		})
	}
}

// move makes base/a a link to the same directory in base/to.
func move(t *testing.T, base, to string) {
	t.Helper()
	must(t, os.Rename(base+"/a", filepath.Join(base, to, "a")))
	must(t, os.Symlink(filepath.Join(base, to, "a"), base+"/a"))
}

// aclForMallory is u::rwx, u:54321:rwx, g::r-x, m::rwx, o::r-x, as acl(5) lies in the attribute.
var aclForMallory = []byte("\x02\x00\x00\x00" +
	"\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x07\x00\x31\xd4\x00\x00" + "\x04\x00\x05\x00\xff\xff\xff\xff" +
	"\x10\x00\x07\x00\xff\xff\xff\xff" + "\x20\x00\x05\x00\xff\xff\xff\xff")

// The error names the directory, the owner, the mode and what to do; and the chmod that it names is enough.
func TestErrorTexts(t *testing.T) {
	needRoot(t)
	base := ownTree(t, "a/b")
	must(t, os.Chown(base+"/a", mallory, 0))
	err := Caller().Check(base + "/a/b")
	var refused *Error
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	for _, want := range []string{base + "/a: ", "UID 54321", "mode 0755"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	for _, want := range []string{"sudo -u '#54321'", "chown 0 " + base + "/a", "--trust-owner 54321"} {
		if !strings.Contains(refused.Hint(), want) {
			t.Errorf("the hint %q does not say %q", refused.Hint(), want)
		}
	}
	must(t, os.Chown(base+"/a", 0, 0))
	must(t, os.Chmod(base+"/a", 0o777))
	err = Caller().Check(base + "/a/b")
	if !errors.As(err, &refused) || !strings.HasPrefix(refused.Hint(), "chmod +t "+base+"/a,") || !strings.Contains(err.Error(), "every user") {
		t.Errorf("%v; %s", err, refused.Hint())
	}
	must(t, os.Chmod(base+"/a", 0o777|fs.ModeSticky))
	must(t, Caller().Check(base+"/a/b"))
	must(t, os.Chmod(base+"/a", 0o775))
	err = Caller().Check(base + "/a/b")
	if !errors.As(err, &refused) || !strings.HasPrefix(refused.Hint(), "chmod go-w "+base+"/a,") || !strings.Contains(err.Error(), "its group") {
		t.Errorf("%v; %s", err, refused.Hint())
	}
	must(t, os.Chmod(base+"/a", 0o755))
	must(t, Caller().Check(base+"/a/b"))
}

// A file is read through what was checked; the others are errors, and none waits for a writer.
func TestReadFile(t *testing.T) {
	base := ownTree(t, "d")
	must(t, os.WriteFile(base+"/d/f", []byte("text"), 0o644))
	must(t, syscall.Mkfifo(base+"/d/pipe", 0o600))
	if data, err := Caller().ReadFile(base+"/d/f", 10); err != nil || string(data) != "text" {
		t.Errorf("got %q, %v", data, err)
	}
	for _, name := range []string{"missing", "missing/f", "f/below"} {
		if _, err := Caller().ReadFile(filepath.Join(base, "d", name), 10); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"pipe", "."} {
		if _, err := Caller().ReadFile(filepath.Join(base, "d", name), 10); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Caller().ReadFile(base+"/d/f", 3); err == nil {
		t.Error("a file above the limit was read")
	}
}

// What is missing from a sticky directory can be made by others; what is missing from our own cannot.
func TestOpenPlace(t *testing.T) {
	base := ownTree(t, "own", "sticky")
	must(t, os.Chmod(base+"/sticky", 0o777|fs.ModeSticky))
	for path, open := range map[string]bool{"own/x/y": false, "sticky/x/y": true, "own": false} {
		p, err := Caller().Open(filepath.Join(base, path))
		if err != nil {
			t.Fatal(err)
		}
		if p.Open != open || (p.Rest == "") != (path == "own") {
			t.Errorf("%s: %+v", path, p)
		}
		must(t, p.File.Close())
	}
}

// Ubuntu's /var/log belongs to root and may be written to by the group of syslog. The directory in it may not.
func TestCheckShared(t *testing.T) {
	needRoot(t)
	base := ownTree(t, "log/pods")
	must(t, os.Chmod(base+"/log", 0o775))
	must(t, Caller().CheckShared(base+"/log/pods"))
	if err := Caller().Check(base + "/log/pods"); err == nil {
		t.Error("Check accepts it, too")
	}
	must(t, os.Chmod(base+"/log/pods", 0o775))
	if err := Caller().CheckShared(base + "/log/pods"); err == nil {
		t.Error("the directory itself may be shared")
	}
}
