package manifests

import (
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	strictjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/templates"
)

// pod is the data of a template.
type pod struct {
	Name            string // of the pod, its container and its program; NAME.yaml.tmpl is the template
	Image           string
	Address         string   // kubeadm finds etcd members and API servers by the annotation that has it
	StopBefore      string   // "", or the pod that stops after this one
	Command         []string // the program's name and its arguments
	Env             []corev1.EnvVar
	Port            int32  // where it answers probes
	ProbeHost       string // "" is the pod's IP
	ProbeScheme     string // etcd's alone: "HTTP" or "HTTPS"; the others have HTTPS
	StartupFailures int    // of the startup probe, ten seconds each
	VolumeMounts    []corev1.VolumeMount
	Volumes         []corev1.Volume // sorted by name
	Users           *Users          // nil: it runs as root
}

// render fills in the template and decodes the result strictly. So a mistake in a template is an error
// here, and not a pod that never starts. The file has the bytes that kubeadm would write for the pod.
func (p pod) render() (File, error) {
	name := p.Name + ".yaml"
	refuse := func(err error) (File, error) {
		return File{}, fmt.Errorf("cannot render the manifest of %s: %w", p.Name, err)
	}
	text, err := templates.Execute(name, p)
	if err != nil {
		return refuse(err)
	}
	decoded, err := decode(text)
	if err != nil {
		return refuse(err)
	}
	if decoded.Name != p.Name || len(decoded.Spec.Containers) != 1 || !slices.Equal(decoded.Spec.Containers[0].Command, p.Command) {
		return refuse(errors.New("the template's name or command is not the pod's"))
	}
	data, err := encode(decoded)
	if err != nil {
		return refuse(err)
	}
	return File{Name: name, Data: data, Pod: decoded}, nil
}

// decode reads a Pod from YAML, strictly.
func decode(text []byte) (*corev1.Pod, error) {
	object, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	return decodeObject(object)
}

// decodeObject reads a Pod from JSON, strictly. sigs.k8s.io/yaml alone would decode true into a string.
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

// encode returns the YAML that sigs.k8s.io/yaml, kubeadm's library, writes for a pod. Its own Marshal
// parses JSON as YAML, which changes some texts: templates.JSON avoids that.
func encode(p *corev1.Pod) ([]byte, error) {
	object, err := templates.JSON(p)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(object)
}

// startupFailures is how often the startup probe may fail: for as long as init waits for a component.
func startupFailures(cfg config.Config) int {
	const period = 10 * time.Second
	return int((cfg.Timeouts.ControlPlaneComponentHealthCheck + period - 1) / period)
}

// boundTo is the host to probe of a component that listens on the loopback
// address unless an extra argument says otherwise.
func boundTo(extra []config.Arg) string {
	if address, ok := config.ArgValue(extra, "bind-address"); ok {
		return probeHost(address)
	}
	return "127.0.0.1"
}

// probeHost is "", the pod's own IP, for an address that stands for all (kubernetes/kubernetes#86504).
func probeHost(address string) string {
	if address == "0.0.0.0" || address == "::" {
		return ""
	}
	return address
}
