// Package templates holds the text/template files of kubecrank, and fills them in.
//
//	data --Execute, NAME.tmpl--> text --strict decode by the caller--> corev1.Pod
//
// Each action that prints a value ends in an encoder:
//
//	command: {{ json .Command }}
//
// The encoder writes the value so that the format reads the same value back.
// Thus no value can end its place early, whatever it holds. A test refuses an
// action without an encoder. A field or key that the data lacks is an error.
//
// The caller decodes the result strictly, so a template with a wrong field
// fails when it is rendered, not when the pod should start.
//
// The templates of the static pods; package manifests has their data:
//
//	etcd.yaml                     a local etcd
//	kube-apiserver.yaml           kube-apiserver
//	kube-controller-manager.yaml  kube-controller-manager
//	kube-scheduler.yaml           kube-scheduler
package templates

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"text/template"
)

//go:embed *.tmpl
var embedded embed.FS

// encoders are the functions that an action may end in, by their name in a template.
func encoders() template.FuncMap {
	return template.FuncMap{"json": func(v any) (string, error) {
		text, err := JSON(v)
		return string(text), err
	}}
}

// Execute fills in the template NAME.tmpl from data, and returns the content of the file NAME.
func Execute(name string, data any) ([]byte, error) {
	text, err := embedded.ReadFile(name + ".tmpl")
	if err != nil {
		return nil, fmt.Errorf("cannot find the template of %s: %w", name, err)
	}
	return execute(name, string(text), data)
}

func execute(name, text string, data any) ([]byte, error) {
	parsed, err := template.New(name).Funcs(encoders()).Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("cannot parse the template of %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("cannot fill in the template of %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// JSON returns v as JSON on one line. A YAML parser reads the same value from it, or refuses it.
// A NUL or invalid UTF-8 in a text is an error: neither can be an argument, a variable or a path.
func JSON(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	// Marshal writes \ufffd for invalid UTF-8 only. Without the pairs of backslashes, each one left begins an escape.
	escapes := bytes.ReplaceAll(text, []byte(`\\`), nil)
	if bytes.Contains(escapes, []byte(`\u0000`)) || bytes.Contains(escapes, []byte(`\ufffd`)) {
		return nil, errors.New("a value contains NUL or invalid UTF-8")
	}
	// YAML takes U+0085 for the end of a line, JSON does not.
	return bytes.ReplaceAll(text, []byte("\u0085"), []byte(`\u0085`)), nil
}
