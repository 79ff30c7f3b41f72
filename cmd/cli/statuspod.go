package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/printable"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/supervisor"
)

// podDetails is what status POD -o json prints.
type podDetails struct {
	runtime.PodStatus `json:",inline"`
	Diagnosis         []containerDiagnosis `json:"diagnosis,omitempty"`
	Events            []runtime.Event      `json:"events"`
}

// isNamed says whether a name on the command line means this pod.
func isNamed(p runtime.PodStatus, name string) bool {
	return p.Name == name || p.Name+"_"+p.Namespace == name
}

// ofPod says whether an event is of the pod that is asked for.
func ofPod(e runtime.Event, name string) bool {
	return name == "" || e.Pod == name || e.Pod != "" && e.Pod+"_"+e.Namespace == name
}

// describePod shows all that is known of one pod, as kubectl describe would.
func (a *app) describePod(ctx context.Context, client *supervisor.Client, st runtime.Status, opts statusOptions) error {
	var found []runtime.PodStatus
	var names []string
	for _, p := range st.Pods {
		names = append(names, p.Name)
		if isNamed(p, opts.pod) {
			found = append(found, p)
		}
	}
	switch {
	case len(found) > 1:
		return hint.With(fmt.Errorf("there are several static pods %q", opts.pod),
			"use one of their full names, like "+found[0].Name+"_"+found[0].Namespace)
	case len(found) == 0:
		return hint.With(fmt.Errorf("there is no static pod %q", opts.pod), didYouMean(opts.pod, names, ""))
	}
	details := podDetails{PodStatus: found[0], Diagnosis: a.examine(st).of(found[0]), Events: []runtime.Event{}}
	err := client.Events(ctx, false, func(e runtime.Event) {
		if e.Pod == found[0].Name && e.Namespace == found[0].Namespace {
			details.Events = append(details.Events, e)
		}
	})
	if err != nil {
		return err
	}
	switch opts.format {
	case "json":
		err = writeJSON(a.stdio.Out, details)
	case "yaml":
		err = writeYAML(a.stdio.Out, details)
	default:
		err = printPod(a.stdio.Out, details, st.Supervisor.StartedAt, time.Now())
	}
	if err != nil {
		return err
	}
	if !details.Ready {
		return &exitError{code: ExitUnhealthy}
	}
	return nil
}

// printPod writes what is known of a pod. began is when the supervisor's offsets count from.
func printPod(w io.Writer, p podDetails, began, now time.Time) error {
	w = printable.NewWriter(w) // names, messages and probes are of others
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	field := func(indent, name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s%s:\t%s\n", indent, name, strings.ReplaceAll(value, "\n", "\n"+indent+"\t"))
		}
	}
	field("", "Pod", p.Name)
	field("", "Namespace", p.Namespace)
	field("", "UID", p.UID)
	field("", "Source", p.Source)
	state := string(p.State)
	if p.Ready && p.ReadyAt != nil {
		state += ", ready" + since(p.ReadyAt, now)
	} else if !p.Ready {
		state += ", not ready"
	}
	field("", "State", state)
	field("", "Restarts", fmt.Sprint(p.Restarts))
	field("", "Message", p.Message)
	for _, d := range p.Diagnosis {
		heading := d.Certainty.Heading()
		field("", strings.ToUpper(heading[:1])+heading[1:], d.Explanation)
		field("", "Hint", d.Remedy)
	}
	field("", "Last error", gist(withoutHint(p.LastError, p.Diagnosis)))
	for _, c := range p.Containers {
		kind := "Container"
		if c.Init {
			kind = "Init container"
		}
		fmt.Fprintf(t, "%s %s:\n", kind, c.Name)
		field("  ", "Image", c.Image)
		field("  ", "State", containerState(c, now))
		field("  ", "Restarts", fmt.Sprint(c.RestartCount))
		field("  ", "Message", gist(withoutHint(c.Message, p.Diagnosis)))
		field("  ", "Last failed probe", c.LastProbe)
		field("  ", "Log", c.LogPath)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "Events:")
	if len(p.Events) == 0 {
		_, err := fmt.Fprintln(w, "  none")
		return err
	}
	return printEvents(w, "  ", p.Events, func(e runtime.Event) time.Time { return began.Add(e.Offset) }, now)
}

func containerState(c runtime.ContainerStatus, now time.Time) string {
	text := string(c.State)
	if c.Reason != "" {
		text += " (" + string(c.Reason) + ")"
	}
	switch {
	case c.State == runtime.ContainerRunning:
		ready := "ready"
		switch {
		case !c.Started:
			ready = "not started up"
		case !c.Ready:
			ready = "not ready"
		}
		text += fmt.Sprintf(", PID %d, %s%s", c.PID, ready, since(c.StartedAt, now))
	case c.Signal != "":
		text += ", ended by " + c.Signal + since(c.FinishedAt, now)
	case c.ExitCode != nil:
		text += fmt.Sprintf(", exit code %d%s", *c.ExitCode, since(c.FinishedAt, now))
	}
	return text
}

// since tells when something happened, as a part of a sentence.
func since(at *time.Time, now time.Time) string {
	if at == nil {
		return ""
	}
	return fmt.Sprintf(", since %s (%s)", at.Local().Format(time.DateTime), duration.HumanDuration(max(0, now.Sub(*at))))
}

