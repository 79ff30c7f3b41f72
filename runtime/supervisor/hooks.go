package supervisor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubecrank/kubecrank/runtime"
)

// hookTarget is the container that a hook is about.
type hookTarget struct {
	pod  *runtime.Pod
	spec *corev1.Container
	rc   runtime.Container
}

// postStart runs the hook; the container counts as running when it has ended (statement 60). It has no time limit.
func (p *pod) postStart(c *container) {
	target, run, ctx := hookTarget{p.cur, c.spec, c.rc}, c.run, c.ctx
	p.async(func(context.Context) event {
		return evHooked{c, run, runHook(ctx, target, target.spec.Lifecycle.PostStart)}
	})
}

func (p *pod) onHooked(e evHooked) {
	c := e.c
	if !p.current(c, e.run) || c.state != ctrHook {
		return
	}
	if e.err == nil {
		p.begin(c)
		return
	}
	p.problem = fmt.Sprintf("container %s: its postStart hook failed: %v", c.spec.Name, e.err)
	p.event(c, runtime.Warning, runtime.ReasonFailedPostStartHook, "PostStartHook failed: "+e.err.Error())
	c.killed = true
	c.probe = "its postStart hook failed: " + e.err.Error()
	p.kill(c, p.grace(), "FailedPostStartHook: stopping container "+c.spec.Name)
}

// preStop runs the hook within the grace period; its failure does not stop the end (statement 59).
func (p *pod) preStop(ctx context.Context, target hookTarget, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	return runHook(ctx, target, target.spec.Lifecycle.PreStop)
}

func runHook(ctx context.Context, target hookTarget, hook *corev1.LifecycleHandler) error {
	switch {
	case hook.Exec != nil:
		return execHook(ctx, target.rc, hook.Exec.Command)
	case hook.HTTPGet != nil:
		return httpHook(ctx, target.spec, hook.HTTPGet)
	case hook.Sleep != nil:
		if !sleepUntil(ctx, time.Now().Add(time.Duration(hook.Sleep.Seconds)*time.Second)) {
			return errors.New("container terminated before sleep hook finished")
		}
		return nil
	default:
		return errors.New("invalid handler: only exec, httpGet and sleep can be hooks")
	}
}

func execHook(ctx context.Context, rc runtime.Container, command []string) error {
	execer, ok := rc.(runtime.Execer)
	if !ok {
		return errors.New("this runtime cannot run commands in a container")
	}
	output, code, err := execer.Exec(ctx, command)
	if err != nil {
		return fmt.Errorf("cannot run %q: %w", command, err)
	}
	if code != 0 {
		return fmt.Errorf("command %q exited with %d: %s", command, code, strings.TrimSpace(string(output)))
	}
	return nil
}

// httpHook makes the request; any answer is a success, and a server that speaks plain HTTP where HTTPS
// was asked for is asked again (statement 61; pkg/kubelet/lifecycle/handlers.go).
func httpHook(ctx context.Context, spec *corev1.Container, action *corev1.HTTPGetAction) error {
	port, err := containerPort(action.Port, spec)
	if err != nil {
		return err
	}
	host := action.Host
	if host == "" {
		host = "127.0.0.1"
	}
	target, err := url.Parse(action.Path)
	if err != nil {
		target = &url.URL{Path: action.Path}
	}
	target.Scheme, target.Host = strings.ToLower(string(action.Scheme)), net.JoinHostPort(host, strconv.Itoa(port))
	err = hookRequest(ctx, target.String(), action.HTTPHeaders)
	var plain tls.RecordHeaderError
	if err != nil && (errors.As(err, &plain) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")) {
		target.Scheme = "http"
		// What was meant for an encrypted connection stays out of this one.
		open := slices.DeleteFunc(slices.Clone(action.HTTPHeaders), func(h corev1.HTTPHeader) bool {
			return strings.EqualFold(h.Name, "Authorization")
		})
		return hookRequest(ctx, target.String(), open)
	}
	return err
}

func hookRequest(ctx context.Context, address string, headers []corev1.HTTPHeader) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "kube-lifecycle/1.36")
	req.Header.Set("Accept", "*/*")
	for _, h := range headers {
		if strings.EqualFold(h.Name, "Host") {
			req.Host = h.Value
			continue
		}
		req.Header.Add(h.Name, h.Value)
	}
	// As the kubelet: the target is the pod itself, so its certificate is not checked.
	transport := &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 1 << 20}
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.CopyN(io.Discard, resp.Body, 10<<10)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// containerPort resolves a number or the name of a port of the container.
func containerPort(port intstr.IntOrString, spec *corev1.Container) (int, error) {
	if port.Type == intstr.Int {
		return port.IntValue(), nil
	}
	for _, p := range spec.Ports {
		if p.Name == port.StrVal {
			return int(p.ContainerPort), nil
		}
	}
	return 0, fmt.Errorf("container %s has no port named %q", spec.Name, port.StrVal)
}
