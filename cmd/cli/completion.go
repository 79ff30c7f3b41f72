package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// mustComplete registers a flag's completion. It can only fail for a flag that
// the command does not have, which every run would show at once.
func mustComplete(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(fmt.Sprintf("completion of --%s: %v", flag, err))
	}
}

// noFiles completes with nothing: the shell must not offer file names.
func noFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func completeDirs(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// completeWords completes with words that are known beforehand.
func completeWords(words ...cobra.Completion) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

func registerGlobalCompletions(root *cobra.Command) {
	mustComplete(root, "root", completeDirs)
	mustComplete(root, "components-dir", completeDirs)
	mustComplete(root, "port-offset", noFiles)
	mustComplete(root, trustOwner, noFiles)
	mustComplete(root, "settings", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return []cobra.Completion{"yaml", "yml", "json", "toml"}, cobra.ShellCompDirectiveFilterFileExt
	})
}