// printEvents writes events as kubectl describe does. first tells when the first of a row was, if anybody knows.
func printEvents(w io.Writer, indent string, events []runtime.Event, first func(runtime.Event) time.Time, now time.Time) error {
	t := tabwriter.NewWriter(printable.NewWriter(w), 0, 8, 3, ' ', 0)
	fmt.Fprintln(t, indent+"AGE\tTYPE\tREASON\tOBJECT\tMESSAGE")
	for _, e := range events {
		age := duration.HumanDuration(max(0, now.Sub(e.Time)))
		if e.Count > 1 {
			age += fmt.Sprintf(" (x%d", e.Count)
			if first != nil {
				age += " over " + duration.HumanDuration(max(0, e.Time.Sub(first(e))))
			}
			age += ")"
		}
		fmt.Fprintf(t, "%s%s\t%s\t%s\t%s\t%s\n", indent, age, e.Type, e.Reason, object(e), firstOf(e.Message))
	}
	return t.Flush()
}

// object names what an event is about.
func object(e runtime.Event) string {
	switch {
	case e.Pod == "":
		return "supervisor"
	case e.Container == "" || e.Container == e.Pod:
		return e.Pod
	}
	return e.Pod + "/" + e.Container
}

// firstOf is the first line of a text: a table has no room for more.
func firstOf(text string) string {
	line, rest, _ := strings.Cut(text, "\n")
	if rest != "" {
		line += " …"
	}
	return line
}

// showEvents shows what happened to all pods, or to one of them.
func (a *app) showEvents(ctx context.Context, client *supervisor.Client, opts statusOptions) error {
	if opts.watch {
		return a.followEvents(ctx, client, opts)
	}
	events := []runtime.Event{}
	keep := func(e runtime.Event) {
		if ofPod(e, opts.pod) {
			events = append(events, e)
		}
	}
	err := client.Events(ctx, false, keep)
	if errors.Is(err, runtime.ErrNotRunning) {
		err = a.eventsOnDisk(err, keep)
		events = folded(events)
	}
	if err != nil {
		return a.explainNotRunning(err)
	}
	switch opts.format {
	case "json":
		return writeJSON(a.stdio.Out, events)
	case "yaml":
		return writeYAML(a.stdio.Out, events)
	}
	if len(events) == 0 {
		_, err := fmt.Fprintln(a.stdio.Out, "No events.")
		return err
	}
	return printEvents(a.stdio.Out, "", events, nil, time.Now())
}

// eventsOnDisk reads what the last supervisors have left; notRunning is the error if there is nothing.
func (a *app) eventsOnDisk(notRunning error, tell func(runtime.Event)) error {
	path := config.PathsBelow(a.global.root).Events
	events, bad, err := supervisor.ReadEvents(path)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return notRunning
	}
	a.tellBad(path, bad)
	if !a.global.quiet {
		fmt.Fprintf(a.stdio.Err, "No supervisor is running; this is from %s.\n", path)
	}
	for _, e := range events {
		tell(e)
	}
	return nil
}

// folded leaves of those that came in a row, one by one, the last, which has the count.
func folded(events []runtime.Event) []runtime.Event {
	type key struct {
		namespace, pod, container string
		reason                    runtime.Reason
		message                   string
	}
	latest := map[key]int{}
	over := map[int]bool{}
	for i, e := range events {
		k := key{e.Namespace, e.Pod, e.Container, e.Reason, e.Message}
		if before, ok := latest[k]; ok && e.Count > 1 {
			over[before] = true
		}
		latest[k] = i
	}
	out := make([]runtime.Event, 0, len(events)-len(over))
	for i, e := range events {
		if !over[i] {
			out = append(out, e)
		}
	}
	return out
}

// followEvents writes events as they come, until a signal comes or the supervisor ends.
func (a *app) followEvents(ctx context.Context, client *supervisor.Client, opts statusOptions) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	enc := newJSON(a.stdio.Out)
	enc.SetEscapeHTML(false)
	var failed error
	people := printable.NewWriter(a.stdio.Out)
	early := map[string]string{} // the last such failure of each container: as lines, it is told once
	err := client.Events(ctx, true, func(e runtime.Event) {
		if !ofPod(e, opts.pod) || failed != nil {
			return
		}
		if e.Reason == runtime.ReasonEarlyProbe && opts.format == "table" {
			if early[e.Namespace+object(e)] == e.Message {
				return
			}
			early[e.Namespace+object(e)] = e.Message
		}
		switch opts.format {
		case "json":
			failed = enc.Encode(e)
		case "yaml":
			fmt.Fprintln(a.stdio.Out, "---")
			failed = writeYAML(a.stdio.Out, e)
		default:
			_, failed = fmt.Fprintf(people, "%s  %-7s  %-18s  %-30s  %s\n", e.Time.Local().Format(time.TimeOnly), e.Type, e.Reason,
				object(e), firstOf(e.Message))
		}
		if failed != nil {
			stop() // the reader has gone
		}
	})
	if ctx.Err() != nil && failed == nil {
		return &exitError{code: ExitInterrupted}
	}
	return a.explainNotRunning(errors.Join(failed, err))
}
