package payload

import (
	"debug/buildinfo"
	"strings"
)

// Version is the version of Kubernetes of the components, "v1.36.3", as far as the file of kube-apiserver
// tells it: "" if the Go command has not written it there. Nothing is started.
func (l Located) Version() string {
	info, err := buildinfo.ReadFile(l["kube-apiserver"])
	if err != nil {
		return "" // it is a script, say
	}
	for _, module := range append(info.Deps, &info.Main) {
		if module.Path != "k8s.io/kubernetes" {
			continue
		}
		if module.Replace != nil {
			module = module.Replace
		}
		version, _, _ := strings.Cut(module.Version, "+")                           // +dirty
		if strings.HasPrefix(version, "v1.") && !strings.Contains(version, "-0.") { // a pseudo-version names no release
			return version
		}
	}
	return ""
}
