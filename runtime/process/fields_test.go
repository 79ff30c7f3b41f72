package process

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
)

// fieldsPage is the reference of a pod's fields.
const fieldsPage = "../../docs/reference/pod-fields.md"

// The reference says of every field what becomes of it, also of those that a later Kubernetes adds.
func TestEveryFieldIsDocumented(t *testing.T) {
	t.Parallel()
	page := readPage(t)
	for _, v := range []any{corev1.PodSpec{}, corev1.PodSecurityContext{}, corev1.Container{}, corev1.SecurityContext{}, corev1.VolumeMount{}} {
		for i := range reflect.TypeOf(v).NumField() {
			name := jsonName(reflect.TypeOf(v).Field(i))
			if !strings.Contains(page, "`"+name+"`") && name != "name" {
				t.Errorf("%s says nothing of %T.%s", fieldsPage, v, name)
			}
		}
	}
}

// The reference says what the code does: Refuse takes what is done or has no effect, and not what is refused; the code
// looks at what is done, and not at what has no effect.
func TestFieldsAreAsDocumented(t *testing.T) {
	t.Parallel()
	read := fieldsRead(t, "../process", "../process/cgroup", "../process/mounts", "../supervisor", "../health", "../source", "../expand")
	sections := map[string]func(*runtime.Pod) any{
		"spec":                  func(p *runtime.Pod) any { return &p.Spec },
		"spec.securityContext":  func(p *runtime.Pod) any { return p.Spec.SecurityContext },
		"Containers":            func(p *runtime.Pod) any { return &p.Spec.Containers[0] },
		"Their securityContext": func(p *runtime.Pod) any { return p.Spec.Containers[0].SecurityContext },
	}
	checked := 0
	for _, part := range strings.Split(readPage(t), "\n## ") {
		title, table, _ := strings.Cut(part, "\n")
		of, ok := sections[title]
		if !ok {
			continue
		}
		for _, row := range fieldRow.FindAllStringSubmatch(table, -1) {
			for _, name := range strings.Split(strings.Trim(row[1], "` "), "`, `") {
				verdict, want, _ := strings.Cut(row[2], ", if ")
				checked++
				checkField(t, of, name, verdict, want, read)
			}
		}
	}
	if checked < 70 {
		t.Errorf("only %d fields were checked", checked)
	}
}

// fieldRow is a row about whole fields: "| `a`, `b` | done |". Rows about parts of a field begin otherwise.
var fieldRow = regexp.MustCompile("(?m)^\\| ((?:`\\w+`(?:, )?)+) \\| ((?:done|root|no effect|refused)(?:, if `\\w+`)?) \\|")

// lookedAt are fields without effect that the code looks at all the same.
var lookedAt = map[string]string{
	"image":       "status and events show it",
	"nodeName":    "the pod's name ends with it",
	"hostname":    "the name is url.URL.Hostname's",
	"tolerations": "the pod gets one, as in the kubelet",
}

// given are values of fields that not every value will do for.
var given = map[string]any{
	"workingDir": "/", "hostNetwork": true, "os": &corev1.PodOS{Name: corev1.Linux},
	"lifecycle": &corev1.Lifecycle{}, "containers": nil, "initContainers": nil, "name": nil, "command": nil, // the pod of the test has those that do
}

func checkField(t *testing.T, of func(*runtime.Pod) any, name, verdict, want string, read map[string]int) {
	t.Helper()
	pod := wholePod()
	value := reflect.ValueOf(of(pod)).Elem()
	i := fieldIndex(value.Type(), name)
	if i < 0 {
		t.Errorf("%s: %s has no field %s", fieldsPage, value.Type(), name)
		return
	}
	switch v, special := given[name]; {
	case special && v != nil:
		value.Field(i).Set(reflect.ValueOf(v))
	case !special:
		fill(value.Field(i), want != "`false`")
	}
	err := RefuseAnywhere(pod)
	if refused := verdict == "refused"; refused != (err != nil) {
		t.Errorf("%s says that %s is %q, and Refuse says: %v", fieldsPage, name, verdict, err)
	}
	switch is := read[value.Type().Field(i).Name]; {
	case verdict == "no effect" && is == acted && lookedAt[name] == "":
		t.Errorf("%s says that %s has no effect, and the code looks at it", fieldsPage, name)
	case (verdict == "done" || verdict == "root") && is == 0:
		t.Errorf("%s says that %s is done, and nothing looks at it", fieldsPage, name)
	}
}

// wholePod is a pod that Refuse takes.
func wholePod() *runtime.Pod {
	no := false
	pod := &corev1.Pod{Spec: corev1.PodSpec{HostNetwork: true, SecurityContext: &corev1.PodSecurityContext{}, Containers: []corev1.Container{{
		Name: "c", Command: []string{"/bin/true"}, SecurityContext: &corev1.SecurityContext{Privileged: &no},
	}}}}
	pod.Name, pod.Namespace, pod.UID = "p", "default", "u"
	return &runtime.Pod{Pod: pod}
}

// fill gives a value to a field and what is below it; a list gets one element, a map stays empty.
func fill(v reflect.Value, yes bool) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), yes)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), yes)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(yes)
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	}
}

// What the source does with a field, at most.
const (
	judged = 1 // it refuses, validates or defaults the field
	acted  = 2
)

// fieldsRead are the names of the fields that the source in some directories selects.
func fieldsRead(t *testing.T, dirs ...string) map[string]int {
	t.Helper()
	judges := regexp.MustCompile(`^(?:validate\w*|refuse|defaults|references)\.go$`)
	read := map[string]int{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no source in %s: %v", dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			does := acted
			if judges.MatchString(filepath.Base(name)) {
				does = judged
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					read[s.Sel.Name] = max(read[s.Sel.Name], does)
				}
				return true
			})
		}
	}
	return read
}

func fieldIndex(of reflect.Type, name string) int {
	for i := range of.NumField() {
		if jsonName(of.Field(i)) == name {
			return i
		}
	}
	return -1
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func readPage(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(fieldsPage)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
