package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The reference of the command line is what the commands say of themselves: after a change of a flag or a help text, make docs.
func TestReferenceIsUpToDate(t *testing.T) {
	t.Parallel()
	want := t.TempDir()
	if err := run(want); err != nil {
		t.Fatal(err)
	}
	const committed = "../../docs/reference/cli"
	pages := map[string]bool{}
	for _, dir := range []string{want, committed} {
		found, err := filepath.Glob(filepath.Join(dir, "kubecrank*.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range found {
			pages[filepath.Base(page)] = true
		}
	}
	for page := range pages {
		generated, _ := os.ReadFile(filepath.Join(want, page)) // no such page: no bytes
		have, _ := os.ReadFile(filepath.Join(committed, page))
		if string(generated) != string(have) {
			t.Errorf("docs/reference/cli/%s is not what the commands say: run make docs", page)
		}
	}
}
