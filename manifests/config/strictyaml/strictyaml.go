// Package strictyaml reads YAML documents (and JSON, which is YAML) into Go
// structs by their json tags. It reports every mistake with its line.
//
//	bytes --Split--> []Document --Decode--> struct, the line of each field, []Problem
//
// It is stricter than sigs.k8s.io/yaml: an unknown field is a problem, and so is a
// field given twice. It finds all problems, not only the first. It reads plain
// scalars as kubeadm does, by YAML 1.1: yes and on are booleans. Booleans and
// numbers are text only in quotes.
//
// It is safe on hostile input: sizes, depth and the values that aliases expand to are limited.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// The limits. A kubeadm configuration has some hundred values and at most 30 levels.
const (
	MaxSize      = 128 << 10 // bytes of all documents together
	maxNodes     = 20_000    // values of one document, aliases expanded
	maxDepth     = 50
	maxPath      = 1000 // bytes of a value's path
	maxProblems  = 50   // of one document
	maxDocuments = 100
)

// Document is one document of a stream.
type Document struct {
	Line int    // where it starts, from 1
	Text []byte // its part of the stream, from its "---" on
	root *yaml.Node
}

// Problem is one mistake.
type Problem struct {
	Line    int    // from 1
	Path    string // "networking.serviceSubnet", "" for the document or the stream as a whole
	Value   string // the value, if it helps and is not a secret
	Text    string // "there is no such field"
	Remedy  string // a sentence
	Unknown string // the name of a field that the struct does not have
}

// Split divides a stream into documents. It leaves out documents that have only
// comments. A document that is not YAML is a problem; the others are still returned.
func Split(data []byte) ([]Document, []Problem) {
	if problem := unreadable(data); problem != nil {
		return nil, []Problem{*problem}
	}
	var documents []Document
	var problems []Problem
	all := parts(bytes.TrimPrefix(data, []byte("\ufeff")))
	if len(all) > maxDocuments {
		return nil, []Problem{{Line: all[maxDocuments].Line, Text: fmt.Sprintf("it has more than %d documents", maxDocuments),
			Remedy: "Give one document of each kind."}}
	}
	for _, part := range all {
		root, problem := part.parse()
		switch {
		case problem != nil:
			problems = append(problems, *problem)
		case root != nil:
			part.root = root
			documents = append(documents, part)
		}
	}
	return documents, problems
}

// unreadable says why data is not a text file, or returns nil.
func unreadable(data []byte) *Problem {
	if len(data) > MaxSize {
		return &Problem{Line: 1, Text: fmt.Sprintf("it has %d bytes, more than %d", len(data), MaxSize),
			Remedy: "Give a configuration file, and put KubeletConfiguration and others into files of their own."}
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return &Problem{Line: 1, Text: "it is UTF-16", Remedy: "Save it as UTF-8."}
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return &Problem{Line: lineOf(data, i), Text: "it contains a NUL byte", Remedy: "Give a text file."}
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return &Problem{Line: lineOf(data, i), Text: "it is not UTF-8", Remedy: "Save it as UTF-8."}
		}
		if (r < ' ' || r == 0x7f) && !strings.ContainsRune("\t\r\n", r) {
			return &Problem{Line: lineOf(data, i), Text: fmt.Sprintf("it contains the control character %U", r),
				Remedy: "Take it out, or write it as an escape in double quotes."}
		}
		i += size
	}
	return nil
}

func lineOf(data []byte, offset int) int { return 1 + bytes.Count(data[:offset], []byte("\n")) }

// parts cuts a stream at its "---" lines. YAML allows such a line nowhere else, not
// even within quotes. The text before the first one may be directives, which
// belong to the next document.
func parts(data []byte) []Document {
	current := Document{Line: 1}
	var out []Document
	line, start := 1, 0
	for rest := data; len(rest) > 0 && len(out) <= maxDocuments; line++ {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		offset := len(data) - len(rest)
		if isSeparator(rest[:end]) && !onlyDirectives(data[start:offset]) {
			current.Text = data[start:offset]
			out = append(out, current)
			current, start = Document{Line: line}, offset
		}
		rest = rest[end:]
	}
	current.Text = data[start:]
	return append(out, current)
}

func isSeparator(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// onlyDirectives reports whether text has only comments and directives, and at least one directive, such as %YAML 1.2.
func onlyDirectives(text []byte) bool {
	found := false
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] == '%' {
			found = true
		} else if len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return found
}

// Scalar returns the text of a top-level field: Scalar("kind").
func (d Document) Scalar(name string) string {
	if d.root.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(d.root.Content); i += 2 {
		if key, value := d.root.Content[i], d.root.Content[i+1]; key.Value == name && value.Kind == yaml.ScalarNode {
			return value.Value
		}
	}
	return ""
}

// parse returns nil for a document without a value.
func (d Document) parse() (*yaml.Node, *Problem) {
	decoder := yaml.NewDecoder(bytes.NewReader(d.Text))
	var node, second yaml.Node
	if err := decoder.Decode(&node); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, d.syntax(err)
	}
	if err := decoder.Decode(&second); err != nil && !errors.Is(err, io.EOF) {
		return nil, d.syntax(err)
	} else if err == nil {
		return nil, &Problem{Line: d.Line, Text: "a second document follows without a line ---", Remedy: "Write --- between documents."}
	}
	if node.Kind != yaml.DocumentNode || len(node.Content) != 1 {
		return nil, nil
	}
	root := node.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, nil
	}
	return root, nil
}

var (
	syntaxLine    = regexp.MustCompile(`^line (\d+): `)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced`)
)

// syntax turns the parser's error into a Problem. The error's line is relative to
// the document: it counts from 1 if the scanner found the error, from 0 if the parser did.
func (d Document) syntax(err error) *Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1]) // the pattern is digits
		text = text[len(m[0]):]
	}
	if strings.HasPrefix(text, "did not find expected") {
		line++
	}
	if m := unknownAnchor.FindStringSubmatch(text); m != nil {
		line = lineOf(d.Text, max(0, bytes.Index(d.Text, []byte("*"+m[1]))))
	}
	last := lineOf(d.Text, len(bytes.TrimRight(d.Text, " \t\r\n")))
	return &Problem{Line: d.Line + min(line, last) - 1, Text: "it is not YAML: " + text,
		Remedy: "Look at the indentation, the quotes and the colons of this line and the one before it."}
}
