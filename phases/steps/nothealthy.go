package steps

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/phases/diagnose"
)

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
	Log       []string            // the last lines
	Diagnosis *diagnose.Diagnosis // nil when no known cause fits
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
	if d := f.Diagnosis; d != nil {
		fmt.Fprintf(b, "\n    %s: %s", d.Certainty.Heading(), d.Explanation)
	}
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

// Hint says what to do next: what mends each cause that is certain, or else the most likely one.
func (e *NotHealthyError) Hint() string {
	var remedies []string
	for _, grade := range []diagnose.Certainty{diagnose.Certain, diagnose.Probable, diagnose.Passing} {
		for _, f := range e.Failures {
			if d := f.Diagnosis; d != nil && d.Certainty == grade && !slices.Contains(remedies, d.Remedy) {
				remedies = append(remedies, d.Remedy)
			}
		}
		if len(remedies) > 0 {
			return strings.Join(remedies, "\n")
		}
	}
	return "'kubecrank status' and 'kubecrank logs COMPONENT' show more; correct the cause and run it again; " +
		"'kubecrank reset' undoes all, and all data of the cluster is lost with it"
}
