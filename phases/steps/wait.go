package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/phases/diagnose"
	"github.com/kubecrank/kubecrank/phases/evidence"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/runtime"
)

// WaitHealthy waits until pods are ready, or until it is certain that they will
// not be: a container has failed again and again, or package diagnose knows the cause.
type WaitHealthy struct {
	Pods    []string `json:"pods"` // names as in the manifests
	Timeout Span     `json:"timeout"`
	Log     string   `json:"-"` // of the supervisor, for when that is what failed
	// Proofs are what has to be seen of pods that are ready. The zero value asks for none.
	Proofs Proofs `json:"proofs,omitzero"`
}

// Kind implements Step.
func (WaitHealthy) Kind() string { return "WaitHealthy" }

// Describe implements Step.
func (s WaitHealthy) Describe() string {
	does := "are ready"
	if len(s.Proofs.Of) > 0 {
		does += " and at work"
	}
	return fmt.Sprintf("wait until %s %s, at most %s", strings.Join(s.Pods, ", "), does, time.Duration(s.Timeout))
}

// The limits of a wait.
const (
	pollPeriod = 40 * time.Millisecond // each asks the supervisor for all of its status, beside components that need every cycle
	// enoughExits is how many restarts after failures make a crash loop, if the
	// supervisor has not come to that conclusion before.
	enoughExits = 3
	// settle is how long a container that was started again may still show its old failure.
	settle = 2 * time.Second
	// silence is how long a supervisor may not answer while its pods are waited for.
	silence = 3 * time.Second
)

// Compare implements Step.
func (s WaitHealthy) Compare(plan.Host) plan.Work {
	return plan.Work{State: plan.Runs, Do: s.wait}
}

func (s WaitHealthy) wait(ctx context.Context, n *plan.Node) (plan.Outcome, error) {
	start := time.Now()
	limit, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	tick := time.NewTicker(pollPeriod)
	defer tick.Stop()
	ready := make(map[string]instances, len(s.Pods))
	heard := start
	var last runtime.Status
	var old oldFailures
	exam := newExaminer(n, start)
	prover, err := newProver(n, s.Proofs, start)
	if err != nil {
		return plan.Outcome{}, err
	}
	defer prover.close()
	for {
		status, err := n.Supervisor.Status(limit)
		switch {
		case err == nil:
			if last, heard = status, time.Now(); old == nil {
				if old, err = s.tryAgain(limit, n, status); err != nil {
					return plan.Outcome{}, err
				}
			}
			if err := s.tellReady(limit, n, status, ready, prover); err != nil {
				return plan.Outcome{}, err
			}
			if len(ready) == len(s.Pods) && s.stayed(limit, n, ready) {
				return plan.Outcome{}, nil
			}
			if failures := s.hopeless(status, old, exam); len(failures) > 0 {
				return plan.Outcome{}, &NotHealthyError{Failures: failures, Waited: time.Since(start)}
			}
		case errors.Is(err, runtime.ErrNotRunning) && time.Since(heard) > silence:
			return plan.Outcome{}, &NotHealthyError{Waited: time.Since(start), Failures: []PodFailure{{
				What: "the supervisor is not running any more", LogPath: s.Log, Log: evidence.Tail(s.Log),
			}}}
		}
		select {
		case <-tick.C:
		case <-limit.Done():
			if ctx.Err() != nil {
				return plan.Outcome{}, ctx.Err()
			}
			return plan.Outcome{}, &NotHealthyError{Failures: s.unready(last, exam, prover), Waited: time.Since(start), TimedOut: true}
		}
	}
}

// tellReady keeps in ready the pods that are ready and at work, with the instances that are.
func (s WaitHealthy) tellReady(ctx context.Context, n *plan.Node, status runtime.Status, ready map[string]instances, p *prover) error {
	for _, pod := range status.Pods {
		if !slices.Contains(s.Pods, pod.Name) {
			continue
		}
		works := pod.Ready
		if works {
			var err error
			if works, err = p.works(ctx, pod); err != nil {
				return err
			}
		}
		was, told := ready[pod.Name]
		switch now := instancesOf(pod); {
		case !works:
			delete(ready, pod.Name) // not any more
		case !told || was != now:
			ready[pod.Name] = now
			n.Tell(fmt.Sprintf("%s is ready after %.1f s", pod.Name, time.Since(p.began).Seconds()))
		}
	}
	return nil
}

// stayed says whether the instances that were ready still are, now that the last proof is there.
func (s WaitHealthy) stayed(ctx context.Context, n *plan.Node, ready map[string]instances) bool {
	if len(s.Proofs.Of) == 0 {
		return true
	}
	status, err := n.Supervisor.Status(ctx)
	if err != nil {
		return false
	}
	same := 0
	for _, pod := range status.Pods {
		if pod.Ready && ready[pod.Name] == instancesOf(pod) && slices.Contains(s.Pods, pod.Name) {
			same++
		}
	}
	return same == len(s.Pods)
}

// oldFailures are those that a run finds: its user may have mended the cause
// since. They say nothing until the container has failed again (the count is
// another one) or, if it was started again, until it had the time to.
type oldFailures map[failure]time.Time // zero: for ever

type failure struct {
	pod, container string
	restarts       int
}

func (o oldFailures) has(pod runtime.PodStatus, c runtime.ContainerStatus, now time.Time) bool {
	until, ok := o[failure{pod.Name, c.Name, c.RestartCount}]
	return ok && (until.IsZero() || now.Before(until))
}

