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

// isMagicLink holds for descriptors and this program's own file: paths to be opened or executed. Nothing is read from /proc with them.
func isMagicLink(path string) bool {
	return strings.HasPrefix(path, "/proc/self/fd") || path == "/proc/self/exe"
}

// mentions are the files with another path of /proc from which nothing is read, and why.
func mentions() map[string]string {
	return map[string]string{
		"phases/evidence/machine_test.go":       "a mount point",
		"phases/facts/limits.go":                "a directory to be watched",
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
		if filepath.Ext(path) != ".go" || strings.HasPrefix(name, "runtime/process/") {
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
			if _, known := mentioned[name]; err == nil && inProc && !known && !isMagicLink(text) {
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
