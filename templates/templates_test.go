package templates

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template/parse"
)

// unencoded returns the actions of a template that print a value without an encoder.
func unencoded(name, text string) ([]string, error) {
	builtins := map[string]any{"and": true, "eq": true, "not": true, "or": true, "print": true}
	trees, err := parse.Parse(name, text, "", "", map[string]any(encoders()), builtins)
	if err != nil {
		return nil, err
	}
	var bad []string
	for _, tree := range trees {
		bad = append(bad, unencodedIn(tree.Root)...)
	}
	return bad, nil
}

func unencodedIn(node parse.Node) (bad []string) {
	branch := func(lists ...*parse.ListNode) {
		for _, list := range lists {
			if list != nil {
				bad = append(bad, unencodedIn(list)...)
			}
		}
	}
	switch node := node.(type) {
	case *parse.ListNode:
		for _, child := range node.Nodes {
			bad = append(bad, unencodedIn(child)...)
		}
	case *parse.IfNode:
		branch(node.List, node.ElseList)
	case *parse.WithNode:
		branch(node.List, node.ElseList)
	case *parse.RangeNode:
		branch(node.List, node.ElseList)
	case *parse.ActionNode:
		last := node.Pipe.Cmds[len(node.Pipe.Cmds)-1]
		f, _ := last.Args[0].(*parse.IdentifierNode)
		prints := len(node.Pipe.Decl) == 0
		if prints && (f == nil || encoders()[f.Ident] == nil) {
			bad = append(bad, node.String())
		}
	case *parse.TextNode, *parse.CommentNode, *parse.TemplateNode, *parse.BreakNode, *parse.ContinueNode:
	default:
		bad = append(bad, fmt.Sprintf("%T %s", node, node))
	}
	return bad
}

// texts are all templates, by file name.
func texts(t *testing.T) map[string]string {
	t.Helper()
	names, err := fs.Glob(embedded, "*.tmpl")
	if err != nil || len(names) < 4 {
		t.Fatal(names, err)
	}
	all := map[string]string{}
	for _, name := range names {
		text, err := embedded.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}

// Each action of each template that prints a value ends in an encoder: no value can end its place early.
func TestEncoders(t *testing.T) {
	t.Parallel()
	for name, text := range texts(t) {
		if bad, err := unencoded(name, text); err != nil || len(bad) > 0 {
			t.Errorf("%s: %v without an encoder, %v", name, bad, err)
		}
	}
	for text, want := range map[string]string{
		`{{ json .A }}{{ .A | json }}{{ if .A }}x{{ end }}{{ $x := .A }}`: "",
		`{{ .A }}`:                                "{{.A}}",
		`{{ json .A | print }}`:                   "{{json .A | print}}",
		`{{ print (json .A) }}`:                   "{{print (json .A)}}",
		`{{ if .A }}{{ .B }}{{ end }}`:            "{{.B}}",
		`{{ if .A }}{{ else }}{{ .B }}{{ end }}`:  "{{.B}}",
		`{{ range .A }}{{ . }}{{ end }}`:          "{{.}}",
		`{{ with .A }}x{{ else }}{{ .B }}{{end}}`: "{{.B}}",
		`{{ define "x" }}{{ .A }}{{ end }}`:       "{{.A}}",
		`{{ $x := .A }}{{ $x }}`:                  "{{$x}}",
		`{{ "text" }}`:                            `{{"text"}}`,
	} {
		if bad, err := unencoded("x", text); err != nil || strings.Join(bad, " ") != want {
			t.Errorf("%s: %q, not %q; %v", text, bad, want, err)
		}
	}
}

// In YAML a value has its place alone: it is all of a mapping's value or of a list's item. Part of a text would not be quoted.
func TestPlacesAreWhole(t *testing.T) {
	t.Parallel()
	place := regexp.MustCompile(`(?m)^ *(- )?[\w.:/-]*(: |- )\{\{ json \.[\w.]+ \}\}$`)
	for name, text := range texts(t) {
		if !strings.HasSuffix(name, ".yaml.tmpl") {
			continue
		}
		whole, all := len(place.FindAllString(text, -1)), strings.Count(text, "{{ json ")
		if whole != all || all < 10 {
			t.Errorf("%s: %d of %d places are whole", name, whole, all)
		}
	}
}

// What the data lacks is an error, and so is what an encoder refuses. Neither leaves half a text.
func TestExecuteRefuses(t *testing.T) {
	t.Parallel()
	type data struct{ A string }
	for _, tc := range []struct {
		text string
		data any
		want string
	}{
		{`{{ json .B }}`, data{}, "can't evaluate field B"},
		{`{{ json .B }}`, map[string]string{"A": "x"}, "no entry for key"},
		{`{{ json .A.B }}`, map[string]map[string]string{"A": nil}, "no entry for key"},
		{`{{ json .A }}`, nil, "nil data"},
		{`{{ json .A }}`, data{"a\x00b"}, "NUL"},
		{`{{ json .A }}`, data{"\xff"}, "invalid UTF-8"},
		{`{{ json . }}`, map[string][]string{"\xff": {"x"}}, "invalid UTF-8"},
		{`{{ yaml .A }}`, data{}, `function "yaml" not defined`},
	} {
		out, err := execute("x", tc.text, tc.data)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "cannot ") || out != nil {
			t.Errorf("%s of %#v: %q, %v", tc.text, tc.data, out, err)
		}
	}
	if _, err := Execute("nothing.yaml", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A backslash or U+FFFD in a text is not taken for the escape of a byte that is not UTF-8.
func TestJSON(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"\ufffd": "\"\ufffd\"", `\ufffd`: `"\\ufffd"`, `\\u0000`: `"\\\\u0000"`, "a\u0085b": `"a\u0085b"`, "\u2028": `"\u2028"`, `"`: `"\""`,
	} {
		if got, err := JSON(value); err != nil || string(got) != want {
			t.Errorf("%q: %s, not %s; %v", value, got, want, err)
		}
	}
	for _, value := range []string{"\\\x00", "\\\\\xff"} {
		if got, err := JSON([]string{value}); err == nil {
			t.Errorf("%q: %s", value, got)
		}
	}
	if got, err := JSON(slices.Values([]int{1})); err == nil {
		t.Errorf("a function: %s", got)
	}
}
