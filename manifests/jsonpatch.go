package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// applyMergePatch is RFC 7386.
func applyMergePatch(object, patch []byte) ([]byte, error) {
	to, err := decodeJSON(object)
	if err != nil {
		return nil, err
	}
	from, err := decodeJSON(patch)
	if err != nil {
		return nil, err
	}
	if _, ok := from.(map[string]any); !ok {
		return nil, errors.New("a merge patch is a mapping, and this is none")
	}
	return json.Marshal(mergePatch(to, from))
}

func mergePatch(to, from any) any {
	changes, ok := from.(map[string]any)
	if !ok {
		return from
	}
	fields, ok := to.(map[string]any)
	if !ok {
		fields = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(fields, name)
		} else {
			fields[name] = mergePatch(fields[name], value)
		}
	}
	return fields
}

// operation is one of a JSON patch.
type operation struct {
	Op    string          `json:"op"`
	Path  *string         `json:"path"`
	From  *string         `json:"from"`
	Value json.RawMessage `json:"value"` // nil if there is none, "null" if it is null
}

// maxOperations keeps a patch that copies the document into itself again and again from growing it without limit.
const maxOperations = 1000

// applyJSONPatch is RFC 6902: all operations in order, or an error.
func applyJSONPatch(object, patch []byte) ([]byte, error) {
	document, err := decodeJSON(object)
	if err != nil {
		return nil, err
	}
	var operations []operation
	decoder := json.NewDecoder(bytes.NewReader(patch))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&operations); err != nil {
		return nil, fmt.Errorf("it is no list of operations: %s", cause(err))
	}
	if len(operations) > maxOperations {
		return nil, fmt.Errorf("it has more than %d operations", maxOperations)
	}
	size := 0
	for i, o := range operations {
		document, size, err = o.apply(document, size)
		if err != nil {
			return nil, fmt.Errorf("its operation %d: %w", i+1, err)
		}
	}
	return json.Marshal(document)
}

// maxCopied is how much a patch may copy, in bytes of JSON.
const maxCopied = 1 << 20

// apply returns the changed document, and the bytes copied so far.
func (o operation) apply(document any, copied int) (any, int, error) {
	if o.Path == nil {
		return nil, copied, errors.New("it has no path")
	}
	at, err := pointer(*o.Path)
	if err != nil {
		return nil, copied, err
	}
	var value any
	switch o.Op {
	case "add", "replace", "test":
		if o.Value == nil {
			return nil, copied, fmt.Errorf("%s %s has no value", o.Op, *o.Path)
		}
		if value, err = decodeJSON(o.Value); err != nil {
			return nil, copied, err
		}
	case "copy", "move":
		if value, copied, err = o.source(document, copied); err != nil {
			return nil, copied, err
		}
	case "remove":
	default:
		return nil, copied, fmt.Errorf("there is no operation %q", o.Op)
	}
	if o.Op == "move" {
		from, _ := pointer(*o.From) // source has read it
		if len(at) > len(from) && slices.Equal(at[:len(from)], from) {
			return nil, copied, fmt.Errorf("cannot move %s into itself", *o.From)
		}
		if document, err = change(document, from, nil, remove); err != nil {
			return nil, copied, err
		}
	}
	if document, err = o.change(document, at, value); err != nil {
		err = fmt.Errorf("cannot %s %s: %w", o.Op, *o.Path, err)
	}
	return document, copied, err
}

func (o operation) change(document any, at []string, value any) (any, error) {
	switch o.Op {
	case "remove":
		return change(document, at, nil, remove)
	case "replace":
		return change(document, at, value, replace)
	case "test":
		found, err := get(document, at)
		if err == nil && !equal(found, value) {
			err = errors.New("it has another value")
		}
		return document, err
	}
	return change(document, at, value, add)
}

