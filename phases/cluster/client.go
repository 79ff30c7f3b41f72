package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Client talks to one API server as one user. It may be used concurrently.
type Client struct {
	server string // URL
	api    dynamic.Interface
}

const (
	// requestTimeout is for a server that accepts a connection and then says nothing; kubeadm's is the same.
	requestTimeout = 10 * time.Second
	firstRetry     = 50 * time.Millisecond
	lastRetry      = 200 * time.Millisecond
)

// Connect makes a client from a kubeconfig's bytes. It sends nothing yet.
func Connect(kubeconfig []byte) (*Client, error) { return ConnectTo(kubeconfig, "") }

// ConnectTo is Connect to another URL than the kubeconfig's, unless server is
// "". On the node that is being set up that is its own API server: the
// control plane endpoint of admin.conf may be a load balancer that does not
// yet know of it (kubernetes/kubeadm#3294).
func ConnectTo(kubeconfig []byte, server string) (*Client, error) {
	cfg, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the API server: the kubeconfig is unusable: %w", err)
	}
	if server != "" {
		cfg.Host = server
		cfg.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil } // no proxy leads to this machine
	}
	cfg.Timeout = requestTimeout
	// No rate limiter: it would end a wait with an error of its own and hide what was wrong.
	cfg.QPS = -1
	cfg.UserAgent = FieldManager
	cfg.WarningHandler = rest.NoWarnings{} // the default one logs to stderr
	api, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the API server %s: %w", cfg.Host, err)
	}
	return &Client{server: cfg.Host, api: api}, nil
}

// Apply makes the object what it says, and tells whether that changed
// anything. Fields that others have set and the object does not mention stay;
// conflicts are decided for kubecrank. As long as the server cannot be
// reached or says that it is busy (429, 5xx), Apply tries again until ctx
// ends; any other answer is final. Errors are *Error, with the last answer
// and not merely the end of ctx as the cause.
func (c *Client) Apply(ctx context.Context, o Object) (changed bool, err error) {
	var last error
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		changed, err := c.applyOnce(ctx, o)
		if err == nil {
			return changed, nil
		}
		// The request that ctx has cut off says less than the one before it.
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if !passing(err) {
			break
		}
		retry := time.NewTimer(wait)
		select {
		case <-retry.C:
			continue
		case <-ctx.Done():
			retry.Stop()
		}
		break
	}
	return false, &Error{Object: o.String(), Server: c.server, Err: last, GaveUp: ctx.Err()}
}

func (c *Client) applyOnce(ctx context.Context, o Object) (changed bool, err error) {
	obj, err := o.decode()
	if err != nil {
		return false, &malformedError{err}
	}
	// The dynamic client's interface for cluster-wide objects is that of the empty namespace.
	resource := c.api.Resource(o.resource()).Namespace(o.Namespace)
	before, err := resource.Get(ctx, o.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return false, err
	}
	after, err := resource.Apply(ctx, o.Name, obj, metav1.ApplyOptions{FieldManager: FieldManager, Force: true})
	if err != nil {
		return false, err
	}
	// The API server does not write an object that an apply leaves as it was.
	return before == nil || before.GetResourceVersion() != after.GetResourceVersion(), nil
}

// passing says whether the error may go away by itself: whatever keeps the
// server from answering at all may.
func passing(err error) bool {
	var malformed *malformedError
	if errors.As(err, &malformed) || certificateProblem(err) {
		return false
	}
	if status := answer(err); status != nil {
		code := status.Status().Code
		return code >= http.StatusInternalServerError || code == http.StatusTooManyRequests
	}
	return true
}
