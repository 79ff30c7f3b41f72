package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/runtime/supervisor"
	"github.com/kubecrank/kubecrank/runtime/timeline"
)

func timelineVerb(a *app) verb {
	return verb{
		use:   "timeline",
		short: "Show what took how long in the last bring-up",
		group: groupOperate,
		long: `Show what took how long in the last bring-up: the phases of init and their longer
steps, the start of each container and when it became ready, and the chain of what
the end waited for. It is the first thing to look at when a bring-up is slow.

The last bring-up is that of the last init that changed something, or that of a
later supervisor which found nothing running and started the pods by itself, as
after a reboot. It is read from files: no supervisor need be running.`,
		example: `  kubecrank timeline

  # A picture for a browser
  kubecrank timeline -o svg > timeline.svg

  # When did each container become ready?
  kubecrank timeline -o json | jq '.pods[] | {name, ready}'`,
		formats: []string{"text", "json", "svg"},
		run:     func(_ context.Context, c call) error { return a.runTimeline(c.format) },
	}
}

func (a *app) runTimeline(format string) error {
	t, err := a.readTimeline()
	if err != nil {
		return err
	}
	switch format {
	case "json":
		return writeJSON(a.stdio.Out, t)
	case "svg":
		return timeline.SVG(a.stdio.Out, t)
	}
	width := 110
	if a.stdio.isTerminal(a.stdio.Out) {
		width = a.stdio.width(a.stdio.Out)
	}
	return timeline.Text(a.stdio.Out, t, width)
}

// maxTimeline is far more than one run writes.
const maxTimeline = 16 << 20

// readTimeline puts together what init and the supervisors have left below the root.
func (a *app) readTimeline() (timeline.Timeline, error) {
	paths := config.PathsBelow(a.global.root)
	data, err := readRegular(paths.Timeline, maxTimeline)
	if err != nil {
		return timeline.Timeline{}, hint.With(fmt.Errorf("cannot read the timeline: %w", err), accessHint(err))
	}
	lines, bad := timeline.ParseLines(data)
	a.tellBad(paths.Timeline, bad)
	events, bad, err := supervisor.ReadEvents(paths.Events)
	if err != nil {
		return timeline.Timeline{}, hint.With(fmt.Errorf("cannot read the timeline: %w", err), accessHint(err))
	}
	a.tellBad(paths.Events, bad)
	t, ok := timeline.Build(lines, events)
	if !ok {
		return t, hint.With(fmt.Errorf("cannot show a timeline: nothing was brought up yet (there is no %s)", paths.Timeline),
			"kubecrank init"+a.rootFlag()+" brings up a control plane and records it")
	}
	return t, nil
}

func accessHint(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "run it as the user who ran kubecrank init, or with sudo"
	}
	return ""
}

// tellBad tells of lines that were left out.
func (a *app) tellBad(path string, bad int) {
	if bad > 0 && !a.global.quiet {
		fmt.Fprintf(a.stdio.Err, "Left out %d lines of %s: they are damaged.\n", bad, path)
	}
}

// readRegular reads a file of ours; no file is no data.
func readRegular(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case info.Size() > most:
		return nil, fmt.Errorf("%s is larger than %d MiB", path, most>>20)
	}
	return io.ReadAll(io.LimitReader(f, most))
}