// source is the value that copy and move begin with.
func (o operation) source(document any, copied int) (any, int, error) {
	if o.From == nil {
		return nil, copied, fmt.Errorf("%s has no from", o.Op)
	}
	from, err := pointer(*o.From)
	if err != nil {
		return nil, copied, err
	}
	value, err := get(document, from)
	if err != nil {
		return nil, copied, fmt.Errorf("cannot %s from %s: %w", o.Op, *o.From, err)
	}
	// A copy of its own, so that later operations change only one of them.
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, copied, err
	}
	if copied += len(encoded); copied > maxCopied {
		return nil, copied, fmt.Errorf("it copies more than %d bytes", maxCopied)
	}
	value, err = decodeJSON(encoded)
	return value, copied, err
}

// pointer reads a JSON pointer (RFC 6901).
func pointer(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	if s[0] != '/' {
		return nil, fmt.Errorf("the path %q does not begin with a slash", s)
	}
	parts := strings.Split(s[1:], "/")
	for i, p := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(p)
	}
	return parts, nil
}

func get(document any, at []string) (any, error) {
	for _, name := range at {
		var err error
		if document, err = child(document, name); err != nil {
			return nil, err
		}
	}
	return document, nil
}

func child(parent any, name string) (any, error) {
	switch p := parent.(type) {
	case map[string]any:
		if v, ok := p[name]; ok {
			return v, nil
		}
		return nil, fmt.Errorf("there is no field %q", name)
	case []any:
		i, err := index(name, len(p)-1)
		if err != nil {
			return nil, err
		}
		return p[i], nil
	}
	return nil, errNoParent(name)
}

func errNoParent(name string) error {
	return fmt.Errorf("what should have %q is neither a mapping nor a list", name)
}

// index reads an index up to last.
func index(name string, last int) (int, error) {
	i, err := strconv.Atoi(name)
	if err != nil || i < 0 || i > last || name != strconv.Itoa(i) {
		return 0, fmt.Errorf("the list has no item %q", name)
	}
	return i, nil
}

// A changer changes a container's field or item; what it returns is the container.
type changer func(parent any, name string, value any) (any, error)

func add(parent any, name string, value any) (any, error) {
	switch p := parent.(type) {
	case map[string]any:
		p[name] = value
		return p, nil
	case []any:
		if name == "-" {
			return append(p, value), nil
		}
		i, err := index(name, len(p))
		if err != nil {
			return nil, err
		}
		return slices.Insert(p, i, value), nil
	}
	return nil, errNoParent(name)
}

func replace(parent any, name string, value any) (any, error) {
	if _, err := child(parent, name); err != nil {
		return nil, err
	}
	if p, ok := parent.(map[string]any); ok {
		p[name] = value
		return p, nil
	}
	p, _ := parent.([]any) // child has refused all else
	i, _ := strconv.Atoi(name)
	p[i] = value
	return p, nil
}

func remove(parent any, name string, _ any) (any, error) {
	if _, err := child(parent, name); err != nil {
		return nil, err
	}
	if p, ok := parent.(map[string]any); ok {
		delete(p, name)
		return p, nil
	}
	p, _ := parent.([]any) // child has refused all else
	i, _ := strconv.Atoi(name)
	return slices.Delete(p, i, i+1), nil
}

// change applies do at a place, and returns the document, which is another one when the place is the root.
func change(document any, at []string, value any, do changer) (any, error) {
	if len(at) == 0 {
		if value == nil {
			return nil, errors.New("the whole document cannot be taken out")
		}
		return value, nil
	}
	if len(at) == 1 {
		return do(document, at[0], value)
	}
	inner, err := child(document, at[0])
	if err != nil {
		return nil, err
	}
	if inner, err = change(inner, at[1:], value, do); err != nil {
		return nil, err
	}
	return replace(document, at[0], inner)
}

// equal compares by value: numbers too, however they are written.
func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		other, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, other, equal)
	case []any:
		other, ok := b.([]any)
		return ok && slices.EqualFunc(a, other, equal)
	case json.Number:
		other, ok := b.(json.Number)
		x, errX := a.Float64()
		y, errY := other.Float64()
		return ok && (a == other || errX == nil && errY == nil && x == y)
	}
	return a == b
}

// decodeJSON keeps numbers as they are written.
func decodeJSON(data []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var out any
	if err := decoder.Decode(&out); err != nil {
		return nil, err
	}
	return out, nil
}
