package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests/config"
)

func newKubectl(a *app) *cobra.Command {
	cmd := verb{
		use:   "kubectl [flags of kubectl]",
		short: "Run kubectl with the admin kubeconfig of this control plane",
		group: groupOperate,
		long: `Run the kubectl that belongs to this control plane's version, with its admin
kubeconfig, unless --kubeconfig says otherwise. Everything after "kubectl" goes to
kubectl, except --root, --settings, --components-dir and --trust-owner when they
come first.

The KUBECONFIG variable of your shell is not used.`,
		example: `  kubecrank kubectl get --raw='/readyz?verbose'
  kubecrank kubectl get namespaces
  kubecrank --root /tmp/demo kubectl apply -f deployment.yaml
  kubecrank kubectl --root /tmp/demo get pods --all-namespaces`,
		args:     cobra.ArbitraryArgs,
		complete: a.completeKubectl,
		run: func(_ context.Context, c call) error {
			_, rest := splitKubectlArgs(c.args)
			return a.runKubectl(rest)
		},
	}.command()
	cmd.DisableFlagParsing = true // they are kubectl's
	cmd.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		own, _ := splitKubectlArgs(args)
		if err := cmd.InheritedFlags().Parse(own); err != nil {
			return flagError(cmd, err)
		}
		return a.load(cmd)
	}
	return cmd
}

// splitKubectlArgs parts our own flags, which must come first, from kubectl's arguments.
func splitKubectlArgs(args []string) (own, rest []string) {
	for i := 0; i < len(args); i++ {
		name, _, hasValue := strings.Cut(strings.TrimPrefix(args[i], "--"), "=")
		if !strings.HasPrefix(args[i], "--") || !slices.Contains([]string{"root", "settings", "components-dir", trustOwner}, name) {
			return args[:i], args[i:]
		}
		if !hasValue {
			i++
		}
	}
	return args, nil
}

// runKubectl replaces this process by kubectl, so that its terminal, signals and exit code are kubectl's own.
func (a *app) runKubectl(args []string) error {
	binary, err := a.findComponent("kubectl")
	if err != nil {
		return err
	}
	env, err := a.kubectlEnv(args, talksToServer(args))
	if err != nil {
		return err
	}
	if err := syscall.Exec(binary, append([]string{"kubectl"}, args...), env); err != nil {
		return fmt.Errorf("cannot run %s: %w", binary, err)
	}
	return nil
}

// kubectlEnv is our environment with this control plane's kubeconfig and a
// cache below its own state directory. When the kubeconfig is needed and
// cannot be read, it is an error here, because kubectl would only say that
// it cannot connect to localhost:8080.
func (a *app) kubectlEnv(args []string, needed bool) ([]string, error) {
	paths := config.PathsBelow(a.global.root)
	env := a.stdio.Env
	if a.stdio.getenv("KUBECACHEDIR") == "" {
		env = append(slices.Clip(env), "KUBECACHEDIR="+filepath.Join(paths.State, "kubectl-cache"))
	}
	if hasFlag(args, "--kubeconfig") {
		return env, nil
	}
	kubeconfig := filepath.Join(paths.Kubernetes, "admin.conf")
	if err := a.owners().Check(kubeconfig); err != nil { // it can name a program that kubectl runs to log in
		return nil, err
	}
	f, err := os.Open(kubeconfig)
	switch {
	case err == nil:
		f.Close()
	case !needed:
	case errors.Is(err, fs.ErrNotExist):
		err := fmt.Errorf("cannot run kubectl: there is no control plane here: %s does not exist", kubeconfig)
		return nil, hint.With(err, a.notHereHint())
	default:
		return nil, hint.With(fmt.Errorf("cannot run kubectl: %w", err), asOwner)
	}
	env = slices.DeleteFunc(slices.Clone(env), func(e string) bool { return strings.HasPrefix(e, "KUBECONFIG=") })
	return append(env, "KUBECONFIG="+kubeconfig), nil
}

// hasFlag tells whether a flag is among the arguments, as --flag or --flag=value.
func hasFlag(args []string, flag string) bool {
	for _, arg := range args {
		if arg == "--" {
			return false
		}
		if arg == flag || strings.HasPrefix(arg, flag+"=") {
			return true
		}
	}
	return false
}

// talksToServer is false for the commands of kubectl that work without any cluster.
func talksToServer(args []string) bool {
	switch {
	case len(args) == 0, hasFlag(args, "--help"), hasFlag(args, "-h"):
		return false
	case args[0] == "version":
		return !hasFlag(args, "--client")
	}
	return !slices.Contains([]string{"completion", "help", "kustomize", "options"}, args[0])
}

// notHereHint says how there would be a control plane.
func (a *app) notHereHint() string {
	if a.global.root == "" {
		return "run kubecrank init first, or say where it is with --root DIR"
	}
	return "run kubecrank init --root " + a.global.root + " first"
}

// completeKubectl asks kubectl itself.
func (a *app) completeKubectl(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	own, rest := splitKubectlArgs(args)
	if err := cmd.InheritedFlags().Parse(own); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	if err := a.load(cmd); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	binary, err := a.findComponent("kubectl")
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	env, err := a.kubectlEnv(rest, false)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return askKubectl(cmd.Context(), binary, env, append(rest, toComplete))
}

// askKubectl runs cobra's own completion protocol with another cobra program:
// candidates, one per line, and a last line ":N" with the directive.
func askKubectl(ctx context.Context, binary string, env, args []string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c := exec.CommandContext(ctx, binary)
	c.Args = append([]string{"kubectl", "__complete"}, args...)
	c.Env = env
	out, err := c.Output()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	last := lines[len(lines)-1]
	directive, err := strconv.Atoi(strings.TrimPrefix(last, ":"))
	if err != nil || !strings.HasPrefix(last, ":") {
		return nil, cobra.ShellCompDirectiveError
	}
	return lines[:len(lines)-1], cobra.ShellCompDirective(directive)
}
