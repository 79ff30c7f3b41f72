package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/kubecrank/kubecrank/cmd/expiry"
	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/printable"
	"github.com/kubecrank/kubecrank/runtime"
)

// statusOptions is what status runs on.
type statusOptions struct {
	pod    string // only this one; "" for all
	format string
	watch  bool
	events bool
}

func statusVerb(a *app) verb {
	var opts statusOptions
	return verb{
		use:   "status [POD]",
		short: "Show the static pods that the supervisor runs",
		group: groupOperate,
		long: `Show the static pods that the supervisor runs, and what is wrong with them; with the
name of a pod (or name_namespace), all that is known of it, with its events.

The exit code is 0 when all are ready, 4 when one is not, and 1 when no supervisor
is running. With --events it is 0, and without a supervisor they are read from disk.`,
		example: `  kubecrank status
  kubecrank status --watch
  kubecrank status etcd
  kubecrank status --events
  kubecrank status -o json | jq -r '.pods[] | select(.ready | not) | .name'`,
		args:     atMostOneArg("POD"),
		complete: a.completePods,
		formats:  []string{"table", "json", "yaml"},
		flags: func(flags *pflag.FlagSet) {
			flags.BoolVarP(&opts.watch, "watch", "w", false,
				"Go on and show every change, until Ctrl-C. A terminal is redrawn; JSON is one object per line.")
			flags.BoolVar(&opts.events, "events", false, "What happened, instead of what is.")
		},
		run: func(ctx context.Context, c call) error {
			opts.format = c.format
			if len(c.args) > 0 {
				opts.pod = c.args[0]
			}
			return a.runStatus(ctx, opts)
		},
	}
}

func (a *app) runStatus(ctx context.Context, opts statusOptions) error {
	client := a.client()
	if opts.events {
		return a.showEvents(ctx, client, opts)
	}
	if opts.watch {
		return a.watchStatus(ctx, client, opts)
	}
	st, err := client.Status(ctx)
	if err != nil {
		return a.explainNotRunning(err)
	}
	if opts.pod != "" {
		return a.describePod(ctx, client, st, opts)
	}
	if err := printStatus(a.stdio.Out, a.examine(st), opts.format, time.Now()); err != nil {
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
		return hint.With(fmt.Errorf("cannot ask the supervisor: %s is not for this user", socket),
			"run it as the user who ran kubecrank init, or with sudo")
	case !errors.Is(err, runtime.ErrNotRunning):
		return err
	}
	return hint.With(err, a.howToSupervise())
}

// howToSupervise says how the supervisor of this root is started again. Without the flags that it had, it would stop
// the pods of the sources that those name; only of the one that init has left running is it known that there were none.
func (a *app) howToSupervise() string {
	paths, root := config.PathsBelow(a.global.root), a.rootFlag()
	history, err := journal.Load(a.global.root, paths)
	_, started := history.Claim(resource.Resource{Kind: resource.Process, Key: paths.Socket})
	if started || err != nil { // a journal that cannot be read is init's, too
		return "kubecrank supervise" + root + " starts it again, and so does kubecrank init" + root + " with the flags that it had"
	}
	return "kubecrank init" + root + " makes a control plane here; a supervisor of other pods is started again with the flags " +
		"that it had (--pod-manifest-path, --manifest-url)"
}

// rootFlag is what a command line needs to mean this control plane.
func (a *app) rootFlag() string {
	if a.global.root == "" {
		return ""
	}
	return " --root " + a.global.root
}

func printStatus(w io.Writer, st examined, format string, now time.Time) error {
	switch format {
	case "json":
		return writeJSON(w, st)
	case "yaml":
		return writeYAML(w, st)
	}
	w = printable.NewWriter(w) // names and messages are of others
	if err := printTable(w, st.Status, now); err != nil {
		return err
	}
	printTrouble(w, st)
	expiry.Print(w, st.certificates)
	return nil
}

// printTable writes the pods as kubectl would.
func printTable(w io.Writer, st runtime.Status, now time.Time) error {
	if len(st.Pods) == 0 {
		_, err := fmt.Fprintln(w, "No static pods.")
		return err
	}
	namespaces, messages := severalNamespaces(st.Pods), hasMessage(st.Pods)
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	if namespaces {
		fmt.Fprint(t, "NAMESPACE\t")
	}
	fmt.Fprint(t, "POD\tREADY\tSTATE\tRESTARTS\tPID\tAGE")
	if messages {
		fmt.Fprint(t, "\tMESSAGE")
	}
	fmt.Fprintln(t)
	for _, p := range st.Pods {
		if namespaces {
			fmt.Fprintf(t, "%s\t", p.Namespace)
		}
		fmt.Fprint(t, strings.Join(columns(p, now), "\t"))
		if messages {
			fmt.Fprintf(t, "\t%s", p.Message)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// columns are what the table says of a pod, without its namespace and message.
func columns(p runtime.PodStatus, now time.Time) []string {
	pid, age := "-", "-"
	if p.PID != 0 {
		pid = strconv.Itoa(p.PID)
	}
	if p.StartedAt != nil {
		age = duration.HumanDuration(max(0, now.Sub(*p.StartedAt)))
	}
	return []string{p.Name, readyColumn(p), string(p.State), strconv.Itoa(p.Restarts), pid, age}
}

func hasMessage(pods []runtime.PodStatus) bool {
	return slices.ContainsFunc(pods, func(p runtime.PodStatus) bool { return p.Message != "" })
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

// withoutHint takes the supervisor's hint off an error that a diagnosis is about: that has its own.
func withoutHint(text string, diagnoses []containerDiagnosis) string {
	for _, d := range diagnoses {
		if d.Line != "" && strings.Contains(text, d.Line) {
			var hint string
			text, hint, _ = strings.Cut(text, "\nhint: ")
			if at := strings.Index(hint, "; before that, "); at >= 0 {
				text += hint[at:]
			}
		}
	}
	return text
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
func printTrouble(w io.Writer, st examined) {
	var lines []string
	for i, p := range st.Pods {
		var told []string
		for _, d := range st.diagnoses[i] {
			told = append(told, fmt.Sprintf("%s: %s\n    hint: %s", d.Certainty.Heading(), d.Explanation, d.Remedy))
		}
		if p.LastError != "" && !p.Ready {
			told = append(told, indented(gist(withoutHint(p.LastError, st.diagnoses[i])), "    "))
		}
		if len(told) > 0 {
			lines = append(lines, p.Name+": "+strings.Join(told, "\n    "))
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
