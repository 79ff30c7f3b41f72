package largest

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/manifests/config/strictyaml"
)

// They are valid, and a field that is added to the documents is missed here.
func TestLargest(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, Most} {
		d := parse(t, n)
		cfg, errs := d.ApplyInit(config.Default("/root-dir"))
		for _, err := range append(errs, cfg.Complete(config.HostFacts{Hostname: "node-1"}).Validate()...) {
			t.Error(err)
		}
		for name, document := range map[string]any{"init": *d.Init, "cluster": *d.Cluster, "supervisor": *d.Supervisor} {
			for _, path := range unset(name, reflect.ValueOf(document)) {
				switch path {
				case "cluster.Etcd.External": // excludes local, which has a manifest
				case "init.NodeRegistration.Taints.TimeAdded": // the API server's
				default:
					t.Errorf("%s is not set", path)
				}
			}
		}
	}
}

func parse(t *testing.T, n int) *config.Documents {
	t.Helper()
	file, err := Write(t.TempDir(), n)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n == Most && len(data) < strictyaml.MaxSize*95/100 {
		t.Errorf("the largest has %d bytes, and may have %d", len(data), strictyaml.MaxSize)
	}
	d, errs := config.Parse(filepath.Base(file), data)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return d
}

// unset are the fields that are zero, in a list those that are so in every item. What
// an environment variable can come from is a choice of one.
func unset(path string, v reflect.Value) (paths []string) {
	if !v.IsValid() || v.IsZero() {
		return []string{path}
	}
	switch {
	case v.Type() == reflect.TypeFor[corev1.EnvVarSource](), v.Kind() != reflect.Struct && v.Kind() != reflect.Pointer &&
		v.Kind() != reflect.Slice:
		return nil
	case v.Kind() == reflect.Pointer:
		return unset(path, v.Elem())
	case v.Kind() == reflect.Slice:
		missing := map[string]int{}
		for i := range v.Len() {
			for _, p := range unset(path, v.Index(i)) {
				missing[p]++
			}
		}
		for p, n := range missing {
			if n == v.Len() {
				paths = append(paths, p)
			}
		}
		return paths
	}
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			name := path
			if !f.Anonymous {
				name += "." + f.Name
			}
			paths = append(paths, unset(name, v.Field(i))...)
		}
	}
	return paths
}
