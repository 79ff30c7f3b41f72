package strictyaml

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Decode fills the struct that into points to. It returns the line of every field
// and list item of the document, by its path ("etcd.local.extraArgs[0].name"), and
// all problems. It fills in the fields without a problem. A null leaves its field
// as it is, as in JSON.
func (d Document) Decode(into any) (lines map[string]int, problems []Problem) {
	w := &walker{first: d.Line, budget: maxNodes, lines: map[string]int{}}
	w.value(d.root, reflect.ValueOf(into).Elem(), place{line: w.line(d.root)})
	return w.lines, w.problems
}

// Check finds the problems that do not depend on a struct: fields given twice, and limits.
func (d Document) Check() []Problem {
	w := &walker{first: d.Line, budget: maxNodes, lines: map[string]int{}}
	w.value(d.root, reflect.Value{}, place{line: w.line(d.root)})
	return w.problems
}

type walker struct {
	first    int // line of the document's start
	budget   int // values left to visit
	bytes    int // of the texts visited
	stopped  bool
	lines    map[string]int
	problems []Problem
}

// place is the position of the walker.
type place struct {
	path   string
	line   int // of the field's name, or of the list's item
	depth  int
	secret bool // no problem shows the value
}

func (p place) field(name string, line int) place {
	if p.path != "" {
		name = p.path + "." + name
	}
	return place{path: name, line: line, depth: p.depth + 1, secret: p.secret}
}

func (p place) item(i, line int) place {
	return place{path: fmt.Sprintf("%s[%d]", p.path, i), line: line, depth: p.depth + 1, secret: p.secret}
}

func (w *walker) line(n *yaml.Node) int { return w.first + n.Line - 1 }

func (w *walker) bad(at place, text, remedy string) {
	w.add(Problem{Line: at.line, Path: at.path, Text: text, Remedy: remedy})
}

// add records a problem. After maxProblems the walk ends.
func (w *walker) add(p Problem) {
	if w.stopped {
		return
	}
	w.problems = append(w.problems, p)
	if len(w.problems) == maxProblems {
		w.problems = append(w.problems, Problem{Line: p.Line, Text: "there are more problems in this document",
			Remedy: "Correct those above first."})
		w.stopped = true
	}
}

// allowed counts one more value. If a limit is exceeded, the walk ends.
func (w *walker) allowed(n *yaml.Node, at place) bool {
	if w.stopped {
		return false
	}
	w.budget--
	w.bytes += len(n.Value)
	switch {
	case w.budget < 0 || w.bytes > MaxSize:
		w.bad(at, fmt.Sprintf("the document has more than %d values or %d bytes, aliases expanded", maxNodes, MaxSize),
			"Use fewer values and no nested aliases.")
	case at.depth > maxDepth || len(at.path) > maxPath:
		w.bad(place{line: at.line}, fmt.Sprintf("it is nested more than %d deep, or has names of more than %d bytes", maxDepth, maxPath),
			"Use less nesting, and no alias within its own anchor.")
	default:
		return true
	}
	w.stopped = true
	return false
}

// value decodes n into v. For Check v is invalid: only limits and duplicates are checked.
func (w *walker) value(n *yaml.Node, v reflect.Value, at place) {
	if !w.allowed(n, at) {
		return
	}
	if at.path != "" && v.IsValid() {
		w.lines[at.path] = at.line
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if isNull(n) {
		return
	}
	if v.IsValid() && v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if v.IsValid() && w.text(n, v, at) {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		w.mapping(n, v, at)
	case yaml.SequenceNode:
		w.sequence(n, v, at)
	case yaml.ScalarNode:
		w.scalar(n, v, at)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// text decodes types with their own text form: durations, times, quantities.
func (w *walker) text(n *yaml.Node, v reflect.Value, at place) bool {
	var err error
	switch target := v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		if n.Kind == yaml.ScalarNode {
			err = target.UnmarshalText([]byte(n.Value))
		}
	case json.Unmarshaler:
		if n.Kind == yaml.ScalarNode {
			quoted, _ := json.Marshal(n.Value) // a string always has a JSON form
			err = target.UnmarshalJSON(quoted)
		}
	default:
		return false
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		w.wrongKind(n, "a text", at)
	case err != nil:
		problem := Problem{Line: at.line, Path: at.path, Text: err.Error(),
			Remedy: "Write it in the form that kubeadm's documentation gives."}
		if !at.secret {
			problem.Value = n.Value
		}
		w.add(problem)
	}
	return true
}

func (w *walker) scalar(n *yaml.Node, v reflect.Value, at place) {
	if !v.IsValid() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		if !isText(n) {
			w.bad(at, "it is "+describe(n)+", not a text", "Put it in quotes.")
			return
		}
		v.SetString(n.Value)
	case reflect.Bool:
		b, ok := boolean(n)
		if !ok {
			w.bad(at, "it is "+describe(n)+", not true or false", "Write true or false, without quotes.")
			return
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(n.Value, 10, v.Type().Bits())
		if n.ShortTag() != "!!int" || err != nil {
			w.bad(at, "it is "+describe(n)+", not a whole number that fits", "Write a whole number in digits, without quotes.")
			return
		}
		v.SetInt(i)
	default:
		w.wrongKind(n, kindName(v), at)
	}
}

func (w *walker) sequence(n *yaml.Node, v reflect.Value, at place) {
	switch {
	case !v.IsValid():
		for i, item := range n.Content {
			w.value(item, v, at.item(i, w.line(item)))
		}
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		for i, item := range n.Content {
			element := reflect.New(v.Type().Elem()).Elem()
			w.value(item, element, at.item(i, w.line(item)))
			if w.stopped {
				return
			}
			v.Set(reflect.Append(v, element))
		}
	default:
		w.wrongKind(n, kindName(v), at)
	}
}

// wrongKind adds the problem that a value has another shape than its field.
func (w *walker) wrongKind(n *yaml.Node, want string, at place) {
	remedy := "Write " + want + " there."
	if want == "a list" && n.Kind == yaml.MappingNode && strings.HasSuffix(at.path, "xtraArgs") {
		remedy = `Write each as "- name: NAME" and "value: VALUE" below it: v1beta4 has a list where v1beta3 had a mapping.`
	}
	w.bad(at, "it is "+describe(n)+", not "+want, remedy)
}

func kindName(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a mapping"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	}
	return "a whole number"
}
