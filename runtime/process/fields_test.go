package process

import (
	"os"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// The reference says of every field what becomes of it, also of those that a later Kubernetes adds.
func TestEveryFieldIsDocumented(t *testing.T) {
	t.Parallel()
	const page = "../../docs/reference/pod-fields.md"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{corev1.PodSpec{}, corev1.PodSecurityContext{}, corev1.Container{}, corev1.SecurityContext{}, corev1.VolumeMount{}} {
		for i := range reflect.TypeOf(v).NumField() {
			name, _, _ := strings.Cut(reflect.TypeOf(v).Field(i).Tag.Get("json"), ",")
			if !strings.Contains(string(data), "`"+name+"`") && name != "name" {
				t.Errorf("%s says nothing of %T.%s", page, v, name)
			}
		}
	}
}
