package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/printable"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/logs"
)

func logsVerb(a *app) verb {
	var (
		req   = runtime.LogRequest{Tail: -1}
		since time.Duration
	)
	return verb{
		use:   "logs COMPONENT",
		short: "Print the log of a component",
		group: groupOperate,
		long: `Print what a component, or a container of any other static pod, has written to
stdout and stderr.`,
		example: `  # The whole log of the running kube-apiserver
  kubecrank logs kube-apiserver

  # Why did etcd exit the last time?
  kubecrank logs etcd --previous --tail 20

  # Follow the scheduler from now on
  kubecrank logs kube-scheduler -f --tail 0`,
		args:     oneArg("COMPONENT"),
		complete: a.completePods,
		flags: func(flags *pflag.FlagSet) {
			flags.StringVarP(&req.Container, "container", "c", "", "Container of the pod, if it has several.")
			flags.BoolVarP(&req.Follow, "follow", "f", false, "Go on with what is written from now on, until Ctrl-C.")
			flags.BoolVarP(&req.Previous, "previous", "p", false, "The log of the instance before the present one.")
			flags.IntVar(&req.Tail, "tail", -1, "Only the last `N` lines; -1 for all.")
			flags.DurationVar(&since, "since", 0, "Only what is newer than a duration, like 5s, 2m or 3h.")
		},
		run: func(ctx context.Context, c call) error {
			req.Pod = c.args[0]
			if since < 0 {
				return usage("cannot use --since %s: it is negative", since)
			}
			if since > 0 {
				req.Since = time.Now().Add(-since)
			}
			return a.runLogs(ctx, req)
		},
	}
}

func (a *app) runLogs(ctx context.Context, req runtime.LogRequest) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	out, flush := a.logOutput()
	defer flush()
	err := a.client().Logs(ctx, req, out)
	if errors.Is(err, runtime.ErrNotRunning) {
		err = a.readLogs(ctx, out, req, err)
	}
	if ctx.Err() != nil {
		return &exitError{code: ExitInterrupted} // it is how following ends, and needs no words
	}
	return a.explainNotRunning(err)
}

// logOutput is where a log goes. A terminal would obey the control characters in it, so it gets them escaped; a pipe or a
// file gets the log byte by byte.
func (a *app) logOutput() (out io.Writer, flush func()) {
	if !isTTY(a.stdio.Out) {
		return a.stdio.Out, func() {}
	}
	w := printable.NewWriter(a.stdio.Out)
	return w, func() { _ = w.Flush() } // an error of the output showed at a write
}

// readLogs reads the log from the files, when no supervisor runs that knows
// which they are: what a component wrote last is wanted just then. notRunning is
// the error when there are no such files.
func (a *app) readLogs(ctx context.Context, out io.Writer, req runtime.LogRequest, notRunning error) error {
	dir, err := findLogDir(config.PathsBelow(a.global.root).PodLogs, req.Pod, req.Container)
	if errors.Is(err, fs.ErrNotExist) {
		return notRunning
	}
	if err != nil {
		return fmt.Errorf("cannot get the log of %s: %w", req.Pod, err)
	}
	if !a.global.quiet {
		fmt.Fprintf(a.stdio.Err, "No supervisor is running; this is from %s.\n", dir)
	}
	return logs.Copy(ctx, out, dir, logs.Options{Previous: req.Previous, Follow: req.Follow, Tail: req.Tail, Since: req.Since})
}

// findLogDir finds a container's directory in the kubelet's layout,
// <namespace>_<pod>_<uid>/<container>. Of several UIDs of one pod it is the one
// that was written last. pod is the name with or without the node's suffix, or
// "name_namespace" as the supervisor takes it.
func findLogDir(podLogs, pod, container string) (string, error) {
	name, namespace, _ := strings.Cut(pod, "_")
	entries, err := os.ReadDir(podLogs)
	if err != nil {
		return "", err
	}
	newest := map[string]string{} // by full name
	times := map[string]time.Time{}
	for _, e := range entries {
		parts := strings.Split(e.Name(), "_")
		if len(parts) != 3 || namespace != "" && parts[0] != namespace || parts[1] != name && !strings.HasPrefix(parts[1], name+"-") {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // it has just gone
		}
		full := parts[1] + "_" + parts[0]
		if newest[full] == "" || info.ModTime().After(times[full]) {
			newest[full], times[full] = e.Name(), info.ModTime()
		}
	}
	fulls := slices.Sorted(maps.Keys(newest))
	switch {
	case len(fulls) == 0:
		return "", fs.ErrNotExist
	case len(fulls) > 1:
		return "", fmt.Errorf("there are logs of several such pods: %s", strings.Join(fulls, ", "))
	}
	dir := filepath.Join(podLogs, newest[fulls[0]])
	if container == "" {
		containers, err := os.ReadDir(dir)
		if err != nil || len(containers) == 0 {
			return "", errors.Join(err, fs.ErrNotExist)
		}
		container = containers[0].Name()
		if len(containers) > 1 {
			return "", errors.New("the pod has several containers: name one with --container")
		}
	}
	return filepath.Join(dir, filepath.Base(container)), nil
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
		names = append(names, cobra.CompletionWithDesc(p.Name, string(p.State)))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
