package manifests

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// command is the program and its arguments: first the defaults, sorted by name,
// then the user's in the order given. A name that the user gives removes the
// default of that name (cmd/kubeadm/app/util/arguments.go, ArgumentsToCommand).
func command(name string, defaults, extra []config.Arg) []string {
	given := map[string]bool{}
	for _, a := range extra {
		given[a.Name] = true
	}
	slices.SortFunc(defaults, func(a, b config.Arg) int { return cmp.Compare(a.Name, b.Name) })
	out := []string{name}
	for _, a := range defaults {
		if !given[a.Name] {
			out = append(out, "--"+a.Name+"="+a.Value)
		}
	}
	for _, a := range extra {
		out = append(out, "--"+a.Name+"="+a.Value)
	}
	return out
}

// clientArgs are those of a client of the API server that has a kubeconfig.
func clientArgs(cfg config.Config, name string) []config.Arg {
	kubeconfig := cfg.Paths().Kubeconfig(name)
	return []config.Arg{
		arg("authentication-kubeconfig", kubeconfig),
		arg("authorization-kubeconfig", kubeconfig),
		arg("bind-address", "127.0.0.1"),
		arg("kubeconfig", kubeconfig),
		arg("leader-elect", "true"),
	}
}

func arg(name, value string) config.Arg { return config.Arg{Name: name, Value: value} }

func url(scheme, host string, port int) string {
	return scheme + "://" + config.JoinHostPort(host, port)
}

// envVars are sorted by name. If two have the same name, the later one counts.
func envVars(lists ...[]config.Env) []corev1.EnvVar {
	merged := map[string]corev1.EnvVar{}
	for _, e := range slices.Concat(lists...) {
		if from := e.ValueFrom; from != nil && from.FieldRef != nil && from.FieldRef.APIVersion == "" {
			e.ValueFrom = from.DeepCopy()
			e.ValueFrom.FieldRef.APIVersion = "v1" // kubeadm writes this default out
		}
		merged[e.Name] = corev1.EnvVar(e)
	}
	return slices.SortedFunc(maps.Values(merged), func(a, b corev1.EnvVar) int { return cmp.Compare(a.Name, b.Name) })
}
