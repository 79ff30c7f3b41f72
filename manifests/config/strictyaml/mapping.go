package strictyaml

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pair is a field of a mapping.
type pair struct {
	name       string
	key, value *yaml.Node
}

func (w *walker) mapping(n *yaml.Node, v reflect.Value, at place) {
	if v.IsValid() && v.Kind() != reflect.Struct && v.Kind() != reflect.Map {
		w.wrongKind(n, kindName(v), at)
		return
	}
	pairs := w.pairs(n, at)
	switch {
	case !v.IsValid():
		for _, p := range pairs {
			w.value(p.value, v, w.at(p, at))
		}
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, p := range pairs {
			element := reflect.New(v.Type().Elem()).Elem()
			w.value(p.value, element, w.at(p, at))
			v.SetMapIndex(reflect.ValueOf(p.name).Convert(v.Type().Key()), element)
		}
	default:
		fields := fieldsOf(v.Type())
		for _, p := range pairs {
			f, ok := fields[p.name]
			if !ok {
				w.unknown(p, fields, at)
				continue
			}
			inner := w.at(p, at)
			inner.secret = inner.secret || f.Tag.Get("datapolicy") != ""
			w.value(p.value, v.FieldByIndex(f.Index), inner)
		}
	}
}

// pairs returns the fields of a mapping in order. Fields of a merge key ("<<")
// come last, and only if the mapping has no field of that name.
func (w *walker) pairs(n *yaml.Node, at place) []pair {
	var own, merged []pair
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content) && !w.stopped; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch {
		case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
			at := at
			at.line = w.line(key)
			merged = append(merged, w.merge(value, at)...)
			continue
		case key.Kind != yaml.ScalarNode:
			at.line = w.line(n.Content[i])
			w.bad(at, "the name of a field is "+describe(key), "Write the name of a field and a colon.")
			continue
		}
		if first, ok := lines[key.Value]; ok {
			w.bad(at.field(key.Value, w.line(key)), fmt.Sprintf("it is given twice, first in line %d", first), "Keep one of them.")
			continue
		}
		lines[key.Value] = w.line(key)
		own = append(own, pair{key.Value, key, value})
	}
	for _, m := range merged {
		if _, ok := lines[m.name]; !ok {
			lines[m.name] = w.line(m.key)
			own = append(own, m)
		}
	}
	return own
}

// merge returns the fields of a merge key's value: a mapping or a list of mappings.
func (w *walker) merge(n *yaml.Node, at place) []pair {
	at.depth++
	if !w.allowed(n, at) {
		return nil
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		return w.pairs(n, at)
	case yaml.SequenceNode:
		var out []pair
		for _, item := range n.Content {
			out = append(out, w.merge(item, at)...)
		}
		return out
	}
	w.bad(at, "the merge key << has "+describe(n)+", not a mapping", "Give it an alias of a mapping.")
	return nil
}

// at returns the place of a field.
func (w *walker) at(p pair, in place) place { return in.field(p.name, w.line(p.key)) }

func (w *walker) unknown(p pair, fields map[string]reflect.StructField, at place) {
	at = w.at(p, at)
	if !w.allowed(p.key, at) {
		return
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	remedy := "Take it out, or use one of: " + strings.Join(names, ", ") + "."
	if near := Nearest(p.name, names); near != "" {
		remedy = fmt.Sprintf("Did you mean %q?", near)
	}
	w.add(Problem{Line: at.line, Path: at.path, Text: "there is no such field", Remedy: remedy, Unknown: p.name})
}

// Fields returns the names of a struct's fields in a document, sorted.
func Fields(of any) []string {
	fields := fieldsOf(reflect.TypeOf(of).Elem())
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// fieldsOf returns the fields of a struct and its embedded structs by their names
// in a document, with indexes for FieldByIndex.
func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	out := map[string]reflect.StructField{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" && strings.Contains(options, "inline") {
			for n, inner := range fieldsOf(f.Type) {
				inner.Index = append([]int{i}, inner.Index...)
				out[n] = inner
			}
			continue
		}
		if name != "" && name != "-" {
			out[name] = f
		}
	}
	return out
}

// Nearest returns the candidate that name was probably meant to be, or "". It is for
// everything that a user types: fields, kinds, flags, phases. A third of the letters
// may be wrong, or two (a transposition counts as two), but never all of them.
func Nearest(name string, candidates []string) string {
	best, bestDistance := "", min(max(2, len(name)/3), len(name)-1)+1
	for _, c := range candidates {
		if strings.EqualFold(c, name) || len(name) >= 3 && strings.HasPrefix(strings.ToLower(c), strings.ToLower(name)) {
			return c
		}
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance returns the Levenshtein distance in bytes. For a name that is far too long it returns only a large number.
func distance(a, b string) int {
	if len(a) > 100 || len(b) > 100 {
		return 1 << 20
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
