package source

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlLine finds the place in a message of the YAML parser.
var yamlLine = regexp.MustCompile(`\bline (\d+)`)

func yamlErrorLine(err error) int {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0 // more digits than any file has lines
	}
	return n
}

// jsonField finds the Go field path in encoding/json's type errors:
// "json: cannot unmarshal string into Go struct field Container.spec.containers.0.ports of type ...".
var jsonField = regexp.MustCompile(`cannot unmarshal (\w+)(?: \S+)? into Go struct field \w+\.(\S+) of type`)

// errorLine is the line of the manifest that an error of fromJSON is about, 0 when unknown. Prefix
// is the field path of the pod in the document: "" or "items[2].".
func errorLine(data []byte, prefix string, err error) int {
	var invalid *invalidError
	if errors.As(err, &invalid) {
		return lineOf(data, prefix+invalid.errs[0].Field)
	}
	if m := jsonField.FindStringSubmatch(err.Error()); m != nil {
		return lineOfValue(data, prefix+m[2], m[1])
	}
	return 0
}

// lineOf is the line (from 1) where a field path like "spec.containers[0].name" stands in YAML or
// JSON, or where its nearest present parent does; 0 if the document cannot be read.
func lineOf(data []byte, path string) int {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil || len(doc.Content) == 0 {
		return 0
	}
	node, line := doc.Content[0], doc.Content[0].Line
	for _, step := range pathSteps(path) {
		for node.Kind == yaml.AliasNode && node.Alias != nil {
			node = node.Alias
		}
		next, at := child(node, step)
		if next == nil {
			break
		}
		node, line = next, at
	}
	return line
}

// lineOfValue is lineOf for a path without the indexes of lists, as encoding/json reports it: the first
// value there of the JSON kind (string, number, bool, object, array) that does not fit.
func lineOfValue(data []byte, path, kind string) int {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil || len(doc.Content) == 0 {
		return 0
	}
	lines := valueLines(doc.Content[0], pathSteps(path), kind, 0)
	if len(lines) == 0 {
		return lineOf(data, path)
	}
	return lines[0]
}

func valueLines(node *yaml.Node, steps []string, kind string, line int) []int {
	if node.Kind == yaml.AliasNode && node.Alias != nil {
		node = node.Alias
	}
	if len(steps) == 0 {
		if jsonKind(node) == kind {
			return []int{line}
		}
		return nil
	}
	if next, at := child(node, steps[0]); next != nil {
		return valueLines(next, steps[1:], kind, at)
	}
	var lines []int
	if node.Kind == yaml.SequenceNode {
		for _, item := range node.Content {
			lines = append(lines, valueLines(item, steps, kind, item.Line)...)
		}
	}
	return lines
}

func jsonKind(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "object"
	case node.Kind == yaml.SequenceNode:
		return "array"
	case node.Tag == "!!int" || node.Tag == "!!float":
		return "number"
	case node.Tag == "!!bool", node.Tag == "!!str" && node.Style == 0 && yaml11Bool.MatchString(node.Value):
		return "bool"
	default:
		return "string"
	}
}

// yaml11Bool is what the kubelet's YAML takes for a boolean beyond true and false.
var yaml11Bool = regexp.MustCompile(`^(?i:y|yes|on|n|no|off)$`)

// pathSteps splits "spec.volumes[0].name" into spec, volumes, 0, name. Dots in the keys of maps
// (annotations[a.b/c]) stay, for they stand in brackets.
func pathSteps(path string) []string {
	var steps []string
	for path != "" {
		switch i := strings.IndexAny(path, ".["); {
		case i < 0:
			return append(steps, path)
		case path[i] == '.':
			steps, path = appendStep(steps, path[:i]), path[i+1:]
		default:
			steps = appendStep(steps, path[:i])
			end := strings.IndexByte(path[i:], ']')
			if end < 0 {
				return steps
			}
			steps, path = append(steps, path[i+1:i+end]), path[i+end+1:]
		}
	}
	return steps
}

func appendStep(steps []string, step string) []string {
	if step == "" { // between "]" and "."
		return steps
	}
	return append(steps, step)
}

func child(node *yaml.Node, step string) (*yaml.Node, int) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i+1], node.Content[i].Line
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i].Line
		}
	}
	return nil, 0
}
