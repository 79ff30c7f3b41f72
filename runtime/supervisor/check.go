package supervisor

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/health"
)

// ProbeTarget is a probe of a running container.
type ProbeTarget struct {
	Pod       *runtime.Pod
	Container *corev1.Container
	Probe     *corev1.Probe
	Running   runtime.Container
}

// NewCheck makes the check of a probe; what it returns answers with the errors of package health.
type NewCheck func(target ProbeTarget) health.Check

// newCheck is the NewCheck of a real supervisor.
func newCheck(t ProbeTarget) health.Check {
	execer, _ := t.Running.(runtime.Execer) // nil if the runtime cannot
	check, err := health.New(t.Probe.ProbeHandler, health.Target{Container: t.Container, Exec: execer})
	if err != nil {
		return func(context.Context) error { return err }
	}
	return check
}

// outcome is what one check said.
type outcome string

const (
	passed  outcome = "passed"
	warned  outcome = "warned"  // passed, with something to tell
	failed  outcome = "failed"  // it answered wrongly, or not in time
	unknown outcome = "unknown" // the check itself could not be made: as if it had not been
)

// judge turns a check's answer into an outcome, its text, and what more there is to know.
func judge(err error) (o outcome, text, detail string) {
	var failure *health.Failure
	var remark *health.Warning
	switch {
	case err == nil:
		return passed, "", ""
	case errors.As(err, &failure):
		return failed, failure.Message, failure.Detail
	case errors.As(err, &remark):
		return warned, remark.Message, ""
	default:
		return unknown, err.Error(), ""
	}
}
