// Package expand replaces $(NAME) in commands, arguments and environment values as Kubernetes does
// (k8s.io/kubernetes/third_party/forked/golang/expansion): "$$" is a dollar sign, and a reference to
// a name that is not known stays as it is written.
package expand

import "strings"

// Expand returns the input with its references replaced by the values of vars.
func Expand(input string, vars map[string]string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(input, '$')
		if i < 0 || i+1 == len(input) {
			b.WriteString(input)
			return b.String()
		}
		b.WriteString(input[:i])
		input = input[i+1:]
		switch input[0] {
		case '$':
			b.WriteByte('$')
			input = input[1:]
		case '(':
			name, rest, closed := strings.Cut(input[1:], ")")
			value, known := vars[name]
			switch {
			case !closed:
				b.WriteString("$(")
				input = input[1:]
			case known:
				b.WriteString(value)
				input = rest
			default:
				b.WriteString("$(" + name + ")")
				input = rest
			}
		default:
			b.WriteByte('$')
		}
	}
}

// All expands every element into a new slice.
func All(inputs []string, vars map[string]string) []string {
	out := make([]string, len(inputs))
	for i, s := range inputs {
		out[i] = Expand(s, vars)
	}
	return out
}
