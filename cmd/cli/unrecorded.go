package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/cmd/survey"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/apply"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/runtime"
)

// unrecordedError refuses to go on while something runs that the journal does not know.
type unrecordedError struct {
	verb   string
	why    string // "there is no journal F"
	found  survey.Found
	remedy string
}

func (e *unrecordedError) Error() string {
	return fmt.Sprintf("cannot %s: %s, and these run:\n  %s", e.verb, e.why, strings.Join(e.found.Lines(), "\n  "))
}

// Hint says what to do next.
func (e *unrecordedError) Hint() string { return e.remedy }

// why says what is wrong with the journal.
func (r *run) why() string {
	path := r.cfg.Paths().Journal
	switch {
	case r.facts.JournalError != nil:
		return r.facts.JournalError.Error()
	case r.facts.History.Records == 0:
		return "there is no journal " + path
	}
	return "the journal " + path + " knows of no supervisor"
}

// unrecorded is an error if something of this root runs that its journal does
// not know: its ports and files would stand in the way of init in many places.
func (r *run) unrecorded(ctx context.Context) error {
	_, ours := r.facts.History.Claim(resource.Resource{Kind: resource.Process, Key: r.cfg.Paths().Socket})
	if ours && r.facts.JournalError == nil {
		return nil
	}
	if r.facts.JournalError != nil && notAllowed(r.facts.JournalError) {
		return nil
	}
	found, err := survey.Look(ctx, r.app.global.root)
	if err != nil || !found.Runs() {
		return err
	}
	return &refusedError{err: &unrecordedError{verb: r.verb, why: r.why(), found: found,
		remedy: "'kubecrank reset" + r.app.rootFlag() + "' stops them; or give the control plane another --root"}}
}

// stop stops what a survey found: through the socket, or by a signal to the
// supervisor. Without one, a supervisor is started that adopts what it has
// records of, and stops that.
func (a *app) stop(ctx context.Context, cfg config.Config, found survey.Found) error {
	if !exists(cfg.Paths().PodState) && len(found.All()) == 0 {
		return nil // there is no record that would prove anything
	}
	return a.background(cfg).Stop(ctx, func(runtime.Event) {})
}

// stopUnrecorded stops what runs although the journal does not know it, and is an error if something runs after that.
func (a *app) stopUnrecorded(ctx context.Context, r *run) error {
	found, err := survey.Look(ctx, a.global.root)
	if err != nil || !found.Runs() {
		return err
	}
	if err := a.stop(ctx, r.cfg, found); err != nil {
		return hint.With(fmt.Errorf("cannot stop what runs here: %w", err), "run it again")
	}
	left, err := survey.Look(ctx, a.global.root)
	if err != nil {
		return err
	}
	if !left.Runs() {
		return nil
	}
	var pids []string
	for _, c := range left.Claims {
		pids = append(pids, fmt.Sprint(c.PID))
	}
	return &refusedError{err: &unrecordedError{verb: "stop everything", why: "nothing proves whose these processes are", found: left,
		remedy: "look at them, and if they are yours: kill " + strings.Join(pids, " ")}}
}

// places are directories that kubecrank uses and that are there, for a reset that does not know who made them.
func places(paths config.Paths) []apply.LeftBehind {
	const why = "no journal says who made it"
	var left []apply.LeftBehind
	for _, dir := range []string{paths.State, paths.Run, paths.Kubernetes, paths.EtcdData} {
		if exists(dir) {
			left = append(left, apply.LeftBehind{Path: dir, Why: why})
		}
	}
	return left
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
