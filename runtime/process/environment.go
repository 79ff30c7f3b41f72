package process

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime/expand"
)

// variables is an environment: in order, and each name once.
type variables struct {
	names    []string
	values   map[string]string
	declared map[string]string // by the manifest: what $(NAME) may refer to
}

func (v *variables) set(name, value string) {
	if _, known := v.values[name]; !known {
		v.names = append(v.names, name)
	}
	v.values[name] = value
}

func (v *variables) list() []string {
	list := make([]string, 0, len(v.names))
	for _, name := range v.names {
		list = append(list, name+"="+v.values[name])
	}
	return list
}

// environment is all that a container finds in its environment, but for our marker: PATH and what its
// manifest says, in that order; a value may refer to those before it (pkg/kubelet/kubelet_pods.go:
// makeEnvironmentVariables). Nothing of the supervisor's own environment is in it.
func environment(pod *corev1.Pod, c *corev1.Container, hostIP string) (*variables, error) {
	vars := &variables{values: make(map[string]string), declared: make(map[string]string)}
	vars.set("PATH", defaultPath)
	var sum expand.Sum
	for i, e := range c.Env {
		field := fmt.Sprintf("env[%d].value (%s)", i, e.Name)
		value, err := expand.Expand(e.Value, vars.declared)
		if err != nil {
			return nil, expand.Named(field, err)
		}
		if e.Value == "" && e.ValueFrom != nil {
			if value, err = fieldValue(pod, e.ValueFrom, hostIP); err != nil {
				return nil, fmt.Errorf("cannot set environment variable %s: %w", e.Name, err)
			}
		}
		if strings.ContainsRune(value, 0) || strings.ContainsAny(e.Name, "=\x00") || e.Name == "" {
			return nil, fmt.Errorf("cannot set environment variable %q: a NUL byte or a '=' where none can be", e.Name)
		}
		if err := sum.Add(e.Name + "=" + value); err != nil {
			return nil, expand.Named(field, err)
		}
		vars.declared[e.Name] = value
		if e.Name != markerVar {
			vars.set(e.Name, value)
		}
	}
	return vars, nil
}

// fieldValue resolves a reference to the pod itself (pkg/fieldpath). Everything else that a value can come from is
// an API object, or a resource limit, which Refuse does not let pass.
func fieldValue(pod *corev1.Pod, from *corev1.EnvVarSource, hostIP string) (string, error) {
	if from.FieldRef == nil {
		return "", fmt.Errorf("only fieldRef is possible here")
	}
	path := from.FieldRef.FieldPath
	for prefix, values := range map[string]map[string]string{"metadata.labels": pod.Labels, "metadata.annotations": pod.Annotations} {
		if key, ok := strings.CutPrefix(path, prefix+"['"); ok && strings.HasSuffix(key, "']") {
			return values[strings.TrimSuffix(key, "']")], nil
		}
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs": // the same: the network is the host's
		if hostIP == "" {
			return "", fmt.Errorf("the address of this machine for %s is not known", path)
		}
		return hostIP, nil
	}
	return "", fmt.Errorf("field %q is not supported", path)
}
