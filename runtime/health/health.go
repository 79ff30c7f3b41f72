// Package health makes checks of containers from the handlers of their probes, with the kubelet's rules and
// texts (k8s.io/kubernetes/pkg/probe, pkg/kubelet/prober/prober.go). When to check, and how often a check
// must fail before somebody acts, is the supervisor's business.
//
//	corev1.ProbeHandler + Target --New--> Check --(ctx with the probe's timeout)--> nil        healthy
//	                                                                                *Warning   healthy, with a remark
//	                                                                                *Failure   not healthy
//	                                                                                any other  could not be checked: nothing is known
package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubecrank/kubecrank/runtime"
)

// Check asks a container once how it is. The deadline of ctx is the probe's timeout, and passing it is a failure
// of the container; when ctx is cancelled, nothing was learned. It may be called concurrently.
type Check func(ctx context.Context) error

// Target is the container that is checked.
type Target struct {
	Host      string            // the pod's address, for handlers that name none; "" is 127.0.0.1, as all pods share the host's network
	Container *corev1.Container // its ports have names, its environment is expanded in commands
	Exec      runtime.Execer    // runs commands; may be nil where no handler needs it
}

// Failure says that the container is not healthy.
type Failure struct {
	Message string // the kubelet's text; for a command what it printed
	Detail  string // for diagnosis: the beginning of an HTTP answer's body, the last connection error; not in events
}

func (f *Failure) Error() string { return f.Message }

// Warning says that the container is healthy, but something is strange.
type Warning struct {
	Message string
}

func (w *Warning) Error() string { return w.Message }

// attempts is how often a check that cannot be carried out is tried (pkg/kubelet/prober/prober.go: maxProbeRetries).
const attempts = 3

// New makes the check of a handler. A port's name that the container does not have and the like are found
// here once; the kubelet finds them at every probe, and then nothing is known, so the error can be treated likewise.
func New(handler corev1.ProbeHandler, target Target) (Check, error) {
	if target.Host == "" {
		target.Host = "127.0.0.1"
	}
	var check Check
	var err error
	switch {
	case handler.Exec != nil:
		check, err = command(handler.Exec, target)
	case handler.HTTPGet != nil:
		check, err = HTTP(handler.HTTPGet, target, nil)
	case handler.TCPSocket != nil:
		check, err = tcp(handler.TCPSocket, target)
	case handler.GRPC != nil:
		check, err = grpcHealth(handler.GRPC, target)
	default:
		err = errors.New("missing probe handler")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make a check: %w", err)
	}
	return retried(check), nil
}

// retried tries a check again that could not be carried out.
func retried(check Check) Check {
	return func(ctx context.Context) error {
		var err error
		for range attempts {
			err = check(ctx)
			if Known(err) || ctx.Err() != nil {
				return err
			}
		}
		return err
	}
}

// Known tells whether a check's answer says something about the container.
func Known(err error) bool { return err == nil || Failed(err) || Warned(err) }

// Failed tells whether a check's answer is that the container is not healthy.
func Failed(err error) bool {
	var f *Failure
	return errors.As(err, &f)
}

// Warned tells whether a check's answer is that the container is healthy, with a remark.
func Warned(err error) bool {
	var w *Warning
	return errors.As(err, &w)
}

// cancelled is the answer when the caller lost interest: nothing was learned.
func cancelled(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return nil
}

// resolvePort as pkg/probe/util.go does: a name may also be a number that is written as a string.
func resolvePort(port intstr.IntOrString, container *corev1.Container) (int, error) {
	number := port.IntValue()
	if port.Type == intstr.String {
		var known bool
		if number, known = namedPort(port.StrVal, container); !known {
			var err error
			if number, err = strconv.Atoi(port.StrVal); err != nil {
				return 0, fmt.Errorf("the container has no port named %q", port.StrVal)
			}
		}
	}
	if number < 1 || number > 65535 {
		return 0, fmt.Errorf("invalid port number: %d", number)
	}
	return number, nil
}

func namedPort(name string, container *corev1.Container) (int, bool) {
	if container == nil {
		return 0, false
	}
	for _, p := range container.Ports {
		if p.Name == name {
			return int(p.ContainerPort), true
		}
	}
	return 0, false
}

// dialer makes connections that leave TIME-WAIT after a second (pkg/probe/dialer_others.go,
// https://issues.k8s.io/89898); not at once, for that would be a reset.
func dialer() *net.Dialer {
	return &net.Dialer{
		Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				// A socket that lingers as usual is a small waste and no reason to fail.
				_ = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: 1})
			})
		},
	}
}