// tryAgain has pods that a crash loop holds up started again.
func (s WaitHealthy) tryAgain(ctx context.Context, n *plan.Node, status runtime.Status) (oldFailures, error) {
	old := make(oldFailures)
	for _, pod := range status.Pods {
		if !slices.Contains(s.Pods, pod.Name) || pod.Ready {
			continue
		}
		held := slices.ContainsFunc(pod.Containers, func(c runtime.ContainerStatus) bool { return c.Reason == runtime.ReasonCrashLoop })
		var until time.Time
		if restarter, can := n.Supervisor.(plan.Restarter); held && can {
			if err := restarter.Restart(ctx, pod.Name); err != nil {
				return nil, err
			}
			until = time.Now().Add(settle)
			n.Tell(pod.Name + " is started again")
		}
		for _, c := range pod.Containers {
			if c.Reason == runtime.ReasonCrashLoop || c.ExitCode != nil {
				old[failure{pod.Name, c.Name, c.RestartCount}] = until
			}
		}
	}
	return old, nil
}

// hopeless returns the pods that waiting will not mend: those with a cause that
// is certain, crash loops whose cause will not pass by itself, and manifests
// that are refused. Old failures say nothing.
func (s WaitHealthy) hopeless(status runtime.Status, old oldFailures, exam *examiner) []PodFailure {
	var failures []PodFailure
	now := time.Now()
	for _, pod := range status.Pods {
		if !slices.Contains(s.Pods, pod.Name) || pod.Ready {
			continue
		}
		for _, c := range pod.Containers {
			if c.Ready || old.has(pod, c, now) || ofOldManifest(pod, c, now) {
				continue
			}
			d, certain := exam.look(status, pod, c, now)
			exited := c.ExitCode != nil && *c.ExitCode != 0
			looping := c.Reason == runtime.ReasonCrashLoop || exited && c.RestartCount >= enoughExits
			if certain || looping && (d == nil || d.Certainty != diagnose.Passing) {
				failures = append(failures, failureOf(pod, c, howItFails(c), d))
			}
		}
		if pod.State == runtime.PodFailed {
			failures = append(failures, PodFailure{Pod: pod.Name, What: orUnknown(pod.LastError)})
		}
	}
	for _, p := range status.Problems {
		if !p.Warning && s.isOurs(p.Source) {
			failures = append(failures, PodFailure{Pod: p.Source, What: p.Message})
		}
	}
	return failures
}

// takenUp is how long the supervisor may take to end the pod of a manifest that was changed.
const takenUp = 10 * time.Second

// ofOldManifest says whether what a container shows is of the manifest before the one that is there now: somebody
// has just corrected it, and the supervisor is about to start what it says now.
func ofOldManifest(pod runtime.PodStatus, c runtime.ContainerStatus, now time.Time) bool {
	info, err := os.Stat(pod.Source)
	if err != nil || c.StartedAt == nil {
		return false
	}
	changed := info.ModTime()
	return c.StartedAt.Before(changed) && now.Sub(changed) < takenUp
}

func howItFails(c runtime.ContainerStatus) string {
	switch {
	case c.Reason == runtime.ReasonCrashLoop && c.ExitCode == nil:
		return "it cannot be started"
	case c.PID == 0 || c.RestartCount > 0:
		return "it keeps exiting"
	default:
		return "it will not become ready"
	}
}

func (s WaitHealthy) isOurs(source string) bool {
	return slices.ContainsFunc(s.Pods, func(pod string) bool { return strings.HasSuffix(source, "/"+pod+".yaml") })
}

// unready returns all pods that are not ready or not at work, each with what is known of it.
func (s WaitHealthy) unready(status runtime.Status, exam *examiner, p *prover) []PodFailure {
	var failures []PodFailure
	for _, name := range s.Pods {
		i := slices.IndexFunc(status.Pods, func(p runtime.PodStatus) bool { return p.Name == name })
		if i < 0 {
			failures = append(failures, PodFailure{Pod: name, What: "the supervisor does not know it"})
			continue
		}
		pod := status.Pods[i]
		if pod.Ready {
			if missing := p.missing[name]; missing != "" && len(pod.Containers) > 0 {
				c := pod.Containers[0]
				failures = append(failures, failureOf(pod, c, "it is ready, and does not work: "+missing, exam.diagnose(status, pod, c)))
			}
			continue
		}
		if len(pod.Containers) == 0 {
			failures = append(failures, PodFailure{Pod: name, What: orUnknown(cmp.Or(pod.LastError, pod.Message))})
		}
		for _, c := range pod.Containers {
			if !c.Ready {
				what := fmt.Sprintf("it is not ready (%s)", strings.ToLower(string(pod.State)))
				failures = append(failures, failureOf(pod, c, what, exam.diagnose(status, pod, c)))
			}
		}
	}
	return failures
}

func failureOf(pod runtime.PodStatus, c runtime.ContainerStatus, what string, d *diagnose.Diagnosis) PodFailure {
	f := PodFailure{
		Pod: pod.Name, Container: c.Name, What: what, Probe: c.LastProbe, Restarts: c.RestartCount,
		ExitCode: c.ExitCode, Signal: c.Signal, LogPath: c.LogPath, Diagnosis: d,
		Log: evidence.WithoutSecrets(pod.Source, evidence.Tail(c.LogPath)),
	}
	for _, text := range []string{pod.LastError, c.Message} { // a back-off says less than what led to it
		// Its first line: what follows are the last lines of the log, which stand below.
		if text, _, _ = strings.Cut(text, "\n"); f.Message == "" {
			f.Message = strings.TrimSuffix(text, ":")
		}
	}
	return f
}

func orUnknown(s string) string {
	if s == "" {
		return "it has not started"
	}
	return s
}
