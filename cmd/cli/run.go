package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/cmd/record"
	"github.com/kubecrank/kubecrank/cmd/survey"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases"
	"github.com/kubecrank/kubecrank/phases/apply"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
	"github.com/kubecrank/kubecrank/printable"
)

// run is one run of a verb that changes the machine.
//
//	prepare: flags -> facts -> completed and validated config -> plan
//	   dryRun: print it           apply: lock -> preflight -> journal -> apply.Run
type run struct {
	app   *app
	verb  string
	cfg   config.Config
	began time.Time
	// probeTimeout bounds the measurements of the machine (facts.Probe). It is 0 in a dry-run, which measures nothing.
	probeTimeout time.Duration
	// documents are of the configuration file: they know the lines. Nil without one.
	documents *config.Documents

	facts      facts.Facts
	components plan.Components
	plan       plan.Plan
	// verdict is why the plan can be shown but not applied: a
	// *plan.PreflightError or a *plan.RefusedError.
	verdict error
	phases  []phaseTime // after apply
}

// prepareInit looks at the machine, completes and checks the configuration, and
// computes the plan. flagErr are the flags that could not be parsed: they are
// reported together with all that is wrong otherwise.
func (r *run) prepareInit(ctx context.Context, flagErr error, phase string) error {
	probed := func() facts.Probed { return facts.Probed{} }
	if r.probeTimeout > 0 {
		probed = facts.Probe(ctx, r.cfg, r.probeTimeout)
	}
	if err := r.look(ctx); err != nil {
		return err
	}
	if err := r.unrecorded(ctx); err != nil {
		return err
	}
	r.cfg = r.cfg.Complete(r.facts.HostFacts(r.cfg))
	if err := errors.Join(flagErr, errors.Join(r.validate(flagErr)...)); err != nil {
		return &usageError{err: err}
	}
	components, payload, err := r.app.components()
	if err != nil {
		return err
	}
	r.components = components
	r.facts.Probed = probed()
	if phase != "" {
		return r.planned(phases.InitPhase(phase, r.cfg, r.facts, payload))
	}
	return r.planned(phases.Init(r.cfg, r.facts, payload))
}

// prepareReset computes the plan from the journal. It needs no valid configuration and no components: the journal names
// what has to go.
func (r *run) prepareReset(ctx context.Context, found survey.Found) error {
	if err := r.look(ctx); err != nil {
		return err
	}
	r.facts.Unrecorded = found.Runs()
	return r.planned(phases.Reset(r.cfg, r.facts))
}

func (r *run) look(ctx context.Context) (err error) {
	r.facts, err = facts.Gather(ctx, r.cfg)
	return err
}

// planned keeps a plan. An error that only forbids to apply it becomes the verdict.
func (r *run) planned(p plan.Plan, err error) error {
	r.plan = p
	var (
		failed  *plan.PreflightError
		refused *plan.RefusedError
	)
	if errors.As(err, &failed) || errors.As(err, &refused) {
		r.verdict = err
		return nil
	}
	var unknown *phases.UnknownPhaseError
	if errors.As(err, &unknown) {
		return hint.With(err, didYouMean(unknown.Name, slices.Clone(unknown.Known), ""))
	}
	return err
}

// validate leaves out the fields that could not be parsed: flagErr reports them.
func (r *run) validate(flagErr error) []error {
	unparsed := map[string]bool{}
	for _, err := range flatten(flagErr) {
		var field *config.FieldError
		if errors.As(err, &field) {
			unparsed[field.Field] = true
		}
	}
	found := r.cfg.Validate()
	if r.documents != nil {
		found = r.documents.Locate(r.verb, found)
	}
	var errs []error
	for _, err := range found {
		var field *config.FieldError
		if !errors.As(err, &field) || !unparsed[field.Field] {
			errs = append(errs, err)
		}
	}
	return errs
}

// dryRun prints the plan. Its exit code says whether the plan could be applied, by root if that takes root: any user may
// look.
func (r *run) dryRun(format string) error {
	changes := plan.Diff(r.plan, r.facts.Host())
	err := r.planRefused()
	if err != nil && format == "json" {
		return &resultError{err, plan.Document(r.plan, changes)}
	}
	return errors.Join(r.printPlan(format, changes), err)
}

// planRefused is why the plan could not be applied, nil if it could be.
func (r *run) planRefused() error {
	var failed *plan.PreflightError
	if !errors.As(r.verdict, &failed) {
		return r.verdict
	}
	others := slices.DeleteFunc(slices.Clone(failed.Failed), func(c plan.Check) bool { return c.Name == "IsPrivilegedUser" })
	if len(others) > 0 {
		return &plan.PreflightError{Failed: others}
	}
	if refused := plan.Refuse(r.plan, r.facts.Host()); refused != nil {
		return refused
	}
	return nil
}

