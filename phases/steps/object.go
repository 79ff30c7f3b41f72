package steps

import (
	"context"
	"fmt"
	"time"

	"github.com/kubecrank/kubecrank/phases/cluster"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// ApplyObject creates or updates an object through the API.
type ApplyObject struct {
	Object     cluster.Object `json:"object"`
	Server     string         `json:"server"`     // URL
	Kubeconfig string         `json:"kubeconfig"` // path; its server may be a load balancer that is not up yet
	Timeout    Span           `json:"timeout"`
}

// Kind implements Step.
func (ApplyObject) Kind() string { return "ApplyObject" }

// Describe implements Step.
func (s ApplyObject) Describe() string { return "apply " + s.Object.String() }

// Compare implements Step. The API server finds out whether there is anything to change.
func (s ApplyObject) Compare(plan.Host) plan.Work {
	return plan.Work{State: plan.Runs, Do: s.apply}
}

func (s ApplyObject) apply(ctx context.Context, n *plan.Node) (plan.Outcome, error) {
	seen := resource.Look(s.Kubeconfig, n.Root == "")
	if seen.Kind != resource.Regular {
		return plan.Outcome{}, fmt.Errorf("cannot read %s: it is %s %s", s.Kubeconfig, seen.Kind, seen.Error)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	changed, err := n.API.Apply(ctx, plan.Endpoint{Server: s.Server, Kubeconfig: seen.Data}, s.Object)
	switch {
	case err != nil:
		return plan.Outcome{}, err
	case changed:
		return plan.Outcome{State: plan.Changed}, nil
	default:
		return plan.Outcome{State: plan.Unchanged}, nil
	}
}

// ClusterAPI is the API of a real cluster.
type ClusterAPI struct{}

// Apply implements API.
func (ClusterAPI) Apply(ctx context.Context, to plan.Endpoint, obj cluster.Object) (bool, error) {
	c, err := cluster.ConnectTo(to.Kubeconfig, to.Server)
	if err != nil {
		return false, err
	}
	return c.Apply(ctx, obj)
}

// Open implements API.
func (ClusterAPI) Open(to plan.Endpoint) (plan.Reader, error) {
	return cluster.ConnectTo(to.Kubeconfig, to.Server)
}
