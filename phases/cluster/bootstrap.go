package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Policy is what a new cluster gets from its own components, as cmd/components/policy prints it.
type Policy struct {
	// Objects are the default roles, bindings and priority classes, whole, in the order in which to create them.
	Objects         []json.RawMessage `json:"objects"`
	ServiceAccounts []Account         `json:"serviceAccounts"`
}

// Account is a service account in kube-system, and the controllers that use it.
type Account struct {
	Name        string       `json:"name"`
	Controllers []Controller `json:"controllers"`
}

// Controller is a controller as the flag --controllers names it.
type Controller struct {
	Names []string `json:"names"`           // the present name, and older ones
	Off   bool     `json:"off,omitempty"`   // it runs only if it is named
	Gated bool     `json:"gated,omitempty"` // a feature gate that is on by default lets it run
}

// ParsePolicy reads what cmd/components/policy has printed.
func ParsePolicy(data []byte) (Policy, error) {
	var p Policy
	if err := json.Unmarshal(data, &p); err != nil {
		return Policy{}, fmt.Errorf("cannot read the bootstrap policy: %w", err)
	}
	return p, nil
}

const (
	creators = 8 // requests at a time
	// startRetry is short: the hook of the API server waits for one second only.
	startRetry = 10 * time.Millisecond
)

// Bootstrap creates the objects and the service accounts of kube-system, in this order, as soon as the server
// answers, several at a time. It creates nothing in a cluster that has a role already: what is missing there,
// somebody has removed, or the API server is about to create. Nothing that is there is changed. It returns how
// many objects it created.
func (c *Client) Bootstrap(ctx context.Context, objects []json.RawMessage, accounts []string) (made int, err error) {
	list, err := decodeAll(objects, accounts)
	if err != nil {
		return 0, err
	}
	fresh, err := c.fresh(ctx)
	if err != nil || !fresh {
		return 0, err
	}
	var next, count atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range creators {
		group.Go(func() error {
			for i := int(next.Add(1)) - 1; i < len(list); i = int(next.Add(1)) - 1 {
				created, err := c.create(ctx, list[i])
				if err != nil {
					return err
				}
				if created {
					count.Add(1)
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return int(count.Load()), err
}

// decodeAll makes objects of JSON and of the names of service accounts.
func decodeAll(objects []json.RawMessage, accounts []string) ([]*unstructured.Unstructured, error) {
	list := make([]*unstructured.Unstructured, 0, len(objects)+len(accounts))
	for _, data := range objects {
		obj := &unstructured.Unstructured{}
		if err := json.Unmarshal(data, obj); err != nil {
			return nil, fmt.Errorf("cannot read the bootstrap policy: %w", err)
		}
		list = append(list, obj)
	}
	for _, name := range accounts {
		list = append(list, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": name, "namespace": "kube-system"},
		}})
	}
	return list, nil
}

// fresh waits until the server answers, and says whether it has no role yet.
func (c *Client) fresh(ctx context.Context) (bool, error) {
	roles := schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
	var found *unstructured.UnstructuredList
	err := c.insist(ctx, passing, func() (err error) {
		found, err = c.api.Resource(roles).List(ctx, metav1.ListOptions{Limit: 1})
		return err
	})
	if err != nil {
		return false, &Error{Verb: "read", Object: "the cluster roles", Server: c.server, Err: err, GaveUp: ctx.Err()}
	}
	return len(found.Items) == 0, nil
}

// create says whether it created the object; one of that name may be there.
func (c *Client) create(ctx context.Context, obj *unstructured.Unstructured) (created bool, err error) {
	kind := obj.GroupVersionKind()
	resource := kind.GroupVersion().WithResource(plural(kind.Kind))
	later := func(err error) bool { // the server makes the namespaces when it starts
		return passing(err) || obj.GetNamespace() != "" && apierrors.IsNotFound(err)
	}
	err = c.insist(ctx, later, func() error {
		_, err := c.api.Resource(resource).Namespace(obj.GetNamespace()).Create(ctx, obj, metav1.CreateOptions{})
		return err
	})
	switch {
	case err == nil:
		return true, nil
	case apierrors.IsAlreadyExists(err):
		return false, nil
	}
	return false, &Error{Verb: "create", Object: kind.Kind + " " + obj.GetName(), Server: c.server, Err: err, GaveUp: ctx.Err()}
}

// plural is the path of a kind in the API, for the kinds of a policy.
func plural(kind string) string {
	name := strings.ToLower(kind)
	if strings.HasSuffix(name, "s") {
		return name + "es" // PriorityClass
	}
	return name + "s"
}

// insist does it again as long as the error is one that passes, until ctx ends.
func (c *Client) insist(ctx context.Context, passes func(error) bool, do func() error) error {
	for {
		err := do()
		if err == nil || !passes(err) {
			return err
		}
		select {
		case <-time.After(startRetry):
		case <-ctx.Done():
			return err
		}
	}
}
