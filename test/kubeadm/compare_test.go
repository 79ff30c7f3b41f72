//go:build oracle

package kubeadm

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// difference is one leaf that the two programs write differently.
type difference struct {
	Where              string // "FILE" or "FILE FIELD"
	Kubeadm, Kubecrank string
}

func (d difference) String() string {
	return fmt.Sprintf("%s\n\t\tkubeadm:   %s\n\t\tkubecrank: %s", d.Where, d.Kubeadm, d.Kubecrank)
}

// absent stands for what one of the two does not have.
const absent = "(none)"

// leaves are all scalars of an object, by their path, and the orders of its
// lists. Elements of lists are named where they have names, so that one more
// element is one difference and not one for each that follows.
type leaves struct {
	values map[string]string
	orders map[string][]string
}

func (s *side) leaves(path string) leaves {
	l := leaves{values: map[string]string{}, orders: map[string][]string{}}
	f := s.files[path]
	l.values["mode"] = fmt.Sprintf("%04o", f.mode)
	view, err := s.view(path, f.data)
	if err == nil {
		view, err = generic(view)
	}
	if err != nil {
		l.values["content"] = "cannot be read: " + err.Error()
		return l
	}
	l.add("", view)
	return l
}

func (l leaves) add(path string, v any) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for k, child := range v {
			l.add(join(path, k), child)
		}
	case []any:
		l.addList(path, v)
	case string:
		l.values[path] = v
	default:
		l.values[path] = fmt.Sprint(v)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (l leaves) addList(path string, list []any) {
	if slices.ContainsFunc(list, func(element any) bool { name, _ := elementName(element); return name == "" }) {
		// A plain list: its order and length are a part of the value.
		encoded, err := json.Marshal(list)
		if err != nil {
			panic(err) // it was decoded from JSON
		}
		l.values[path] = string(encoded)
		return
	}
	seen := map[string]int{}
	for _, element := range list {
		name, child := elementName(element)
		seen[name]++
		if n := seen[name]; n > 1 {
			name = fmt.Sprintf("%s#%d", name, n)
		}
		l.orders[path] = append(l.orders[path], name)
		l.add(path+"["+name+"]", child)
	}
}

// elementName names an element by its field "name", or a command line flag by the flag's name.
func elementName(element any) (name string, value any) {
	switch e := element.(type) {
	case map[string]any:
		name, _ := e["name"].(string)
		return name, e
	case string:
		if flag, value, ok := strings.Cut(e, "="); ok && strings.HasPrefix(flag, "--") {
			return flag, value
		}
		if e == "etcd" || strings.HasPrefix(e, "kube-") && !strings.Contains(e, ".") {
			return e, "" // the program, in front of its flags
		}
	}
	return "", nil
}

// compare finds all that differs between two sides.
func compare(theirs, ours *side) []difference {
	var out []difference
	for _, path := range union(theirs.files, ours.files) {
		_, a := theirs.files[path]
		_, b := ours.files[path]
		switch {
		case !a:
			out = append(out, difference{path, absent, "a file"})
		case !b:
			out = append(out, difference{path, "a file", absent})
		default:
			out = append(out, compareLeaves(path, theirs.leaves(path), ours.leaves(path))...)
		}
	}
	if theirs.dirs == nil || ours.dirs == nil {
		return out
	}
	for _, path := range union(theirs.dirs, ours.dirs) {
		a, b := absent, absent
		if mode, ok := theirs.dirs[path]; ok {
			a = fmt.Sprintf("a directory, mode %04o", mode)
		}
		if mode, ok := ours.dirs[path]; ok {
			b = fmt.Sprintf("a directory, mode %04o", mode)
		}
		if a != b {
			out = append(out, difference{path, a, b})
		}
	}
	return out
}

func compareLeaves(path string, theirs, ours leaves) []difference {
	var out []difference
	for _, field := range union(theirs.values, ours.values) {
		a, ok := theirs.values[field]
		if !ok {
			a = absent
		}
		b, ok := ours.values[field]
		if !ok {
			b = absent
		}
		if a != b {
			out = append(out, difference{path + " " + field, a, b})
		}
	}
	for _, field := range union(theirs.orders, ours.orders) {
		a, b := common(theirs.orders[field], ours.orders[field]), common(ours.orders[field], theirs.orders[field])
		if !slices.Equal(a, b) {
			out = append(out, difference{path + " " + field + " order", strings.Join(a, " "), strings.Join(b, " ")})
		}
	}
	return out
}

// common are the elements of a that b has too.
func common(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return !slices.Contains(b, name) })
}

func union[V any](a, b map[string]V) []string {
	return slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for _, m := range []map[string]V{a, b} {
			for k := range maps.Keys(m) {
				if !yield(k) {
					return
				}
			}
		}
	}))
}

func sorted(in []string) []string { slices.Sort(in); return in }
