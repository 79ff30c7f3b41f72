package evidence

import (
	"cmp"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/phases/pki"
)

// command is what a manifest says of a container.
type command struct {
	program string // the base name of the first word
	flags   map[string]string
	runAs   *int64
	file    string
}

// readCommand reads the manifest as it is now; name is "" for the first container. A
// manifest that is no file, or has become malformed, gives an empty command.
func readCommand(source, name string) command {
	var pod corev1.Pod
	if yaml.Unmarshal(readManifest(source), &pod) != nil {
		return command{}
	}
	for _, c := range append(pod.Spec.Containers, pod.Spec.InitContainers...) {
		words := append(c.Command, c.Args...)
		if name != "" && c.Name != name || len(words) == 0 {
			continue
		}
		cmd := command{program: filepath.Base(words[0]), flags: flags(words[1:]), file: source}
		if sc := pod.Spec.SecurityContext; sc != nil {
			cmd.runAs = sc.RunAsUser
		}
		if sc := c.SecurityContext; sc != nil && sc.RunAsUser != nil {
			cmd.runAs = sc.RunAsUser
		}
		return cmd
	}
	return command{}
}

// readManifest returns the bytes of a manifest, none if it is no file or cannot be read.
func readManifest(source string) []byte {
	const most = 10 << 20 // as runtime/source
	info, err := os.Stat(source)
	if err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return nil
	}
	data, err := os.ReadFile(source)
	if err != nil {
		return nil
	}
	return data
}

// isClientOf says whether a component's flags lead to the other one: the API server to etcd, the others to the API server.
func (c command) isClientOf(server command) bool {
	switch {
	case c.program == "kube-apiserver" && server.program == "etcd":
		return overlap(c.flags["etcd-servers"], server.flags["listen-client-urls"]+","+server.flags["advertise-client-urls"])
	case server.program == "kube-apiserver" && c.program != "etcd":
		data, err := os.ReadFile(c.flags["kubeconfig"])
		if err != nil {
			return false
		}
		credentials, err := pki.CredentialsOf(c.flags["kubeconfig"], data)
		u, err2 := url.Parse(credentials.Server)
		return err == nil && err2 == nil && u.Port() == cmp.Or(server.flags["secure-port"], "6443")
	default:
		return false
	}
}

// overlap says whether two lists of URLs have one in common.
func overlap(a, b string) bool {
	all := strings.Split(b, ",")
	return slices.ContainsFunc(strings.Split(a, ","), func(s string) bool { return s != "" && slices.Contains(all, s) })
}

// flags reads "--name=value", "--name value" and "--name".
func flags(words []string) map[string]string {
	all := map[string]string{}
	for i, word := range words {
		name, isFlag := strings.CutPrefix(word, "-")
		if !isFlag {
			continue
		}
		name, value, has := strings.Cut(strings.TrimPrefix(name, "-"), "=")
		if !has && i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
			value = words[i+1]
		}
		all[name] = value
	}
	return all
}
