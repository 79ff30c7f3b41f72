package plan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// WaitHealthy waits until pods are ready, or until it is certain that they will not be.
type WaitHealthy struct {
	Pods    []string `json:"pods"` // names as in the manifests
	Timeout Span     `json:"timeout"`
	Log     string   `json:"-"` // of the supervisor, for when that is what failed
}

// Kind implements Step.
func (WaitHealthy) Kind() string { return "WaitHealthy" }

// Describe implements Step.
func (s WaitHealthy) Describe() string {
	return fmt.Sprintf("wait until %s are ready, at most %s", strings.Join(s.Pods, ", "), time.Duration(s.Timeout))
}

// The limits of a wait.
const (
	pollPeriod = 15 * time.Millisecond
	// enoughExits is how many restarts after failures make a crash loop, if the
	// supervisor has not come to that conclusion before.
	enoughExits = 3
	// crashLoop is the kubelet's reason of a container whose next start has to wait:
	// it has failed twice, for the first restart comes at once.
	crashLoop = "CrashLoopBackOff"
	// settle is how long a container that was started again may still show its old failure.
	settle = 2 * time.Second
	// silence is how long a supervisor may not answer while its pods are waited for.
	silence = 3 * time.Second
)

// Compare implements Step.
func (s WaitHealthy) Compare(Host) Work {
	return Work{State: Runs, Do: s.wait}
}

func (s WaitHealthy) wait(ctx context.Context, n *Node) (Outcome, error) {
	start := time.Now()
	limit, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	tick := time.NewTicker(pollPeriod)
	defer tick.Stop()
	ready := make(map[string]bool, len(s.Pods))
	heard := start
	var last runtime.Status
	var old oldFailures
	for {
		status, err := n.Supervisor.Status(limit)
		switch {
		case err == nil:
			if last, heard = status, time.Now(); old == nil {
				if old, err = s.tryAgain(limit, n, status); err != nil {
					return Outcome{}, err
				}
			}
			if s.tellReady(n, status, ready, time.Since(start)); len(ready) == len(s.Pods) {
				return Outcome{}, nil
			}
			if failures := s.hopeless(status, old, time.Now()); len(failures) > 0 {
				return Outcome{}, &NotHealthyError{Failures: failures, Waited: time.Since(start)}
			}
		case errors.Is(err, runtime.ErrNotRunning) && time.Since(heard) > silence:
			return Outcome{}, &NotHealthyError{Waited: time.Since(start), Failures: []PodFailure{{
				What: "the supervisor is not running any more", LogPath: s.Log, Log: tailLog(s.Log),
			}}}
		}
		select {
		case <-tick.C:
		case <-limit.Done():
			if ctx.Err() != nil {
				return Outcome{}, ctx.Err()
			}
			return Outcome{}, &NotHealthyError{Failures: s.unready(last), Waited: time.Since(start), TimedOut: true}
		}
	}
}

