package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/cmd/survey"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/apply"
	"github.com/kubecrank/kubecrank/phases/journal"
)

// resetUnrecorded is reset with a lost or damaged journal while something runs. It stops what runs, with --force or a yes,
// and removes no file: no record says who made which.
func (a *app) resetUnrecorded(ctx context.Context, r *run, found survey.Found, opts resetOptions) error {
	if opts.dryRun {
		return a.printUnrecorded(r, found, opts.format, false)
	}
	if !opts.force {
		refused := &refusedError{err: &unrecordedError{verb: r.verb, why: r.why(), found: found,
			remedy: "--force stops them in order; it removes no file"}}
		if !a.stdio.isTerminal(a.stdio.In) {
			return refused
		}
		fmt.Fprintf(a.stdio.Err, "%s: %s.\n", r.verb, r.why())
		for _, line := range found.Lines() {
			fmt.Fprintf(a.stdio.Err, "  stop %s\n", line)
		}
		if err := a.ask(ctx, "They will be stopped, and no file is removed. Go on?"); err != nil {
			return err
		}
	}
	r.began = time.Now()
	if err := a.stopLocked(ctx, r); err != nil {
		return err
	}
	if r.facts.JournalError == nil {
		return a.printUnrecorded(r, found, opts.format, true)
	}
	if !a.global.quiet {
		fmt.Fprintln(a.stdio.Err, "Stopped:")
		for _, line := range found.Lines() {
			fmt.Fprintf(a.stdio.Err, "  %s\n", line)
		}
	}
	return r.damaged(r.facts.JournalError)
}

// stopLocked keeps other runs away meanwhile, if there is a place for the lock: making one would be new traces.
func (a *app) stopLocked(ctx context.Context, r *run) error {
	if !exists(r.cfg.Paths().Run) {
		return a.stopUnrecorded(ctx, r)
	}
	lock, err := journal.Acquire(r.cfg.Paths(), r.verb)
	if err != nil {
		return err
	}
	if err := a.stopUnrecorded(ctx, r); err != nil {
		_ = lock.Release() // the first error is the one to report
		return err
	}
	return lock.Release()
}

// damaged adds to the error of a journal how much of it can be read.
func (r *run) damaged(err error) error {
	known := len(r.facts.History.Claims)
	if known == 0 {
		return hint.With(err, "nothing was removed: what kubecrank made here is not known")
	}
	return hint.With(err, fmt.Sprintf(
		"nothing was removed: up to there the journal names %d paths that kubecrank made; what it says behind that is not known", known))
}

// printUnrecorded says what was stopped, or would be in a dry-run, and which directories stay because no record says who
// made them.
func (a *app) printUnrecorded(r *run, found survey.Found, format string, stopped bool) error {
	left := places(r.cfg.Paths())
	if format == "json" {
		return writeJSON(a.stdio.Out, resetSummary{Seconds: inSeconds(time.Since(r.began)), Phases: []phaseTime{}, Left: left,
			Running: found.Lines()})
	}
	w := a.stdio.Out
	verb := "These run, and would be stopped"
	if stopped {
		verb = "Stopped"
	}
	fmt.Fprintf(w, "%s:\n", verb)
	for _, line := range found.Lines() {
		fmt.Fprintf(w, "  %s\n", line)
	}
	fmt.Fprintf(w, "\nNo file is removed: %s.\n", r.why())
	a.printLeft(left)
	return nil
}

// printNoJournal is for a root where nothing runs and no journal is.
func (a *app) printNoJournal(paths config.Paths) {
	w := a.stdio.Out
	if !exists(paths.State) && !exists(paths.Run) {
		fmt.Fprintf(w, "There is nothing to reset: there is no journal %s.\n", paths.Journal)
		return
	}
	fmt.Fprintf(w, "Nothing of kubecrank's runs here. No file is removed: there is no journal %s.\n", paths.Journal)
	a.printLeft(places(paths))
}

func (a *app) printLeft(left []apply.LeftBehind) {
	if len(left) == 0 {
		return
	}
	fmt.Fprintln(a.stdio.Out, "\nLeft:")
	for _, l := range left {
		fmt.Fprintf(a.stdio.Out, "  %s: %s\n", l.Path, l.Why)
	}
}
