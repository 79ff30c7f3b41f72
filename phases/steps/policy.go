package steps

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/kubecrank/kubecrank/phases/cluster"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// CreatePolicy creates what a new cluster gets from its components before they do it, which is faster: they
// create one object after the other. It never fails, for the components do what is left.
type CreatePolicy struct {
	Version    string            `json:"version,omitempty"` // of Kubernetes
	Objects    []json.RawMessage `json:"-"`
	Accounts   []string          `json:"accounts,omitempty"` // the service accounts of controllers, in kube-system
	Without    string            `json:"without,omitempty"`  // why nothing is created
	Server     string            `json:"server"`             // URL
	Kubeconfig string            `json:"kubeconfig"`         // path
	Timeout    Span              `json:"timeout"`
}

// Kind implements Step.
func (CreatePolicy) Kind() string { return "CreatePolicy" }

// Describe implements Step.
func (s CreatePolicy) Describe() string {
	return "create the default roles, bindings and priority classes, and the controllers' service accounts"
}

// Compare implements Step. The API server finds out whether there is anything to create.
func (s CreatePolicy) Compare(plan.Host) plan.Work {
	if s.Without != "" {
		return plan.Work{State: plan.Unchanged, Detail: s.Without}
	}
	return plan.Work{State: plan.Runs, Do: s.create}
}

func (s CreatePolicy) create(ctx context.Context, n *plan.Node) (plan.Outcome, error) {
	seen := resource.Look(s.Kubeconfig, n.Root == "")
	if seen.Kind != resource.Regular {
		return plan.Outcome{State: plan.Unchanged, Detail: fmt.Sprintf("%s is %s; the components do it", s.Kubeconfig, seen.Kind)}, nil
	}
	limit, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	made, err := n.API.Bootstrap(limit, plan.Endpoint{Server: s.Server, Kubeconfig: seen.Data}, s.Objects, s.Accounts)
	switch {
	case ctx.Err() != nil:
		return plan.Outcome{}, ctx.Err()
	case err != nil:
		return plan.Outcome{State: plan.Unchanged, Detail: fmt.Sprintf("%d created; the components do the rest: %v", made, err)}, nil
	case made == 0:
		return plan.Outcome{State: plan.Unchanged, Detail: "the cluster has roles already"}, nil
	}
	return plan.Outcome{State: plan.Changed, Detail: fmt.Sprintf("%d objects of %s", made, s.Version)}, nil
}

// Bootstrap implements API.
func (ClusterAPI) Bootstrap(ctx context.Context, to plan.Endpoint, objects []json.RawMessage, accounts []string) (int, error) {
	c, err := cluster.ConnectTo(to.Kubeconfig, to.Server)
	if err != nil {
		return 0, err
	}
	return c.Bootstrap(ctx, objects, accounts)
}
