package cli

import (
	"path/filepath"

	"github.com/kubecrank/kubecrank/runtime/flagcheck"
	"github.com/kubecrank/kubecrank/runtime/payload"
)

// knownFlags is what this program knows of the flags of its own components. It is empty in the lean build.
func knownFlags() (flagcheck.Set, error) {
	p, ok := payload.Embedded()
	if !ok {
		return nil, nil
	}
	data, err := p.About()
	if err != nil || len(data) == 0 {
		return nil, err
	}
	return flagcheck.Decode(data)
}

// flagNames returns a function that names the flags and feature gates of a component, for suggestions. It names none
// of components that are not known to be of the version that is known.
func (a *app) flagNames() func(component string) []string {
	return func(component string) []string {
		p, ok := payload.Embedded()
		if !ok {
			return nil
		}
		if dir := a.global.componentsDir; dir != "" {
			others := payload.Located{"kube-apiserver": filepath.Join(dir, "kube-apiserver")}
			if others.Version() != p.Version() {
				return nil
			}
		}
		known, err := knownFlags()
		if err != nil {
			return nil // there is no suggestion
		}
		return known.Names(component)
	}
}
