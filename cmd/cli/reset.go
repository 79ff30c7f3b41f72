package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/cmd/survey"
	"github.com/kubecrank/kubecrank/phases/apply"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/phases/steps"
)

// resetOptions is what reset runs on.
type resetOptions struct {
	force  bool
	dryRun bool
	format string
	config string // a file with a ResetConfiguration, or ""
	// ignorePreflight are names of checks, in lower case.
	ignorePreflight []string
	// certificatesDir is the file's, or "".
	certificatesDir string
}

func resetVerb(a *app) verb {
	var opts resetOptions
	return verb{
		use:   "reset",
		short: "Undo what init did to this machine",
		group: groupLifecycle,
		long: `Stop the control plane in order and remove what the journal says that kubecrank made
on this machine, and only that. What was there before, and files that were changed
by hand, are left and named.

All data of the cluster is lost. Without a terminal to ask on, --force is needed.
Killed half-way and run again, it finishes.`,
		example: `  # What would go, and what would stay
  kubecrank reset --dry-run

  kubecrank reset --root /tmp/demo --force`,
		formats: []string{"text", "json"},
		flags: func(flags *pflag.FlagSet) {
			flags.BoolVarP(&opts.force, "force", "f", false, "Do not ask.")
			flags.BoolVar(&opts.dryRun, "dry-run", false, "Print what would be done, and change nothing.")
			flags.StringSliceVar(&opts.ignorePreflight, "ignore-preflight-errors", nil,
				"`Checks` whose errors are shown as warnings; 'all' for all of them.")
			flags.StringVar(&opts.config, "config", "", "kubeadm `file` with a ResetConfiguration; - for standard input.")
		},
		run: func(ctx context.Context, c call) error {
			opts.format = c.format
			if opts.config != "" {
				if err := a.resetFile(c.flags, &opts); err != nil {
					return err
				}
			}
			return a.untilInterrupted(ctx, journal.VerbReset, func(ctx context.Context) error { return a.runReset(ctx, opts) })
		},
	}
}

func (a *app) runReset(ctx context.Context, opts resetOptions) error {
	known, _ := a.remember() // the plan reports a journal that cannot be read
	cfg := known.cfg
	cfg.ComponentsDir = a.global.componentsDir
	for _, name := range opts.ignorePreflight {
		cfg.IgnorePreflightErrors = append(cfg.IgnorePreflightErrors, strings.ToLower(name))
	}
	r := &run{app: a, verb: journal.VerbReset, cfg: cfg, began: time.Now()}
	found, err := survey.Look(ctx, a.global.root)
	if err != nil {
		return err
	}
	err = r.prepareReset(ctx, found)
	if damaged := errors.As(err, new(*journal.Error)); (err == nil && r.facts.History.Records == 0 || damaged) && found.Runs() {
		return a.resetUnrecorded(ctx, r, found, opts)
	} else if damaged {
		return r.damaged(err)
	} else if err != nil {
		return err
	}
	if err := opts.foreignCertificates(r.facts.History); err != nil {
		return err
	}
	if opts.dryRun {
		return r.dryRun(opts.format)
	}
	if r.verdict != nil {
		return r.verdict
	}
	if r.facts.History.Records == 0 {
		finished, err := journal.FinishReset(r.cfg.Paths())
		if err != nil {
			return err
		}
		var result apply.Result
		if finished {
			result.Changed = 1
		}
		return a.printReset(r, result, opts.format)
	}
	if !opts.force {
		if err := a.confirmReset(ctx, r); err != nil {
			return err
		}
	}
	r.began = time.Now() // do not count the time that the user took to answer
	result, err := r.apply(ctx)
	if err != nil {
		return err
	}
	if err := a.stopUnrecorded(ctx, r); err != nil { // check before printReset says that all is gone
		return err
	}
	return a.printReset(r, result, opts.format)
}

