package docs

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the last column of the page of statements anew")

const (
	statementsPage = "docs/reference/static-pod-statements.md"
	statements     = 93
)

// untested are the statements that no test holds, each with the reason.
var untested = map[int]string{
	80: withNode, 81: withNode, 82: withNode, 83: withNode, 84: withNode, 85: withNode, 86: withNode, 87: withNode,
	88: withCRI, 89: withCRI, 91: withCRI, 92: withCRI, 93: withCRI,
	90: "directory and `N.log`: `process.TestRestartLogs`; the symlink comes with `runtime/cri`",
}

const (
	withNode = "comes with mirror pods, which need the Node object"
	withCRI  = "comes with `runtime/cri`"
)

// Every statement has a test that is named by its number, or the reason why it has none, and the page says which:
// go test ./test/docs -run TestStatements -update.
func TestStatements(t *testing.T) {
	t.Parallel()
	holders := statementTests(t)
	seen := map[int]bool{}
	var out strings.Builder
	for line := range strings.Lines(read(t, statementsPage)) {
		m := statementRow.FindStringSubmatch(line)
		if m == nil {
			out.WriteString(line)
			continue
		}
		n, err := strconv.Atoi(m[2])
		if err != nil || n < 1 || n > statements || seen[n] {
			t.Fatalf("%s: statement %s is none, or there twice", statementsPage, m[2])
		}
		seen[n] = true
		why, excused := untested[n]
		switch {
		case excused && len(holders[n]) > 0:
			t.Errorf("statement %d has the test %s now: take it out of the table of those without", n, holders[n][0])
		case excused:
			fmt.Fprintf(&out, "%s*none*: %s |\n", m[1], why)
		case len(holders[n]) == 0:
			t.Errorf("statement %d has no test named by it (TestStatic_%03d_...), and no reason why not", n, n)
		default:
			fmt.Fprintf(&out, "%s`%s` |\n", m[1], strings.Join(holders[n], "`<br>`"))
		}
	}
	for n := range holders {
		if n < 1 || n > statements {
			t.Errorf("%s holds statement %d, and there is none", holders[n][0], n)
		}
	}
	if len(seen) != statements {
		t.Errorf("%s has %d statements, and there are %d", statementsPage, len(seen), statements)
	}
	if t.Failed() {
		return
	}
	if *update {
		if err := os.WriteFile(filepath.Join(repository, statementsPage), []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if out.String() != read(t, statementsPage) {
		t.Errorf("%s does not name the tests that there are: run this test with -update", statementsPage)
	}
}

// statementRow is a row of the page: everything up to the last column, with the number.
var statementRow = regexp.MustCompile(`^(\| (\d+) \| [KD] \| [^|]+ \| [^|]*\| )[^|]*\|\n$`)

// statementName is the name of a test that holds statements.
var statementName = regexp.MustCompile(`^(?:Test)?Static_((?:\d{3}_)+)\w+$`)

// statementTests finds, by number, the tests named so: functions, and the rows of the conformance suite.
func statementTests(t *testing.T) map[int][]string {
	t.Helper()
	holders := map[int][]string{}
	add := func(pkg, name string) {
		m := statementName.FindStringSubmatch(name)
		if m == nil {
			return
		}
		for number := range strings.SplitSeq(strings.TrimSuffix(m[1], "_"), "_") {
			n, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			holders[n] = append(holders[n], pkg+"."+name)
		}
	}
	for _, dir := range []string{"runtime", "test"} {
		err := filepath.WalkDir(filepath.Join(repository, dir), func(path string, d fs.DirEntry, err error) error {
			suite := filepath.Base(filepath.Dir(path)) == "conformance"
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || !suite && !strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, decl := range file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") {
					add(file.Name.Name, f.Name.Name)
				}
			}
			if suite {
				ast.Inspect(file, func(n ast.Node) bool {
					if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
						add(file.Name.Name, strings.Trim(lit.Value, `"`))
					}
					return true
				})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, names := range holders {
		slices.Sort(names)
	}
	return holders
}