func (s WaitHealthy) tellReady(n *Node, status runtime.Status, ready map[string]bool, after time.Duration) {
	for _, pod := range status.Pods {
		if slices.Contains(s.Pods, pod.Name) && pod.Ready && !ready[pod.Name] {
			ready[pod.Name] = true
			n.Tell(fmt.Sprintf("%s is ready after %.1f s", pod.Name, after.Seconds()))
		}
		if !pod.Ready {
			delete(ready, pod.Name) // not any more
		}
	}
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
func (s WaitHealthy) tryAgain(ctx context.Context, n *Node, status runtime.Status) (oldFailures, error) {
	old := make(oldFailures)
	for _, pod := range status.Pods {
		if !slices.Contains(s.Pods, pod.Name) || pod.Ready {
			continue
		}
		held := slices.ContainsFunc(pod.Containers, func(c runtime.ContainerStatus) bool { return c.Reason == crashLoop })
		var until time.Time
		if restarter, can := n.Supervisor.(Restarter); held && can {
			if err := restarter.Restart(ctx, pod.Name); err != nil {
				return nil, err
			}
			until = time.Now().Add(settle)
			n.Tell(pod.Name + " is started again")
		}
		for _, c := range pod.Containers {
			if c.Reason == crashLoop || c.ExitCode != nil {
				old[failure{pod.Name, c.Name, c.RestartCount}] = until
			}
		}
	}
	return old, nil
}

// hopeless returns the pods that waiting will not mend: crash loops, and
// manifests that are refused. Old failures say nothing.
func (s WaitHealthy) hopeless(status runtime.Status, old oldFailures, now time.Time) []PodFailure {
	var failures []PodFailure
	for _, pod := range status.Pods {
		if !slices.Contains(s.Pods, pod.Name) || pod.Ready {
			continue
		}
		for _, c := range pod.Containers {
			exited := c.ExitCode != nil && *c.ExitCode != 0
			switch {
			case old.has(pod, c, now):
			case c.Reason == crashLoop && c.ExitCode == nil:
				failures = append(failures, failureOf(pod, c, "it cannot be started"))
			case c.Reason == crashLoop, exited && c.RestartCount >= enoughExits:
				failures = append(failures, failureOf(pod, c, "it keeps exiting"))
			}
		}
		if pod.State == "Failed" {
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

func (s WaitHealthy) isOurs(source string) bool {
	return slices.ContainsFunc(s.Pods, func(pod string) bool { return strings.HasSuffix(source, "/"+pod+".yaml") })
}

// unready returns all pods that are not ready, each with what is known of it.
func (s WaitHealthy) unready(status runtime.Status) []PodFailure {
	var failures []PodFailure
	for _, name := range s.Pods {
		i := slices.IndexFunc(status.Pods, func(p runtime.PodStatus) bool { return p.Name == name })
		if i < 0 {
			failures = append(failures, PodFailure{Pod: name, What: "the supervisor does not know it"})
			continue
		}
		pod := status.Pods[i]
		if pod.Ready {
			continue
		}
		if len(pod.Containers) == 0 {
			failures = append(failures, PodFailure{Pod: name, What: orUnknown(cmp.Or(pod.LastError, pod.Message))})
		}
		for _, c := range pod.Containers {
			if !c.Ready {
				failures = append(failures, failureOf(pod, c, fmt.Sprintf("it is not ready (%s)", strings.ToLower(pod.State))))
			}
		}
	}
	return failures
}

func failureOf(pod runtime.PodStatus, c runtime.ContainerStatus, what string) PodFailure {
	f := PodFailure{
		Pod: pod.Name, Container: c.Name, What: what, Probe: c.LastProbe, Restarts: c.RestartCount,
		ExitCode: c.ExitCode, Signal: c.Signal, LogPath: c.LogPath, Log: tailLog(c.LogPath),
	}
	for _, text := range []string{pod.LastError, c.Message} { // a back-off says less than what led to it
		// Its first line: what follows are the last lines of the log, which stand below.
		if text, _, _ = strings.Cut(text, "\n"); f.Message == "" {
			f.Message = text
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

// NotHealthyError says which components did not become healthy, and all that
// is known of why (exit code 4).
type NotHealthyError struct {
	Failures []PodFailure
	Waited   time.Duration
	TimedOut bool // else it was certain before the time was over
}

// PodFailure is what is known of one container that is not healthy.
type PodFailure struct {
	Pod       string
	Container string
	What      string // "it keeps exiting"
	Probe     string // what was probed and answered, "" when nothing was
	Message   string // what the supervisor says of it
	Restarts  int
	ExitCode  *int
	Signal    string
	LogPath   string
	Log       []string // the last lines
}

func (e *NotHealthyError) Error() string {
	var b strings.Builder
	names := make([]string, 0, len(e.Failures))
	for _, f := range e.Failures {
		if f.Pod != "" && !slices.Contains(names, f.Pod) {
			names = append(names, f.Pod)
		}
	}
	subject := strings.Join(names, ", ")
	if subject == "" {
		subject = "the control plane"
	}
	fmt.Fprintf(&b, "%s did not become healthy in %.1f s", subject, e.Waited.Seconds())
	for _, f := range e.Failures {
		f.print(&b)
	}
	return b.String()
}

func (f PodFailure) print(b *strings.Builder) {
	name := f.Pod
	if f.Container != "" && f.Container != f.Pod {
		name += "/" + f.Container
	}
	fmt.Fprintf(b, "\n  %s: %s", name, f.What)
	if f.ExitCode != nil {
		fmt.Fprintf(b, "\n    last exit: code %d%s, restarts: %d", *f.ExitCode, strings.TrimRight(" "+f.Signal, " "), f.Restarts)
	}
	if f.Message != "" {
		b.WriteString("\n    state: " + f.Message)
	}
	if f.Probe != "" && !strings.Contains(f.Message, f.Probe) {
		b.WriteString("\n    probe: " + f.Probe)
	}
	if len(f.Log) > 0 {
		fmt.Fprintf(b, "\n    last lines of %s:", f.LogPath)
		for _, line := range f.Log {
			b.WriteString("\n      " + line)
		}
	}
}

// causes are texts that components are known to end with, and what to do then.
// A function, not a variable: nobody changes it.
func causes() [][2]string {
	return [][2]string{
		{"address already in use", "another program holds the port; 'ss -ltnp' names it. Stop it, or use --port-offset"},
		{"cannot assign requested address", "the address is not on this machine; give one that is with --apiserver-advertise-address"},
		{"unknown flag", "an extra argument names a flag that this version does not have; see the last lines of the log"},
		{"no space left on device", "the disk is full; make room and run it again"},
		{"permission denied", "a file or directory does not belong to the user that runs it; see the last lines of the log"},
		{"certificate has expired", "renew the certificates, or set this machine's clock"},
		{"member count is unequal", "the etcd data directory belongs to another cluster; move it away"},
		{"cluster ID mismatch", "the etcd data directory belongs to another cluster; move it away"},
		{"exec format error", "the components are for another architecture"},
	}
}

// Hint says what to do next.
func (e *NotHealthyError) Hint() string {
	for _, f := range e.Failures {
		text := f.What + "\n" + f.Message + "\n" + f.Probe + "\n" + strings.Join(f.Log, "\n")
		for _, c := range causes() {
			if strings.Contains(strings.ToLower(text), c[0]) {
				return c[1]
			}
		}
	}
	return "'kubecrank status' and 'kubecrank logs COMPONENT' show more; correct the cause and run it again, or 'kubecrank reset' to undo"
}
