package supervisor

import (
	"os"
	"testing"

	"github.com/kubecrank/kubecrank/procfs"
)

// Pages that were written must stay: relocations, data, other files, shared mappings.
func TestClean(t *testing.T) {
	for _, tt := range []struct {
		m    procfs.Mapping
		want bool
	}{
		{procfs.Mapping{Perms: "r-xp", File: "/bin/x"}, true},
		{procfs.Mapping{Perms: "r--p", File: "/bin/x"}, true},
		{procfs.Mapping{Perms: "r--p", File: "/bin/x", Written: true}, false},
		{procfs.Mapping{Perms: "rw-p", File: "/bin/x"}, false},
		{procfs.Mapping{Perms: "r--p", File: "/bin/y"}, false},
		{procfs.Mapping{Perms: "r--s", File: "/bin/x"}, false},
		{procfs.Mapping{Perms: "r--p"}, false},
	} {
		if got := clean(tt.m, "/bin/x"); got != tt.want {
			t.Errorf("%+v: %t", tt.m, got)
		}
	}
}

// The program goes on after its pages are gone, and has fewer of them.
func TestDropProgramPages(t *testing.T) {
	before := residentFile(t)
	if err := dropProgramPages(); err != nil {
		t.Fatal(err)
	}
	after := residentFile(t)
	t.Logf("%d kB of files were resident, %d kB are", before, after)
	if after >= before {
		t.Errorf("%d kB of files were resident, and %d kB are", before, after)
	}
}

func residentFile(t *testing.T) int {
	t.Helper()
	status, err := procfs.ReadStatus(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	kb, err := status.KiB("RssFile")
	if err != nil {
		t.Fatal(err)
	}
	return kb
}
