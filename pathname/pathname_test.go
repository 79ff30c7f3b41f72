package pathname

import "testing"

// A name that only begins like the directory's is not below it, and / has every path below it.
func TestBelow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		dir, p string
		want   bool
	}{
		{"/a", "/a", true}, {"/a", "/a/b", true}, {"/a", "/a/b/c", true}, {"/", "/", true}, {"/", "/a", true},
		{"/a", "/ab", false}, {"/a/b", "/a", false}, {"/a", "/", false}, {"/a", "a/b", false},
	} {
		if got := Below(tc.dir, tc.p); got != tc.want {
			t.Errorf("Below(%q, %q) is %v", tc.dir, tc.p, got)
		}
	}
}

// A path is moved once: a second time changes nothing. One that leaves the root with .. counts as outside.
func TestRebase(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ root, p, want string }{
		{"", "/etc/x", "/etc/x"},
		{"/srv", "/etc/x", "/srv/etc/x"},
		{"/srv", "/srv/etc/x", "/srv/etc/x"},
		{"/srv", "/srvx", "/srv/srvx"},
		{"/srv", "/srv", "/srv"},
		{"/srv", "etc/x", "etc/x"},
		{"/srv", "/srv/../etc", "/srv/etc"},
		{"/srv", "/../etc/x", "/srv/etc/x"},
		{"/srv", "/srv/a//b", "/srv/a//b"},
	} {
		if got := Rebase(tc.root, tc.p); got != tc.want {
			t.Errorf("Rebase(%q, %q) is %q", tc.root, tc.p, got)
		}
	}
}
