// Package expand replaces $(NAME) in commands, arguments and environment values as Kubernetes does
// (k8s.io/kubernetes/third_party/forked/golang/expansion): "$$" is a dollar sign, and a reference to
// a name that is not known stays as it is written.
//
// Values that refer to each other double with every line, so the result is bounded by what the kernel takes for a
// program: longer ones could never be started.
package expand

import (
	"fmt"
	"strings"
)

const (
	// MaxString is the longest argument or "NAME=value" that execve takes, its final NUL included (MAX_ARG_STRLEN).
	MaxString = 128 << 10
	// MaxTotal is the most that all of them may have together, whatever the stack's limit (3/4 of _STK_LIM, fs/exec.c).
	MaxTotal = 6 << 20
)

// TooLongError says that a text is longer than what a program can be started with.
type TooLongError struct {
	Field string // "" if the caller knows it
	Limit int
}

func (e *TooLongError) Error() string {
	field := ""
	if e.Field != "" {
		field = e.Field + ": "
	}
	return fmt.Sprintf("%swith its $(NAME) references replaced it has more than the %d bytes that a program can be started with",
		field, e.Limit-1)
}

// Hint is the remedy.
func (e *TooLongError) Hint() string {
	return "look for variables that refer to each other, as B=$(A)$(A) does; '$$(A)' stands for the text '$(A)'"
}

// Expand returns the input with its references replaced by the values of vars, or a *TooLongError.
func Expand(input string, vars map[string]string) (string, error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(input, '$')
		if i < 0 || i+1 == len(input) {
			b.WriteString(input)
			return limited(&b)
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
		if b.Len() >= MaxString {
			return limited(&b)
		}
	}
}

func limited(b *strings.Builder) (string, error) {
	if b.Len() >= MaxString {
		return "", &TooLongError{Limit: MaxString}
	}
	return b.String(), nil
}

// All expands every element into a new slice. A *TooLongError names the element, as "field[2]".
func All(field string, inputs []string, vars map[string]string) ([]string, error) {
	out := make([]string, len(inputs))
	var sum Sum
	for i, s := range inputs {
		var err error
		if out[i], err = Expand(s, vars); err == nil {
			err = sum.Add(out[i])
		}
		if err != nil {
			return nil, Named(fmt.Sprintf("%s[%d]", field, i), err)
		}
	}
	return out, nil
}

// Sum is how long the strings are together that a program is started with.
type Sum struct{ bytes int }

// Add counts one more. It returns a *TooLongError when they are too long together.
func (s *Sum) Add(text string) error {
	const pointer = 8
	s.bytes += len(text) + 1 + pointer
	if s.bytes > MaxTotal {
		return &TooLongError{Limit: MaxTotal}
	}
	return nil
}

// Named puts the name of a field into a *TooLongError.
func Named(field string, err error) error {
	if long, ok := err.(*TooLongError); ok { //nolint:errorlint // this package's own, not wrapped yet
		return &TooLongError{Field: field, Limit: long.Limit}
	}
	return fmt.Errorf("%s: %w", field, err)
}
