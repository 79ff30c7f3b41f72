package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func listen(t *testing.T) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

// Statement 77, tcp.
func TestStatic_077_TCP(t *testing.T) {
	t.Parallel()
	l, port := listen(t)
	container := &corev1.Container{Ports: []corev1.ContainerPort{{Name: "etcd", ContainerPort: int32(port)}}}
	handler := corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("etcd")}}
	if err := check(t, handler, Target{Container: container}); err != nil {
		t.Error(err)
	}
	_ = l.Close()
	want := fmt.Sprintf("dial tcp 127.0.0.1:%d: connect: connection refused", port)
	if err := check(t, handler, Target{Container: container}); !Failed(err) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	handler.TCPSocket.Host = "256.0.0.1"
	c, err := New(handler, Target{Container: container})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c(ctx); Known(err) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := New(handler, Target{}); err == nil {
		t.Error("a port without a name was found")
	}
}

// execer answers commands.
type execer func(ctx context.Context, argv []string) ([]byte, int, error)

func (f execer) Exec(ctx context.Context, argv []string) ([]byte, int, error) { return f(ctx, argv) }

// Statement 77, exec; with the expansion of static variables only.
func TestStatic_077_Exec(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var argv []string
		calls := 0
		target := Target{
			Container: &corev1.Container{Env: []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", ValueFrom: &corev1.EnvVarSource{}}}},
			Exec: execer(func(ctx context.Context, a []string) ([]byte, int, error) {
				argv = a
				calls++
				switch a[0] {
				case "ok":
					return []byte("fine"), 0, nil
				case "bad":
					return []byte("broken"), 3, nil
				case "gone":
					return nil, -1, errors.New("container is not running")
				default:
					<-ctx.Done()
					return []byte("so far"), -1, ctx.Err()
				}
			}),
		}
		run := func(argv ...string) error {
			calls = 0
			return check(t, corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: argv}}, target)
		}
		if err := run("ok", "$(A)", "$(B)", "$(C)", "$$(A)"); err != nil || !slices.Equal(argv, []string{"ok", "1", "", "$(C)", "$(A)"}) {
			t.Errorf("%v, %q", err, argv)
		}
		if err := run("bad"); !Failed(err) || err.Error() != "broken" || calls != 1 {
			t.Errorf("%v after %d", err, calls)
		}
		if err := run("gone"); err == nil || Known(err) || calls != 3 {
			t.Errorf("%v after %d", err, calls)
		}
		var f *Failure
		err := run("hang", "on")
		if !errors.As(err, &f) || f.Message != `command timed out: "hang on" timed out after 5s` || f.Detail != "so far" || calls != 1 {
			t.Errorf("%v after %d", err, calls)
		}
	})
	if _, err := New(corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"x"}}}, Target{}); err == nil {
		t.Error("no execer: no error")
	}
}

// healthServer is a gRPC server with a certain health.
type healthServer struct {
	grpc_health_v1.UnimplementedHealthServer
	agents chan string // of those that asked for ""
}

func (s *healthServer) Check(ctx context.Context, req *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	switch req.Service {
	case "":
		s.agents <- strings.Join(md.Get("user-agent"), "")
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
	case "ill":
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}, nil
	case "slow":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, status.Error(codes.NotFound, "unknown service")
}

// Statement 77, grpc (pkg/probe/grpc/grpc_test.go: TestGrpcProber_Probe).
func TestStatic_077_GRPC(t *testing.T) {
	t.Parallel()
	l, port := listen(t)
	server, impl := grpc.NewServer(), &healthServer{agents: make(chan string, 1)}
	grpc_health_v1.RegisterHealthServer(server, impl)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	bare, barePort := listen(t)
	other := grpc.NewServer()
	go func() { _ = other.Serve(bare) }()
	t.Cleanup(other.Stop)
	closed, closedPort := listen(t)
	_ = closed.Close()

	for _, tc := range []struct {
		name, service string
		port          int
		want          string
	}{
		{"serving", "", port, "<nil>"},
		{"not serving", "ill", port, `service unhealthy (responded with "NOT_SERVING")`},
		{"unknown service", "other", port, "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service"},
		{"slow", "slow", port, "timeout: health rpc did not complete within 500ms"},
		{"no health service", "", barePort,
			"error: this server does not implement the grpc health protocol (grpc.health.v1.Health): " +
				"unknown service grpc.health.v1.Health"},
		{"nobody there", "", closedPort,
			fmt.Sprintf(`timeout: failed to connect service "127.0.0.1:%d" within 500ms: context deadline exceeded`, closedPort)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := New(corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: int32(tc.port), Service: &tc.service}}, Target{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			err = c(ctx)
			if fmt.Sprint(err) != tc.want || !Known(err) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			var f *Failure
			if tc.port == closedPort && (!errors.As(err, &f) || !strings.Contains(f.Detail, "connection refused")) {
				t.Errorf("detail: %#v", f)
			}
			if tc.name == "serving" {
				if agent := <-impl.agents; !strings.HasPrefix(agent, "kube-probe/1.36") {
					t.Errorf("user agent %q", agent)
				}
			}
			ctx, cancel = context.WithCancel(t.Context())
			cancel()
			if err := c(ctx); Known(err) {
				t.Errorf("cancelled: %v", err)
			}
		})
	}
	if _, err := New(corev1.ProbeHandler{GRPC: &corev1.GRPCAction{}}, Target{}); err == nil {
		t.Error("port 0 was taken")
	}
}
