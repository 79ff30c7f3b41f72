package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/apply"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/process"
	"github.com/kubecrank/kubecrank/runtime/supervisor"
)

// survey is what runs of this root, found without the journal: it may be lost
// or damaged, or its directory removed by hand.
type survey struct {
	answers     int   // PID of the supervisor behind the socket; 0 for none
	supervisors []int // that hold the lock, or held it until it was removed
	// claims are processes whose environment names this root. They may be
	// another user's lie, so only a supervisor that finds their records stops them.
	claims []process.Claim
}

// survey looks at the socket and at all processes. It changes nothing.
func (a *app) survey(ctx context.Context, paths config.Paths) (survey, error) {
	var s survey
	st, err := a.client().Status(ctx)
	if silent := (*supervisor.SilentError)(nil); errors.As(err, &silent) {
		s.answers = silent.PID
	} else if err == nil {
		s.answers = st.Supervisor.PID
	}
	if s.supervisors, err = supervisor.Find(paths.SupervisorLock); err != nil {
		return s, err
	}
	s.claims, err = process.Claims(a.global.root)
	return s, err
}

// runs says whether there is anything. A claim counts if the process is this
// user's: with a claim, another user could keep every init and reset from its end.
func (s survey) runs() bool {
	return s.answers != 0 || len(s.supervisors) > 0 ||
		slices.ContainsFunc(s.claims, func(c process.Claim) bool { return c.UID == os.Geteuid() })
}

// lines name what runs, a line each.
func (s survey) lines() []string {
	var lines []string
	for _, pid := range s.all() {
		lines = append(lines, fmt.Sprintf("a supervisor of this root (PID %d)", pid))
	}
	pids := map[string][]string{} // by container
	var order []string
	for _, c := range s.claims {
		name := fmt.Sprintf("container %s of pod %s", c.Container, c.Pod)
		if pids[name] == nil {
			order = append(order, name)
		}
		pids[name] = append(pids[name], fmt.Sprint(c.PID))
	}
	for _, name := range order {
		lines = append(lines, fmt.Sprintf("what says that it is %s (PID %s)", name, strings.Join(pids[name], ", ")))
	}
	return lines
}

// all are the supervisors, each once.
func (s survey) all() []int {
	all := slices.Clone(s.supervisors)
	if s.answers != 0 && !slices.Contains(all, s.answers) {
		all = append(all, s.answers)
	}
	return all
}

// unrecordedError refuses to go on while something runs that the journal does not know.
type unrecordedError struct {
	verb   string
	why    string // "there is no journal F"
	found  survey
	remedy string
}

func (e *unrecordedError) Error() string {
	return fmt.Sprintf("cannot %s: %s, and these run:\n  %s", e.verb, e.why, strings.Join(e.found.lines(), "\n  "))
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
	if _, ours := r.facts.History.Owned[r.cfg.Paths().Socket]; ours && r.facts.JournalError == nil {
		return nil
	}
	if r.facts.JournalError != nil && notAllowed(r.facts.JournalError) {
		return nil
	}
	found, err := r.app.survey(ctx, r.cfg.Paths())
	if err != nil || !found.runs() {
		return err
	}
	return &refusedError{err: &unrecordedError{verb: r.verb, why: r.why(), found: found,
		remedy: "'kubecrank reset" + r.app.rootFlag() + "' stops them; or give the control plane another --root"}}
}

// stop stops what a survey found: through the socket, or by a signal to the
// supervisor. Without one, a supervisor is started that adopts what it has
// records of, and stops that.
func (a *app) stop(ctx context.Context, cfg config.Config, found survey) error {
	if !exists(cfg.Paths().PodState) && len(found.all()) == 0 {
		return nil // there is no record that would prove anything
	}
	return a.background(cfg).Stop(ctx, func(runtime.Event) {})
}

// stopUnrecorded stops what runs although the journal does not know it, and is an error if something runs after that.
func (a *app) stopUnrecorded(ctx context.Context, r *run) error {
	found, err := a.survey(ctx, r.cfg.Paths())
	if err != nil || !found.runs() {
		return err
	}
	if err := a.stop(ctx, r.cfg, found); err != nil {
		return hint.With(fmt.Errorf("cannot stop what runs here: %w", err), "run it again")
	}
	left, err := a.survey(ctx, r.cfg.Paths())
	if err != nil {
		return err
	}
	if !left.runs() {
		return nil
	}
	var pids []string
	for _, c := range left.claims {
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