func (r *run) printPlan(format string, changes []plan.Change) error {
	w := r.app.stdio.Out
	switch format {
	case "json":
		return writeJSON(w, plan.Document(r.plan, changes))
	case "yaml":
		for _, f := range r.plan.Files() {
			if filepath.Dir(f.Path) != r.cfg.Paths().Manifests {
				continue // the supervisor's configuration, which is no object of a cluster
			}
			if _, err := fmt.Fprintf(w, "---\n# %s\n%s", f.Path, f.Data); err != nil {
				return err
			}
		}
		return nil
	}
	people := printable.NewWriter(w)
	return errors.Join(plan.Print(people, r.plan, changes), people.Flush())
}

// apply does the plan, and shows it.
func (r *run) apply(ctx context.Context) (result apply.Result, err error) {
	progress := r.app.newProgress()
	defer progress.close()
	lock, err := r.lock()
	if !errors.As(err, new(*journal.LockedError)) {
		warn(progress, r.plan.Checks())
	}
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if err := r.app.gateAgain(r.facts); err != nil {
		return result, err
	}
	journalFile, err := journal.Open(r.cfg.Root, r.cfg.Paths())
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, journalFile.Close()) }()
	reporter := newReporter(progress, r.plan, r.app.global.verbosity > 0)
	watcher, recorded := r.recorded(reporter)
	defer func() {
		if rerr := recorded(err); rerr != nil {
			progress.note("! %v", rerr)
		}
	}()
	result, err = apply.Run(ctx, r.plan, &plan.Node{
		Root:       r.cfg.Root,
		Paths:      r.cfg.Paths(),
		Lock:       lock,
		Journal:    journalFile,
		Supervisor: r.app.background(r.cfg),
		Components: r.components,
		API:        steps.ClusterAPI{},

		FlagNames: r.app.flagNames(),
		Now:       time.Now,
	}, watcher)
	r.phases = reporter.phases
	return result, r.explain(ctx, err)
}

// recorded starts recording a bring-up. Call the returned function when the verb ends; it writes the end of the timeline.
func (r *run) recorded(next apply.Progress) (apply.Progress, func(error) error) {
	if r.verb != journal.VerbInit {
		return next, func(error) error { return nil }
	}
	rec := record.New(next, r.cfg.Paths().Timeline, r.began, r.plan)
	return rec, rec.Close
}

// warn shows the preflight checks that do not stop the run.
func warn(p *progress, checks []plan.Check) {
	for _, c := range checks {
		if c.Level == plan.Warning {
			p.note("! %s: %s", c.Name, c.Text)
		}
	}
}

// explain turns an error of apply.Run into the error that the user reads.
func (r *run) explain(ctx context.Context, err error) error {
	var (
		refused *plan.RefusedError
		sick    *steps.NotHealthyError
	)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return hint.With(&interruptedError{verb: r.verb}, r.again())
	case errors.As(err, &refused):
		return refused // it names the step itself
	case errors.As(err, &sick):
		if strings.Contains(sick.Hint(), "reset") {
			return sick
		}
		return hint.With(sick, r.again())
	}
	return hint.With(fmt.Errorf("cannot finish %s: %w", r.verb, shorter(err)), r.again())
}

// again is the hint for a run that did not finish.
func (r *run) again() string {
	if r.verb == journal.VerbReset {
		return "run it again: it continues"
	}
	return fmt.Sprintf("run it again: it continues; 'kubecrank reset%s' undoes what was done, and the cluster's data is lost with it",
		r.app.rootFlag())
}

// shorter leaves out the description of a step if its error already says what could not be done.
func shorter(err error) error {
	var step *apply.StepError
	if errors.As(err, &step) && strings.HasPrefix(step.Err.Error(), "cannot ") {
		return fmt.Errorf("phase %s: %w", step.Phase, step.Err)
	}
	return err
}

// lock takes the lock of the node, if the plan can be applied. Another run that holds the lock is reported before the
// verdict, because that run may be the reason (it holds the ports). Preflight reports a user who may not write here.
func (r *run) lock() (*journal.Lock, error) {
	lock, err := journal.Acquire(r.cfg.Paths(), r.verb)
	var locked *journal.LockedError
	switch {
	case errors.As(err, &locked) || r.verdict == nil:
		return lock, err
	case err != nil:
		return nil, r.verdict
	}
	return nil, errors.Join(r.verdict, lock.Release())
}
