package health

import (
	"context"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// tcp connects and closes (pkg/probe/tcp).
func tcp(action *corev1.TCPSocketAction, target Target) (Check, error) {
	port, err := resolvePort(action.Port, target.Container)
	if err != nil {
		return nil, err
	}
	host := action.Host
	if host == "" {
		host = target.Host
	}
	address := net.JoinHostPort(host, strconv.Itoa(port))
	d := dialer()
	return func(ctx context.Context) error {
		conn, err := d.DialContext(ctx, "tcp", address)
		if stop := cancelled(ctx); err != nil && stop != nil {
			return stop
		}
		if err != nil {
			return &Failure{Message: err.Error()}
		}
		_ = conn.Close() // it could be opened, and that was the question
		return nil
	}, nil
}
