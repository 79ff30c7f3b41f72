package cluster

import (
	"context"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Lease is who leads, as a lease in namespace kube-system says. The zero value means that there is none.
type Lease struct {
	Holder  string    // "HOST_UUID"
	Renewed time.Time // by the holder's clock
}

// Lease reads a lease of namespace kube-system. Errors are *Error.
func (c *Client) Lease(ctx context.Context, name string) (Lease, error) {
	obj, err := c.find(ctx, Object{Group: "coordination.k8s.io", Version: "v1", Resource: "leases", Kind: "Lease",
		Namespace: "kube-system", Name: name})
	if err != nil || obj == nil {
		return Lease{}, err
	}
	var l Lease
	l.Holder, _, _ = unstructured.NestedString(obj.Object, "spec", "holderIdentity")
	text, _, _ := unstructured.NestedString(obj.Object, "spec", "renewTime")
	l.Renewed, _ = time.Parse(time.RFC3339Nano, text) // what cannot be read was never renewed
	return l, nil
}

// Exists says whether there is an object of this name. Errors are *Error.
func (c *Client) Exists(ctx context.Context, o Object) (bool, error) {
	obj, err := c.find(ctx, o)
	return obj != nil, err
}

// find returns nil for an object that is not there.
func (c *Client) find(ctx context.Context, o Object) (*unstructured.Unstructured, error) {
	obj, err := c.api.Resource(o.resource()).Namespace(o.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, &Error{Verb: "read", Object: o.String(), Server: c.server, Err: err, GaveUp: ctx.Err()}
	}
	return obj, nil
}

// Passing says whether the server may answer otherwise before long: it cannot be reached, or is busy.
func (e *Error) Passing() bool { return passing(e.Err) }

// Forbidden says whether the server knows the user, who may not do this.
func (e *Error) Forbidden() bool {
	status := answer(e.Err)
	return status != nil && status.Status().Code == http.StatusForbidden
}
