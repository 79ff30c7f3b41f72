package cli

import (
	"fmt"
	goruntime "runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
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
}

func newVersion(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of kubecrank and of the components inside it",
		GroupID: groupOther,
		Args:    noArgs,
		Example: `  kubecrank version
  kubecrank version -o json`,
		ValidArgsFunction: noFiles,
	}
	output := addOutput(cmd, cmd.Flags(), "text", "json", "yaml")
	cmd.RunE = func(*cobra.Command, []string) error { return a.runVersion(output.value) }
	return cmd
}

func (a *app) runVersion(format string) error {
	info := buildVersion()
	switch format {
	case "json":
		return writeJSON(a.stdio.Out, info)
	case "yaml":
		return writeYAML(a.stdio.Out, info)
	}
	fmt.Fprintf(a.stdio.Out, "kubecrank %s\n", info.Version)
	fmt.Fprintf(a.stdio.Out, "  commit:      %s\n", info.Commit)
	fmt.Fprintf(a.stdio.Out, "  go:          %s %s\n", info.GoVersion, info.Platform)
	return nil
}

// buildVersion reads what the go command stamped into this program.
func buildVersion() versionInfo {
	v := versionInfo{Version: "(devel)", GoVersion: goruntime.Version(), Platform: goruntime.GOOS + "/" + goruntime.GOARCH}
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
