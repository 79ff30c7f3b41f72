package cli

import (
	"context"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubecrank/kubecrank/runtime"
)

func newLogs(a *app) *cobra.Command {
	var (
		req   = runtime.LogRequest{Tail: -1}
		since time.Duration
	)
	cmd := &cobra.Command{
		Use:     "logs COMPONENT",
		Short:   "Print the log of a component",
		GroupID: groupOperate,
		Long: `Print what a component, or a container of any other static pod, has written to
stdout and stderr.`,
		Example: `  # The whole log of the running kube-apiserver
  kubecrank logs kube-apiserver

  # Why did etcd exit the last time?
  kubecrank logs etcd --previous --tail 20

  # Follow the scheduler from now on
  kubecrank logs kube-scheduler -f --tail 0`,
		Args:              oneArg("COMPONENT"),
		ValidArgsFunction: a.completePods,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Pod = args[0]
			if since < 0 {
				return usage("cannot use --since %s: it is negative", since)
			}
			if since > 0 {
				req.Since = time.Now().Add(-since)
			}
			return a.runLogs(cmd.Context(), req)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&req.Container, "container", "c", "", "Container of the pod, if it has several.")
	flags.BoolVarP(&req.Follow, "follow", "f", false, "Go on with what is written from now on, until Ctrl-C.")
	flags.BoolVarP(&req.Previous, "previous", "p", false, "The log of the instance before the present one.")
	flags.IntVar(&req.Tail, "tail", -1, "Only the last `N` lines; -1 for all.")
	flags.DurationVar(&since, "since", 0, "Only what is newer than a duration, like 5s, 2m or 3h.")
	mustComplete(cmd, "tail", noFiles)
	mustComplete(cmd, "since", noFiles)
	mustComplete(cmd, "container", noFiles)
	return cmd
}

func (a *app) runLogs(ctx context.Context, req runtime.LogRequest) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := a.client().Logs(ctx, req, a.stdio.Out)
	if ctx.Err() != nil {
		return nil // Ctrl-C is how following ends
	}
	return a.explainNotRunning(err)
}

// completePods offers the names of the static pods, if a supervisor answers quickly.
func (a *app) completePods(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if err := a.load(cmd); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	st, err := a.client().Status(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, p := range st.Pods {
		names = append(names, cobra.CompletionWithDesc(p.Name, p.State))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
