package procfs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// harmless holds for descriptors and this program's own file, which are paths to be opened or executed, and
// in tests for all of the process itself: it is there.
func harmless(path, file string) bool {
	self := strings.HasPrefix(path, "/proc/self/") || strings.HasPrefix(path, "/proc/thread-self/")
	return strings.HasPrefix(path, "/proc/self/fd") || path == "/proc/self/exe" || self && strings.HasSuffix(file, "_test.go")
}

// mentions are the files with another path of /proc from which nothing is read, and why.
func mentions() map[string]string {
	return map[string]string{
		"phases/evidence/machine_test.go":       "a mount point",
		"phases/facts/limits.go":                "a directory to be watched",
		"runtime/process/identity.go":           "descriptors, namespaces, and a file that is written",
		"runtime/process/mounts/mounts_test.go": "a link of the kernel's as a volume",
		"runtime/process/mounts/root.go":        "a mount point",
		"runtime/supervisor/client_test.go":     "what no error shows",
	}
}

// /proc is read here and nowhere else: each reader needs an answer for processes that are gone, end or belong to others.
func TestOneReader(t *testing.T) {
	mentioned := mentions()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel("..", path)
		if err != nil {
			return err
		}
		if d.IsDir() && (name == "procfs" || name != "." && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			inProc := text == "/proc" || strings.HasPrefix(text, "/proc/")
			if _, known := mentioned[name]; err == nil && inProc && !known && !harmless(text, name) {
				t.Errorf("%s: %q: use procfs", files.Position(literal.Pos()), text)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
