package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/templates"
)

// pod is the data of the manifests' templates.
type pod struct {
	Name            string       // of the template too
	Address         string       // the annotation with which kubeadm finds etcd members and API servers
	StopBefore      string       // "" or the pod that must outlive this one
	Command         []string     // the program's name and its arguments
	Env             []config.Env // sorted by name
	Image           string
	Port            int32  // where it answers probes
	ProbeHost       string // "" is the pod's IP
	ProbeScheme     string // "HTTP", "HTTPS"
	StartupFailures int32  // of the startup probe, ten seconds each
	User            *user  // nil is root
	Mounts          []config.HostPathMount
	Volumes         []config.HostPathMount // sorted by name
}

// user is whom a container runs as, with all capabilities dropped.
type user struct {
	User
	SupplementalGroups []int64
	// BindsLowPorts keeps NET_BIND_SERVICE: the kube-apiserver of the official images has it as a file
	// capability, and does not start without it (kubeadm's util/staticpod/utils_linux.go).
	BindsLowPorts bool
}

// render makes the manifest and decodes it again, strictly: what the template
// got wrong is an error here and not a pod that never starts.
func (p pod) render(set *template.Template) (File, error) {
	var out bytes.Buffer
	if err := set.ExecuteTemplate(&out, p.Name+".yaml.tmpl", p); err != nil {
		return File{}, fmt.Errorf("cannot render the manifest of %s: %w", p.Name, err)
	}
	decoded, err := decode(out.Bytes())
	if err != nil {
		return File{}, fmt.Errorf("cannot render the manifest of %s: %w", p.Name, err)
	}
	if decoded.Name != p.Name || len(decoded.Spec.Containers) != 1 || !slices.Equal(decoded.Spec.Containers[0].Command, p.Command) {
		return File{}, fmt.Errorf("cannot render the manifest of %s: what was rendered is not what was asked for", p.Name)
	}
	return File{Name: p.Name + ".yaml", Data: out.Bytes(), Pod: decoded}, nil
}

// decode is strict in two steps: sigs.k8s.io/yaml alone would take true for a text.
func decode(data []byte) (*corev1.Pod, error) {
	object, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, err
	}
	return decodeObject(object)
}

func decodeObject(object []byte) (*corev1.Pod, error) {
	decoded := &corev1.Pod{}
	strict, err := json.UnmarshalStrict(object, decoded)
	if err = errors.Join(append(strict, err)...); err != nil {
		return nil, err
	}
	if decoded.APIVersion != "v1" || decoded.Kind != "Pod" {
		return nil, fmt.Errorf("it is %s %s, not v1 Pod", decoded.APIVersion, decoded.Kind)
	}
	return decoded, nil
}

func parseTemplates() (*template.Template, error) {
	return template.New("").Option("missingkey=error").Funcs(templateFuncs()).ParseFS(templates.FS, "*.tmpl")
}

func templateFuncs() template.FuncMap {
	return template.FuncMap{"quote": quote, "number": number, "nested": nested}
}

// quote writes s as a YAML scalar the way kubeadm's marshaller does, so that
// the files look alike, but always on one line: the marshaller folds long texts.
func quote(s string) (string, error) {
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return "", errors.New("a value holds a NUL or bytes that are no UTF-8")
	}
	if plainScalar.MatchString(s) {
		return s, nil
	}
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		encoded, err := yaml.Marshal(s)
		if line := strings.TrimSuffix(string(encoded), "\n"); err == nil && !strings.Contains(line, "\n") {
			return line, nil
		}
	}
	return strconv.QuoteToASCII(s), nil // every escape of Go's is one of YAML's
}

// plainScalar is what most values look like, flags and paths: it needs no
// quotes and no marshaller, which is half of the time of a rendering.
var plainScalar = regexp.MustCompile(`^(--[a-z]|/)[A-Za-z0-9/._,=:-]*[A-Za-z0-9]$`)

func number(n any) (string, error) {
	switch n := n.(type) {
	case int32:
		return strconv.FormatInt(int64(n), 10), nil
	case int64:
		return strconv.FormatInt(n, 10), nil
	}
	return "", fmt.Errorf("%T is no number", n)
}

// nested writes v as YAML lines, each behind that many spaces.
func nested(indent int, v any) (string, error) {
	encoded, err := yaml.Marshal(v)
	if err != nil {
		return "", err
	}
	margin := strings.Repeat(" ", indent)
	lines := strings.TrimSuffix(string(encoded), "\n")
	return margin + strings.ReplaceAll(lines, "\n", "\n"+margin), nil
}
