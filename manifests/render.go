package manifests

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	strictjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/templates"
)

// pod is what the templates are filled in from.
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

// values are what the templates may name.
func (p pod) values() map[string]any {
	v := map[string]any{
		"address":            p.Address,
		"stopBefore":         orNull(p.StopBefore),
		"command":            p.Command,
		"env":                envVars(p.Env),
		"image":              p.Image,
		"port":               p.Port,
		"probeHost":          orNull(p.ProbeHost),
		"probeScheme":        p.ProbeScheme,
		"startupFailures":    p.StartupFailures,
		"containerSecurity":  nil,
		"runAsGroup":         nil,
		"runAsUser":          nil,
		"supplementalGroups": nil,
		"volumeMounts":       volumeMounts(p.Mounts),
		"volumes":            volumes(p.Volumes),
	}
	if u := p.User; u != nil {
		v["containerSecurity"] = u.containerSecurity()
		v["runAsGroup"], v["runAsUser"], v["supplementalGroups"] = u.GID, u.UID, u.SupplementalGroups
	}
	return v
}

// texts are all values that come from the user.
func (p pod) texts() []string {
	texts := slices.Concat(p.Command, []string{p.Address, p.Image, p.ProbeHost})
	for _, e := range p.Env {
		texts = append(texts, e.Name, e.Value)
	}
	for _, m := range slices.Concat(p.Mounts, p.Volumes) {
		texts = append(texts, m.Name, m.HostPath, m.MountPath, m.PathType)
	}
	return texts
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (u *user) containerSecurity() *corev1.SecurityContext {
	drop := []corev1.Capability{"ALL"}
	if u.BindsLowPorts {
		return &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_BIND_SERVICE"}, Drop: drop}}
	}
	return &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: drop}}
}

func envVars(list []config.Env) []corev1.EnvVar {
	var out []corev1.EnvVar // nil if empty: the key is left out
	for _, e := range list {
		out = append(out, corev1.EnvVar{Name: e.Name, Value: e.Value, ValueFrom: e.ValueFrom})
	}
	return out
}

func volumeMounts(list []config.HostPathMount) []corev1.VolumeMount {
	var out []corev1.VolumeMount // nil if empty: the key is left out
	for _, m := range list {
		out = append(out, corev1.VolumeMount{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly})
	}
	return out
}

func volumes(list []config.HostPathMount) []corev1.Volume {
	var out []corev1.Volume // nil if empty: the key is left out
	for _, m := range list {
		source := &corev1.HostPathVolumeSource{Path: m.HostPath, Type: new(corev1.HostPathType(m.PathType))}
		out = append(out, corev1.Volume{Name: m.Name, VolumeSource: corev1.VolumeSource{HostPath: source}})
	}
	return out
}

// render fills in the template and decodes the result strictly: what the template got wrong is an
// error here and not a pod that never starts. The file is what kubeadm's marshaller makes of the pod.
func (p pod) render() (File, error) {
	refuse := func(err error) (File, error) {
		return File{}, fmt.Errorf("cannot render the manifest of %s: %w", p.Name, err)
	}
	if slices.ContainsFunc(p.texts(), func(s string) bool { return !utf8.ValidString(s) || strings.ContainsRune(s, 0) }) {
		return refuse(errors.New("a value holds a NUL or bytes that are no UTF-8"))
	}
	object, err := fill(p.Name+".yaml", p.values())
	if err != nil {
		return refuse(err)
	}
	decoded, err := decodeObject(object)
	if err != nil {
		return refuse(err)
	}
	if decoded.Name != p.Name || len(decoded.Spec.Containers) != 1 || !slices.Equal(decoded.Spec.Containers[0].Command, p.Command) {
		return refuse(errors.New("what was rendered is not what was asked for"))
	}
	data, err := yaml.Marshal(decoded)
	if err != nil {
		return refuse(fmt.Errorf("a value cannot be written as YAML: %w", err))
	}
	return File{Name: p.Name + ".yaml", Data: data, Pod: decoded}, nil
}

// fill returns the template as JSON, with the values in their places. A value that is not there is an error.
func fill(name string, values map[string]any) ([]byte, error) {
	text, err := templates.FS.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var object map[string]any
	if err := yaml.UnmarshalStrict(text, &object); err != nil {
		return nil, err
	}
	var errs []error
	replace(object, func(place string) any {
		value, known := values[place]
		if !known {
			errs = append(errs, fmt.Errorf("the template names ${%s}, for which there is no value", place))
		}
		return value
	})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return json.Marshal(object)
}

// replace puts value(name) where a scalar is ${name}, and takes the key out of its mapping when that is nil.
func replace(node any, value func(name string) any) {
	switch node := node.(type) {
	case map[string]any:
		for key, child := range node {
			name, is := placeName(child)
			if !is {
				replace(child, value)
			} else if v := value(name); v == nil {
				delete(node, key)
			} else {
				node[key] = v
			}
		}
	case []any:
		for _, child := range node {
			replace(child, value)
		}
	}
}

func placeName(node any) (string, bool) {
	s, _ := node.(string)
	inner, open := strings.CutPrefix(s, "${")
	name, closed := strings.CutSuffix(inner, "}")
	return name, open && closed
}

// decodeObject is strict: sigs.k8s.io/yaml alone would take true for a text.
func decodeObject(object []byte) (*corev1.Pod, error) {
	decoded := &corev1.Pod{}
	strict, err := strictjson.UnmarshalStrict(object, decoded)
	if err = errors.Join(append(strict, err)...); err != nil {
		return nil, err
	}
	if decoded.APIVersion != "v1" || decoded.Kind != "Pod" {
		return nil, fmt.Errorf("it is %s %s, not v1 Pod", decoded.APIVersion, decoded.Kind)
	}
	return decoded, nil
}
