package cli

import (
	"context"
	"fmt"
	goruntime "runtime"
	"runtime/debug"
	"strings"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/runtime/payload"
)

// version is what the Makefile's git describe says. The linker sets it (-X), nothing else does.
var version string

// versionInfo is the answer to version -o json.
type versionInfo struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	Modified  bool   `json:"modified,omitempty"` // built from a tree with changes
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
	// Kubernetes is the version that init brings up unless told otherwise.
	Kubernetes string `json:"kubernetes"`
	// Components are the programs inside this one; nil in the lean build.
	Components *embeddedInfo `json:"components,omitempty"`
}

// embeddedInfo is the payload of this program.
type embeddedInfo struct {
	Version  string   `json:"version"`
	Digest   string   `json:"digest"` // SHA-256, the name of the staged directory
	Programs []string `json:"programs"`
}

func versionVerb(a *app) verb {
	return verb{
		use:   "version",
		short: "Print the version of kubecrank and of the components inside it",
		group: groupOther,
		example: `  kubecrank version
  kubecrank version -o json`,
		formats:  []string{"text", "json", "yaml"},
		nodeless: true,
		run:      func(_ context.Context, c call) error { return a.runVersion(c.format) },
	}
}

func (a *app) runVersion(format string) error {
	info := buildVersion()
	switch format {
	case "json":
		return writeJSON(a.stdio.Out, info)
	case "yaml":
		return writeYAML(a.stdio.Out, info)
	}
	w := a.stdio.Out
	fmt.Fprintf(w, "kubecrank %s (%s, %s)\n", info.Version, info.GoVersion, info.Platform)
	if c := info.Components; c != nil {
		fmt.Fprintf(w, "Kubernetes %s: %s\n", c.Version, strings.Join(c.Programs, ", "))
		fmt.Fprintf(w, "components sha256:%s\n", c.Digest)
	} else {
		fmt.Fprintf(w, "Kubernetes %s, from --components-dir or PATH: this build has no components inside\n", info.Kubernetes)
	}
	return nil
}

// buildVersion reads what the go command stamped into this program.
func buildVersion() versionInfo {
	v := versionInfo{
		Version:    "(devel)",
		GoVersion:  goruntime.Version(),
		Platform:   goruntime.GOOS + "/" + goruntime.GOARCH,
		Kubernetes: config.DefaultKubernetesVersion,
	}
	if p, ok := payload.Embedded(); ok {
		v.Components = &embeddedInfo{Version: p.Version(), Digest: p.Digest(), Programs: p.Components()}
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if v.Version = info.Main.Version; version != "" {
		v.Version = version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
