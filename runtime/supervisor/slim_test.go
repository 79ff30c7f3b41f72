package supervisor

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Pages that were written must stay: relocations, data, other files, shared mappings.
func TestCleanMappings(t *testing.T) {
	var smaps string
	for i, m := range []string{
		"r-xp 00000000 08:01 1 /bin/x|Anonymous: 0 kB|Swap: 0 kB",
		"r--p 00001000 08:01 1 /bin/x|Anonymous: 4 kB|Swap: 0 kB",
		"r--p 00002000 08:01 1 /bin/x|Anonymous: 0 kB|Swap: 8 kB",
		"rw-p 00003000 08:01 1 /bin/x|Anonymous: 0 kB|Swap: 0 kB",
		"r--p 00004000 08:01 1 /bin/y|Anonymous: 0 kB|Swap: 0 kB",
		"r--s 00005000 08:01 1 /bin/x|Anonymous: 0 kB|Swap: 0 kB",
		"rw-p 00000000 00:00 0|Anonymous: 99 kB|Swap: 0 kB",
		"r--p 00006000 08:01 1 /bin/x|Size: 4 kB|Anonymous: 0 kB|Swap: 0 kB|VmFlags: rd mr",
	} {
		smaps += fmt.Sprintf("%d000-%d000 ", i+1, i+2) + strings.ReplaceAll(m, "|", "\n") + "\n"
	}
	got, err := cleanMappings(strings.NewReader(smaps), "/bin/x")
	if want := "[{4096 8192} {32768 36864}]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v; want %s", got, err, want)
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
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "RssFile:")
	var kb int
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	return kb
}
