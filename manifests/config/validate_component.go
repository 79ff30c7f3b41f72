package config

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// component checks the settings of a component. kubeadm checks only for arguments
// without a name; any other mistake ends in a crash loop.
func (k *checker) component(field string, c Component) {
	k.args(field+".extraArgs", c.ExtraArgs)
	k.envs(field+".extraEnvs", c.ExtraEnvs)
	k.volumes(field+".extraVolumes", c.ExtraVolumes)
}

func (k *checker) args(field string, args []Arg) {
	for i, a := range args {
		at := item(field, i)
		switch {
		case a.Name == "":
			k.bad(at, "="+a.Value, "the argument has no name", "Give each argument a name, which is the flag without its dashes.")
		case strings.HasPrefix(a.Name, "-"):
			k.bad(at, a.Name, "the name starts with a dash", "Write the flag's name without its dashes.")
		case strings.ContainsAny(a.Name, "= \t\r\n"):
			k.bad(at, a.Name, "the name has characters that a flag's name cannot have",
				"Write the flag's name and its value as name and value.")
		case a.Name == "help" || a.Name == "version" && !strings.HasPrefix(a.Value, "v"): // --version=v1.36.3 sets what is reported
			k.bad(at, a.Name, "with it the component prints a text and exits", "Take it out.")
		}
		k.text(at, a.Name+a.Value)
	}
}

func (k *checker) envs(field string, envs []Env) {
	for i, e := range envs {
		at := item(field, i)
		if problems := validation.IsRelaxedEnvVarName(e.Name); len(problems) > 0 {
			k.bad(at, e.Name, "it is not the name of an environment variable", "Choose a name without '=' and control characters.")
		}
		// The error does not show the value, which may be a secret.
		if strings.ContainsRune(e.Value, 0) || !utf8.ValidString(e.Value) {
			k.bad(at, e.Name, "its value contains NUL or invalid UTF-8", "Write it as plain UTF-8 text.")
		}
		if from := e.ValueFrom; from != nil {
			k.valueFrom(at, e, from)
		}
	}
}

// valueFrom refuses references to API objects. The kubelet and our supervisor
// refuse a static pod with such a reference (pkg/kubelet/config/common.go).
func (k *checker) valueFrom(at string, e Env, from *corev1.EnvVarSource) {
	switch {
	case e.Value != "":
		k.bad(at, e.Name, "it has both value and valueFrom", "Give one of them.")
	case from.ConfigMapKeyRef != nil || from.SecretKeyRef != nil || from.FileKeyRef != nil:
		k.bad(at, e.Name, "a static pod cannot refer to API objects or volumes for a value", "Give the value itself.")
	case (from.FieldRef == nil) == (from.ResourceFieldRef == nil):
		k.bad(at, e.Name, "its valueFrom is not exactly one of fieldRef and resourceFieldRef",
			"Give one of them, or a value.")
	}
}

func (k *checker) volumes(field string, volumes []HostPathMount) {
	mounted := map[string]int{}
	for i, v := range volumes {
		at := item(field, i)
		if problems := validation.IsDNS1123Label(v.Name); len(problems) > 0 {
			k.bad(at+".name", v.Name, "it is not a DNS label", "A volume's name is of lower case letters, digits and '-', at most 63.")
		}
		if !path.IsAbs(v.HostPath) || hasParent(v.HostPath) || strings.ContainsRune(v.HostPath, 0) || !utf8.ValidString(v.HostPath) {
			k.bad(at+".hostPath", v.HostPath, "it is not an absolute path without ..", "Give the whole path, from / on.")
		}
		if !path.IsAbs(v.MountPath) || strings.Contains(v.MountPath, ":") || strings.ContainsRune(v.MountPath, 0) ||
			!utf8.ValidString(v.MountPath) {
			k.bad(at+".mountPath", v.MountPath, "it is not an absolute path without a colon", "Give the whole path, from / on.")
		}
		if j, ok := mounted[v.MountPath]; ok && volumes[j].Name != v.Name {
			k.bad(at+".mountPath", v.MountPath, fmt.Sprintf("the volume %q is mounted there", volumes[j].Name),
				"Mount them at different paths.")
		}
		mounted[v.MountPath] = i
		if !slices.Contains(hostPathTypes(), v.PathType) {
			k.bad(at+".pathType", v.PathType, "there is no such type",
				"Give one of "+strings.Join(hostPathTypes()[1:], ", ")+", or none.")
		}
	}
}

func hostPathTypes() []string {
	types := []corev1.HostPathType{corev1.HostPathUnset, corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory,
		corev1.HostPathFileOrCreate, corev1.HostPathFile, corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev}
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return names
}

func hasParent(p string) bool { return slices.Contains(strings.Split(p, "/"), "..") }
