package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/runtime"
)

// statusOptions is what status runs on.
type statusOptions struct {
	format string
	watch  bool
}

func newStatus(a *app) *cobra.Command {
	var opts statusOptions
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show the static pods that the supervisor runs",
		GroupID: groupOperate,
		Long: `Show the static pods that the supervisor runs, and what is wrong with them.

The exit code is 0 when all are ready, 4 when one is not, and 1 when no supervisor
is running.`,
		Example: `  kubecrank status
  kubecrank status --watch
  kubecrank status -o json | jq -r '.pods[] | select(.ready | not) | .name'`,
		Args:              noArgs,
		ValidArgsFunction: noFiles,
	}
	output := addOutput(cmd, cmd.Flags(), "table", "json", "yaml")
	cmd.Flags().BoolVarP(&opts.watch, "watch", "w", false, "Go on and show every change, until Ctrl-C.")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		opts.format = output.value
		return a.runStatus(cmd.Context(), opts)
	}
	return cmd
}

func (a *app) runStatus(ctx context.Context, opts statusOptions) error {
	client := a.client()
	if opts.watch {
		return a.watchStatus(ctx, client, opts.format)
	}
	st, err := client.Status(ctx)
	if err != nil {
		return a.explainNotRunning(err)
	}
	if err := printStatus(a.stdio.Out, st, opts.format, time.Now()); err != nil {
		return err
	}
	return readiness(st)
}

// readiness is the exit code of status.
func readiness(st runtime.Status) error {
	if !st.Ready {
		return &exitError{code: ExitUnhealthy}
	}
	return nil
}

// explainNotRunning adds what to do when no supervisor answers, or not to this user.
func (a *app) explainNotRunning(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		socket := config.PathsBelow(a.global.root).Socket
		return withHint(fmt.Errorf("cannot ask the supervisor: %s is not for this user", socket),
			"run it as the user who ran kubecrank init, or with sudo")
	case !errors.Is(err, runtime.ErrNotRunning):
		return err
	}
	root := a.rootFlag()
	return withHint(err, "kubecrank init"+root+" starts the control plane; kubecrank supervise"+root+" only the supervisor")
}

// rootFlag is what a command line needs to mean this control plane.
func (a *app) rootFlag() string {
	if a.global.root == "" {
		return ""
	}
	return " --root " + a.global.root
}

// statusPeriod is how often --watch asks.
const statusPeriod = 250 * time.Millisecond

// statusClient is what watching needs of a supervisor's client.
type statusClient interface {
	Status(ctx context.Context) (runtime.Status, error)
}

// watchStatus shows the status again whenever it changes: redrawn in place on a
// terminal, one after the other in a pipe.
func (a *app) watchStatus(ctx context.Context, client statusClient, format string) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	redraw := a.stdio.isTerminal(a.stdio.Out) && format == "table"
	var last runtime.Status
	var lastErr error
	lines := 0
	for first := true; ; first = false {
		st, err := client.Status(ctx)
		if ctx.Err() != nil {
			return watchResult(last, lastErr)
		}
		changed := first || !reflect.DeepEqual(st, last) || fmt.Sprint(err) != fmt.Sprint(lastErr)
		last, lastErr = st, err
		if changed || redraw {
			var b strings.Builder
			if err != nil {
				fmt.Fprintln(&b, err)
			} else if err := printStatus(&b, st, format, time.Now()); err != nil {
				return err
			}
			lines = a.show(b.String(), lines, redraw)
		}
		select {
		case <-ctx.Done():
			return watchResult(last, lastErr)
		case <-time.After(statusPeriod):
		}
	}
}

// show writes text over the lines that were written before, or after them.
func (a *app) show(text string, lines int, redraw bool) int {
	if redraw && lines > 0 {
		fmt.Fprintf(a.stdio.Out, "\x1b[%dA\x1b[J", lines)
	}
	fmt.Fprint(a.stdio.Out, text)
	return strings.Count(text, "\n")
}

func watchResult(st runtime.Status, err error) error {
	if err != nil {
		return err
	}
	return readiness(st)
}

func printStatus(w io.Writer, st runtime.Status, format string, now time.Time) error {
	switch format {
	case "json":
		return writeJSON(w, st)
	case "yaml":
		return writeYAML(w, st)
	}
	if err := printTable(w, st, now); err != nil {
		return err
	}
	printTrouble(w, st)
	return nil
}

// printTable writes the pods as kubectl would.
func printTable(w io.Writer, st runtime.Status, now time.Time) error {
	if len(st.Pods) == 0 {
		_, err := fmt.Fprintln(w, "No static pods.")
		return err
	}
	namespaces := severalNamespaces(st.Pods)
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	if namespaces {
		fmt.Fprint(t, "NAMESPACE\t")
	}
	fmt.Fprintln(t, "POD\tREADY\tSTATE\tRESTARTS\tPID\tAGE")
	for _, p := range st.Pods {
		if namespaces {
			fmt.Fprintf(t, "%s\t", p.Namespace)
		}
		pid, age := "-", "-"
		if p.PID != 0 {
			pid = fmt.Sprint(p.PID)
		}
		if p.StartedAt != nil {
			age = duration.HumanDuration(max(0, now.Sub(*p.StartedAt)))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", p.Name, readyColumn(p), p.State, p.Restarts, pid, age)
	}
	return t.Flush()
}

func severalNamespaces(pods []runtime.PodStatus) bool {
	for _, p := range pods {
		if p.Namespace != pods[0].Namespace {
			return true
		}
	}
	return false
}

// readyColumn counts the ready containers, as kubectl does: init containers are not counted.
func readyColumn(p runtime.PodStatus) string {
	ready, all := 0, 0
	for _, c := range p.Containers {
		if c.Init {
			continue
		}
		all++
		if c.Ready {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d", ready, all)
}

// gist cuts an error that carries log lines down to what fits a table: what
// happened, and the last lines. -o json has it whole.
func gist(text string) string {
	const most, width = 6, 240
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > most {
		lines = append(lines[:1:1], lines[len(lines)-most+1:]...)
	}
	for i, line := range lines {
		if r := []rune(line); len(r) > width {
			lines[i] = string(r[:width-1]) + "…"
		}
	}
	return strings.Join(lines, "\n")
}

// printTrouble writes below the table what is wrong.
func printTrouble(w io.Writer, st runtime.Status) {
	var lines []string
	for _, p := range st.Pods {
		if p.LastError != "" && !p.Ready {
			lines = append(lines, p.Name+": "+indented(gist(p.LastError), "    "))
		}
	}
	for _, p := range st.Problems {
		where := p.Source
		if p.Line > 0 {
			where = fmt.Sprintf("%s:%d", where, p.Line)
		}
		kind := ""
		if p.Warning {
			kind = "warning: "
		}
		lines = append(lines, where+": "+kind+indented(p.Message, "    "))
	}
	if len(lines) == 0 {
		return
	}
	fmt.Fprintln(w, "\nProblems:")
	for _, line := range lines {
		fmt.Fprintf(w, "  %s\n", line)
	}
}
