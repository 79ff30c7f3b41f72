// Command kubecrank brings up a Kubernetes control plane on a bare machine.
package main

import (
	"context"
	"os"

	"github.com/kubecrank/kubecrank/cmd/cli"
)

func main() {
	os.Exit(int(cli.Main(context.Background(), os.Args[1:], cli.OSStdio())))
}
