// Command gendocs writes the reference of the command line, one Markdown page
// per command, from the commands themselves (make docs):
//
//	gendocs docs/reference/cli
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/kubecrank/kubecrank/cmd/cli"
	"github.com/kubecrank/kubecrank/durable"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gendocs DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

// run replaces the pages in dir, so that the page of a command that is gone goes too.
func run(dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, "kubecrank*.md"))
	if err != nil {
		return err
	}
	for _, page := range old {
		if err := os.Remove(page); err != nil {
			return err
		}
	}
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := cli.NewRoot(cli.Stdio{In: strings.NewReader(""), Out: os.Stdout, Err: os.Stderr})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	plain(root)
	return doc.GenMarkdownTree(root, dir)
}

// plain leaves the date and cobra's advertisement off the pages, so that the same commands give the same bytes.
func plain(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	for _, sub := range cmd.Commands() {
		plain(sub)
	}
}
