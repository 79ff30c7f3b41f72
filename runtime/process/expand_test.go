package process

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Thirty variables that double each other would be 30 GB. A container that refers to them is refused at once, with the
// name of the field, wherever the reference stands.
func TestExpansionIsBounded(t *testing.T) {
	rt := newRuntime(t)
	doubling := []corev1.EnvVar{{Name: "V0", Value: strings.Repeat("x", 32)}}
	for i := range 30 {
		doubling = append(doubling, corev1.EnvVar{Name: fmt.Sprintf("V%d", i+1), Value: fmt.Sprintf("$(V%d)$(V%d)", i, i)})
	}
	many := doubling[:12:12] // V11 has 64 KiB
	for i := range 200 {
		many = append(many, corev1.EnvVar{Name: fmt.Sprintf("W%d", i), Value: "$(V11)"})
	}
	for name, tt := range map[string]struct {
		env    []corev1.EnvVar
		change func(c *corev1.Container)
		field  string
	}{
		"chain": {env: doubling, field: "env[12].value (V12): "},
		"many":  {env: many, field: "env[1"},
		"args":  {env: doubling[:12], change: func(c *corev1.Container) { c.Args = []string{"a", "$(V11)$(V11)"} }, field: "args[1]: "},
		"subPathExpr": {env: doubling[:12], field: "subPathExpr: ", change: func(c *corev1.Container) {
			c.VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v", SubPathExpr: "$(V11)$(V11)"}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := testPod("expand", "true")
			c := &pod.Spec.Containers[0]
			c.Env = tt.env
			if tt.change != nil {
				tt.change(c)
			}
			_, err := rt.prepare(pod, c)
			if err == nil || !strings.Contains(err.Error(), tt.field) || !strings.Contains(err.Error(), "can be started with") {
				t.Errorf("%v, want %q in it", err, tt.field)
			}
		})
	}
}
