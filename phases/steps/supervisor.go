package steps

import (
	"context"
	"fmt"

	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/runtime"
)

// StartSupervisor leaves a supervisor running in the background.
type StartSupervisor struct {
	Socket    string `json:"socket"`
	Manifests string `json:"manifests"`
}

// Kind implements Step.
func (StartSupervisor) Kind() string { return "StartSupervisor" }

// Describe implements Step.
func (s StartSupervisor) Describe() string {
	return fmt.Sprintf("start the supervisor of the static pods in %s", s.Manifests)
}

// Compare implements Step. A supervisor that runs without a record of an init is somebody's: it may read another
// directory, never see our manifests, and hold pods that a reset would stop. By hand or at boot, one may be
// started again where the journal has the record.
func (s StartSupervisor) Compare(h plan.Host) plan.Work {
	o, ours := h.Claim(resource.Resource{Kind: resource.Process, Key: s.Socket})
	runs := h.SupervisorRuns()
	if runs && !ours {
		return plan.Work{State: plan.Conflict, Refused: plan.NotOurs, Detail: "a supervisor that init did not start answers on " + s.Socket,
			Hint: "give the control plane another --root, or stop that supervisor first (Ctrl-C stops its pods, too): init starts its own"}
	}
	w := plan.Work{State: plan.New, Do: func(ctx context.Context, n *plan.Node) (plan.Outcome, error) {
		pid, err := n.Supervisor.Start(ctx)
		if err != nil {
			return plan.Outcome{}, err
		}
		return plan.Outcome{Detail: fmt.Sprintf("PID %d", pid)}, nil
	}}
	if runs {
		w.State, w.Detail = plan.Unchanged, "it runs"
	}
	// Once an init has recorded it, it is ours to stop even if somebody started it again by hand: it runs our pods.
	if !ours || !o.Done {
		w.Makes = []resource.Claim{{Resource: resource.Resource{Kind: resource.Process, Key: s.Socket}}}
	}
	return w
}

// StopSupervisor stops all pods in reverse start order, then the supervisor.
type StopSupervisor struct {
	Socket string `json:"socket"`
	// Unrecorded says that something runs although the journal knows of no start: it lost its end.
	Unrecorded bool `json:"unrecorded,omitempty"`
}

// Kind implements Step.
func (StopSupervisor) Kind() string { return "StopSupervisor" }

// Describe implements Step.
func (StopSupervisor) Describe() string {
	return "stop all pods in reverse start order, then the supervisor"
}

// Compare implements Step. A supervisor that does not answer may have left its
// pods running, so there is something to do as long as the journal says that one was started, or something runs.
func (s StopSupervisor) Compare(h plan.Host) plan.Work {
	o, ours := h.Claim(resource.Resource{Kind: resource.Process, Key: s.Socket})
	var unmakes []resource.Claim
	switch {
	case ours:
		unmakes = []resource.Claim{o}
	case !s.Unrecorded:
		return plan.Work{State: plan.Unchanged, Detail: "none was started"}
	}
	return plan.Work{State: plan.New, Unmakes: unmakes, Do: func(ctx context.Context, n *plan.Node) (plan.Outcome, error) {
		return plan.Outcome{}, n.Supervisor.Stop(ctx, func(e runtime.Event) { n.Tell(e.Pod + ": " + e.Message) })
	}}
}
