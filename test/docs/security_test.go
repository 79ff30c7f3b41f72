package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every row of the page on security names tests, and each of them is there.
func TestSecurityRows(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile("`(?:([a-z]+)\\.)?(Test[A-Z]\\w*)(?:/(\\w+))?`")
	declared := testFunctions(t)
	rows := 0
	for line := range strings.Lines(read(t, "docs/explanation/security.md")) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| threat") {
			continue
		}
		rows++
		tests := named.FindAllStringSubmatch(line, -1)
		if len(tests) == 0 {
			t.Errorf("no test holds: %s", line)
		}
		for _, m := range tests {
			name := m[2]
			if m[1] != "" {
				name = m[1] + "." + m[2]
			}
			if !declared[name] {
				t.Errorf("there is no test %s: %s", name, line)
			}
			if _, err := os.Stat(filepath.Join(repository, "test/script/testdata", m[3]+".txtar")); m[3] != "" && err != nil {
				t.Errorf("there is no script %s: %s", m[3], line)
			}
		}
	}
	if rows < 20 {
		t.Errorf("only %d rows", rows)
	}
}

// testFunctions are the names of all tests, alone and with the name of their directory.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	names := map[string]bool{}
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range function.FindAllStringSubmatch(string(data), -1) {
			names[m[1]], names[filepath.Base(filepath.Dir(path))+"."+m[1]] = true, true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