// foreignCertificates refuses a certificatesDir in which kubecrank has made
// nothing: kubeadm would empty it, and reset removes only what the journal names.
func (o resetOptions) foreignCertificates(h journal.History) error {
	if o.certificatesDir == "" || h.Records == 0 {
		return nil
	}
	for r := range h.Claims {
		if strings.HasPrefix(r.Key, o.certificatesDir+"/") {
			return nil
		}
	}
	for path := range h.Before { // those that init found and uses
		if strings.HasPrefix(path, o.certificatesDir+"/") {
			return nil
		}
	}
	err := usage("cannot use certificatesDir %q: kubecrank has made nothing there, and reset removes only what it made", o.certificatesDir)
	return hint.With(err, "take certificatesDir out of the file; --dry-run shows what would go")
}

// confirmReset asks on a terminal, and refuses without one.
func (a *app) confirmReset(ctx context.Context, r *run) error {
	if !a.stdio.isTerminal(a.stdio.In) {
		return hint.With(&refusedError{err: errors.New("cannot reset: it destroys the cluster, and there is no terminal to ask on")},
			"--force does it without asking; --dry-run shows what would go")
	}
	fmt.Fprintln(a.stdio.Err, "This is what reset does here:")
	for _, line := range whatGoes(r.plan, r.facts.Host()) {
		fmt.Fprintf(a.stdio.Err, "  %s\n", line)
	}
	return a.ask(ctx, "All data of the cluster will be lost. Go on?")
}

// ask asks a question on the terminal, and returns nil if the answer is yes.
func (a *app) ask(ctx context.Context, question string) error {
	w := a.stdio.Err
	fmt.Fprintf(w, "\n%s [y/N] ", question)
	answered := make(chan string, 1)
	go func() {
		answer, _ := bufio.NewReader(a.stdio.In).ReadString('\n') // no answer is no yes
		answered <- answer
	}()
	answer := ""
	select {
	case answer = <-answered:
	case <-ctx.Done():
		fmt.Fprintln(w)
		return ctx.Err()
	}
	if answer == "" {
		fmt.Fprintln(w)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &refusedError{err: errors.New("nothing was changed: the answer was not yes")}
}

// whatGoes is the plan of a reset in a few lines: single files are counted by
// directory, and directories that go when they are empty are not mentioned.
func whatGoes(p plan.Plan, h plan.Host) []string {
	var lines []string
	files := map[string]int{} // by directory
	for _, ph := range p.Phases {
		for _, s := range ph.Steps {
			state := s.Compare(h).State
			if state != plan.New && state != plan.Left {
				continue
			}
			remove, ok := s.(steps.Undo)
			switch {
			case ok && state == plan.Left:
				lines = append(lines, "leave "+remove.Key+", which was changed by hand")
			case ok && remove.Resource.Kind == resource.File:
				files[filepath.Dir(remove.Key)]++
			case ok && remove.Resource.Kind == resource.Dir:
			default:
				lines = append(lines, s.Describe())
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(files)) {
		lines = append(lines, fmt.Sprintf("remove %d files in %s", files[dir], dir))
	}
	return lines
}

// resetSummary is what reset -o json prints.
type resetSummary struct {
	Changed int                `json:"changed"` // steps that changed something
	Seconds float64            `json:"seconds"`
	Phases  []phaseTime        `json:"phases"`
	Left    []apply.LeftBehind `json:"left"`
	// Running is what ran without a record of the journal: stopped, or with --dry-run to be stopped.
	Running []string `json:"running,omitempty"`
}

// printReset prints the result of reset, and what it left.
func (a *app) printReset(r *run, result apply.Result, format string) error {
	took := time.Since(r.began)
	w := a.stdio.Out
	if format == "json" {
		return writeJSON(w, resetSummary{
			Changed: result.Changed,
			Seconds: inSeconds(took),
			Phases:  append([]phaseTime{}, r.phases...),
			Left:    append([]apply.LeftBehind{}, result.Left...),
		})
	}
	switch {
	case r.facts.History.Records == 0 && result.Changed > 0:
		fmt.Fprintln(w, "Finished what an earlier reset had left: nothing of kubecrank's is left.")
		return nil
	case r.facts.History.Records == 0:
		a.printNoJournal(r.cfg.Paths())
		return nil
	}
	fmt.Fprintf(w, "What kubecrank made is gone (%s).\n", seconds(took))
	a.printLeft(result.Left)
	return nil
}
