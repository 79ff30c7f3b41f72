package strictyaml

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// isText reports whether kubeadm reads a scalar as text. kubeadm reads plain
// scalars by YAML 1.1, except that timestamps stay text.
func isText(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode {
		return false
	}
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		_, isBool := boolean(n)
		return !isBool
	}
	return false
}

// boolean reads a plain boolean of YAML 1.1.
func boolean(n *yaml.Node) (value, ok bool) {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) != 0 {
		return false, false
	}
	switch n.Value {
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE":
		return true, true
	case "n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

func describe(n *yaml.Node) string {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if _, ok := boolean(n); ok {
		return "the boolean " + n.Value
	}
	switch tag := n.ShortTag(); tag {
	case "!!int", "!!float":
		return "a number"
	case "!!null":
		return "nothing"
	case "!!str", "!!timestamp":
		return "a text"
	default:
		return "of the type " + strings.TrimPrefix(tag, "!!")
	}
}
