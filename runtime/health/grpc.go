package health

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
)

// grpcHealth asks the service grpc.health.v1.Health (pkg/probe/grpc), without TLS. SERVING is healthy. As the
// kubelet does, it waits for a connection as long as the timeout lasts, also when the first attempts are refused.
func grpcHealth(action *corev1.GRPCAction, target Target) (Check, error) {
	if action.Port < 1 || action.Port > 65535 {
		return nil, fmt.Errorf("invalid port number: %d", action.Port)
	}
	service := ""
	if action.Service != nil {
		service = *action.Service
	}
	address := net.JoinHostPort(target.Host, strconv.Itoa(int(action.Port)))
	return func(ctx context.Context) error {
		return askGRPC(ctx, address, service)
	}, nil
}

// maxMessage bounds what a server may answer; an answer has two bytes.
const maxMessage = 64 << 10

func askGRPC(ctx context.Context, address, service string) error {
	limit := timeout(ctx, time.Now())
	last := &lastError{dial: dialer().DialContext}
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithUserAgent(userAgent),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithMaxHeaderListSize(maxMessage),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithContextDialer(last.connect))
	if err != nil {
		return &Failure{Message: fmt.Sprintf("error: failed to connect service at %q: %+v", address, err)}
	}
	defer func() { _ = conn.Close() }() // there is nothing that it could lose
	if err := ready(ctx, conn); err != nil {
		if stop := cancelled(ctx); stop != nil {
			return stop
		}
		return &Failure{
			Message: fmt.Sprintf("timeout: failed to connect service %q within %v: %+v", address, limit, err),
			Detail:  last.text(),
		}
	}
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	if stop := cancelled(ctx); err != nil && stop != nil {
		return stop
	}
	if err != nil {
		return &Failure{Message: rpcMessage(err, limit)}
	}
	if s := resp.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		return &Failure{Message: fmt.Sprintf("service unhealthy (responded with %q)", s.String())}
	}
	return nil
}

// ready waits for a connection, as grpc.WithBlock did.
func ready(ctx context.Context, conn *grpc.ClientConn) error {
	conn.Connect()
	for {
		state := conn.GetState()
		if state == connectivity.Ready {
			return nil
		}
		if state == connectivity.Idle {
			conn.Connect()
		}
		if !conn.WaitForStateChange(ctx, state) {
			return ctx.Err()
		}
	}
}

func rpcMessage(err error, limit time.Duration) string {
	switch s, _ := status.FromError(err); s.Code() {
	case codes.Unimplemented:
		return fmt.Sprintf("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): %s", s.Message())
	case codes.DeadlineExceeded:
		return fmt.Sprintf("timeout: health rpc did not complete within %v", limit)
	}
	return fmt.Sprintf("error: health rpc probe failed: %+v", err)
}

// lastError remembers why the last attempt to connect failed: gRPC itself only tells that time ran out.
type lastError struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	mu   sync.Mutex
	err  error
}

func (l *lastError) connect(ctx context.Context, address string) (net.Conn, error) {
	conn, err := l.dial(ctx, "tcp", address)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && ctx.Err() == nil || l.err == nil {
		l.err = err
	}
	return conn, err
}

func (l *lastError) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return ""
	}
	return l.err.Error()
}
