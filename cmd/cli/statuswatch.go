package cli

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/printable"
	"github.com/kubecrank/kubecrank/runtime"
)

// statusPeriod is how often --watch asks.
const statusPeriod = 250 * time.Millisecond

// statusClient is what watching needs of a supervisor's client.
type statusClient interface {
	Status(ctx context.Context) (runtime.Status, error)
}

// watchStatus watches until a signal comes.
func (a *app) watchStatus(ctx context.Context, client statusClient, opts statusOptions) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	return a.watch(ctx, client, opts)
}

// watch shows the status again whenever it changes, until ctx ends: redrawn in place on a terminal; in a pipe a line
// for each pod that has changed, or a JSON object on a line.
func (a *app) watch(ctx context.Context, client statusClient, opts statusOptions) error {
	show := a.watcher(opts.format)
	var last runtime.Status
	var lastErr error
	for first := true; ; first = false {
		st, err := client.Status(ctx)
		if ctx.Err() != nil {
			return &exitError{code: ExitInterrupted}
		}
		if err == nil && opts.pod != "" {
			st.Pods = slices.DeleteFunc(st.Pods, func(p runtime.PodStatus) bool { return !isNamed(p, opts.pod) })
			st.Ready = len(st.Pods) > 0 && !slices.ContainsFunc(st.Pods, func(p runtime.PodStatus) bool { return !p.Ready })
			st.Problems = nil
		}
		changed := first || !reflect.DeepEqual(st, last) || fmt.Sprint(err) != fmt.Sprint(lastErr)
		last, lastErr = st, err
		if err := show(st, err, changed); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return &exitError{code: ExitInterrupted}
		case <-time.After(statusPeriod):
		}
	}
}

// watcher returns the way in which a status is shown again and again.
func (a *app) watcher(format string) func(st runtime.Status, err error, changed bool) error {
	switch {
	case format == "json":
		enc := newJSON(a.stdio.Out)
		return a.whenChanged(func(st runtime.Status) error { return enc.Encode(a.examine(st)) })
	case format == "yaml":
		return a.whenChanged(func(st runtime.Status) error {
			fmt.Fprintln(a.stdio.Out, "---")
			return writeYAML(a.stdio.Out, a.examine(st))
		})
	case a.stdio.isTerminal(a.stdio.Out):
		return a.redraw()
	}
	return (&statusLines{w: printable.NewWriter(a.stdio.Out), lost: a.tellLost}).show
}

// whenChanged shows a status each time that it has changed, as one document.
func (a *app) whenChanged(show func(st runtime.Status) error) func(st runtime.Status, err error, changed bool) error {
	return func(st runtime.Status, err error, changed bool) error {
		switch {
		case !changed:
			return nil
		case err != nil:
			return a.tellLost(err)
		}
		return show(st)
	}
}

// tellLost reports on stderr that no supervisor answers; stdout is for programs.
func (a *app) tellLost(err error) error {
	_, werr := fmt.Fprintln(a.stdio.Err, printable.String(err.Error()))
	return werr
}

// redraw draws the table over the one before it. Lines are cut to the terminal's size: one that wraps would count twice.
func (a *app) redraw() func(runtime.Status, error, bool) error {
	lines := 0
	return func(st runtime.Status, err error, _ bool) error { // also unchanged: ages grow
		var b strings.Builder
		if err != nil {
			fmt.Fprintln(&b, printable.String(err.Error()))
		} else if err := printStatus(&b, a.examine(st), "table", time.Now()); err != nil {
			return err
		}
		width, height := a.stdio.size(a.stdio.Out)
		text := fit(b.String(), width, height-1)
		if lines > 0 {
			fmt.Fprintf(a.stdio.Out, "\x1b[%dA\x1b[J", lines)
		}
		lines = strings.Count(text, "\n")
		_, werr := io.WriteString(a.stdio.Out, text)
		return werr
	}
}

// fit cuts lines to a width, and leaves out those for which there is no room.
func fit(text string, width, height int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if height > 1 && len(lines) > height {
		lines = append(lines[:height-1], fmt.Sprintf("... and %d lines more", len(lines)-height+1))
	}
	for i, line := range lines {
		if r := []rune(line); len(r) > width {
			lines[i] = string(r[:max(width-1, 0)]) + "…"
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// statusLines writes a line for each pod that has changed.
type statusLines struct {
	w    io.Writer
	lost func(error) error
	last map[string]string // by full name
}

func (l *statusLines) show(st runtime.Status, err error, changed bool) error {
	switch {
	case !changed:
		return nil
	case err != nil:
		return l.lost(err)
	}
	const format = "%-8s  %-24s  %-6s %-10s %9s %8s  %s\n"
	if l.last == nil {
		l.last = map[string]string{}
		fmt.Fprintf(l.w, format, "TIME", "POD", "READY", "STATE", "RESTARTS", "PID", "MESSAGE")
	}
	now := time.Now()
	seen := map[string]bool{}
	for _, p := range st.Pods {
		full := p.Name + "_" + p.Namespace
		seen[full] = true
		c := columns(p, now)
		message := p.Message
		if message == "" && !p.Ready {
			message, _, _ = strings.Cut(p.LastError, "\n")
		}
		line := fmt.Sprintf(format[len("%-8s  "):], c[0], c[1], c[2], c[3], c[4], message)
		if l.last[full] == line {
			continue
		}
		l.last[full] = line
		if _, err := fmt.Fprintf(l.w, "%-8s  %s\n", now.Format(time.TimeOnly), strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	for full := range l.last {
		if !seen[full] {
			delete(l.last, full)
			name, _, _ := strings.Cut(full, "_")
			fmt.Fprintf(l.w, "%-8s  %-24s  %-6s %s\n", now.Format(time.TimeOnly), name, "-", "Gone")
		}
	}
	return nil
}
