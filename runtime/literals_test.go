package runtime

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// States and reasons are constants of this package. A user that types the text again would not notice when one is renamed.
// So no package that knows the contract has a literal with the text of one, messages and its own constants excepted.
func TestNoLiterals(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	names := map[string]string{} // text -> constant
	for _, file := range []string{"event.go", "status.go"} {
		parsed, err := parser.ParseFile(fset, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
				text, _ := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				names[text] = v.Names[0].Name
			}
			return true
		})
	}
	if len(names) < 30 {
		t.Fatalf("only %d constants are found", len(names))
	}
	for _, dir := range []string{"supervisor", "timeline", "process", "../phases", "../cmd/cli"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			parsed, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil || !imports(parsed, "github.com/kubecrank/kubecrank/runtime") {
				return err
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GenDecl:
					return n.Tok != token.CONST
				case *ast.CallExpr: // arguments are messages
					n.Args = slices.DeleteFunc(n.Args, func(arg ast.Expr) bool { _, ok := arg.(*ast.BasicLit); return ok })
				}
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					text, _ := strconv.Unquote(lit.Value)
					if name := names[text]; name != "" {
						t.Errorf("%s: %s is runtime.%s", fset.Position(lit.Pos()), lit.Value, name)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func imports(f *ast.File, path string) bool {
	for _, i := range f.Imports {
		if i.Path.Value == strconv.Quote(path) {
			return true
		}
	}
	return false
}
