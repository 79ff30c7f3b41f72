package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// metrics counts what passes by; what is at the moment is read from the pods' status when somebody asks.
// The text format of Prometheus (version 0.0.4) is a dozen lines of code, and its library would be a
// quarter of the memory of an idle supervisor.
type metrics struct {
	mu     sync.Mutex
	probes map[probeSeries]int
	events map[[2]string]int // by type and reason
}

type probeSeries struct {
	namespace, pod, container string
	kind                      probeKind
	result                    string
}

func newMetrics() *metrics {
	return &metrics{probes: map[probeSeries]int{}, events: map[[2]string]int{}}
}

// probed counts one probe, with the kubelet's label values (prober_probe_total).
func (m *metrics) probed(t ProbeTarget, kind probeKind, o outcome) {
	result := map[outcome]string{passed: "successful", warned: "successful", failed: "failed", unknown: "unknown"}[o]
	m.mu.Lock()
	defer m.mu.Unlock()
	m.probes[probeSeries{t.Pod.Namespace, shortName(t.Pod), t.Container.Name, kind, result}]++
}

func (m *metrics) happened(kind runtime.EventType, reason runtime.Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events[[2]string{string(kind), string(reason)}]++
}

// forget drops the counters of a pod that is gone.
func (m *metrics) forget(namespace, pod string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.probes, func(s probeSeries, _ int) bool { return s.namespace == namespace && s.pod == pod })
}

// family is a metric in the making: its samples, as lines.
type family struct {
	name, kind, help string
	samples          []string
}

func (f *family) add(value float64, labels ...string) {
	var text strings.Builder
	for i := 0; i+1 < len(labels); i += 2 {
		if i > 0 {
			text.WriteByte(',')
		}
		// The format's escapes are a part of Go's: backslash, quote, newline. Names of pods have no others.
		fmt.Fprintf(&text, "%s=%s", labels[i], strconv.Quote(labels[i+1]))
	}
	line := "kubecrank_" + f.name
	if text.Len() > 0 {
		line += "{" + text.String() + "}"
	}
	f.samples = append(f.samples, line+" "+strconv.FormatFloat(value, 'g', -1, 64))
}

func (f *family) write(w io.Writer) {
	if len(f.samples) == 0 {
		return
	}
	slices.Sort(f.samples)
	fmt.Fprintf(w, "# HELP kubecrank_%s %s\n# TYPE kubecrank_%s %s\n%s\n", f.name, f.help, f.name, f.kind, strings.Join(f.samples, "\n"))
}

func (s *supervisor) getMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	s.writeMetrics(w)
}

// Certificate is when a certificate expires, for the metrics.
type Certificate struct {
	Name, Path string
	Expires    time.Time
}

// writeMetrics writes all metrics, in an order of their own that stays.
func (s *supervisor) writeMetrics(w io.Writer) {
	const gauge, counter = "gauge", "counter"
	ready := family{name: "ready", kind: gauge, help: "Whether every pod is ready and no manifest is refused."}
	problems := family{name: "manifest_problems", kind: gauge, help: "Manifests that are refused (error) or ignored (warning)."}
	podReady := family{name: "pod_ready", kind: gauge, help: "Whether the pod is ready."}
	podState := family{name: "pod_state", kind: gauge, help: "1 for the state that the pod is in."}
	restarts := family{name: "container_restarts_total", kind: counter, help: "Restarts of the container."}
	running := family{name: "container_running", kind: gauge, help: "Whether the container runs."}
	began := family{name: "container_start_time_seconds", kind: gauge, help: "When the container started, in seconds since the epoch."}
	exited := family{name: "container_exit_code", kind: gauge, help: "The exit code of the container, while it does not run."}
	probes := family{name: "probe_total", kind: counter, help: "Probes by result, early ones included."}
	events := family{name: "events_total", kind: counter, help: "Events by reason."}

	certs := family{name: "certificate_remaining_seconds", kind: gauge,
		help: "How long the certificate is valid yet; negative once it has expired."}

	status := s.statusNow()
	ready.add(bit(status.Ready))
	refused := 0
	for _, p := range status.Problems {
		if !p.Warning {
			refused++
		}
	}
	problems.add(float64(refused), "severity", "error")
	problems.add(float64(len(status.Problems)-refused), "severity", "warning")
	for _, p := range status.Pods {
		pod := []string{"namespace", p.Namespace, "pod", p.Name}
		podReady.add(bit(p.Ready), pod...)
		podState.add(1, append(slices.Clone(pod), "state", string(p.State))...)
		for _, c := range p.Containers {
			labels := append(slices.Clone(pod), "container", c.Name)
			restarts.add(float64(c.RestartCount), labels...)
			running.add(bit(c.State == runtime.ContainerRunning), labels...)
			if c.StartedAt != nil {
				began.add(float64(c.StartedAt.UnixMilli())/1000, labels...)
			}
			if c.ExitCode != nil {
				exited.add(float64(*c.ExitCode), labels...)
			}
		}
	}
	s.metrics.mu.Lock()
	for p, n := range s.metrics.probes {
		probes.add(float64(n), "namespace", p.namespace, "pod", p.pod, "container", p.container,
			"probe_type", string(p.kind), "result", p.result)
	}
	for e, n := range s.metrics.events {
		events.add(float64(n), "type", e[0], "reason", e[1])
	}
	s.metrics.mu.Unlock()
	if s.opts.Certificates != nil {
		for _, c := range s.opts.Certificates() {
			certs.add(time.Until(c.Expires).Truncate(time.Second).Seconds(), "name", c.Name, "path", c.Path)
		}
	}
	for _, f := range []*family{&ready, &problems, &podReady, &podState, &restarts, &running, &began, &exited, &probes, &events, &certs} {
		f.write(w)
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// serveMetrics also answers on a TCP port, which must be on a loopback address: there is no authentication.
func (s *supervisor) serveMetrics(address string) (stop func(), err error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("cannot serve metrics: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("cannot serve metrics on %s: it is no loopback address, and anybody could read them", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathMetrics, s.getMetrics)
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: mostBytes}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("metrics are not served any more", "error", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close() // what does not end in time is cut off
		}
	}, nil
}
