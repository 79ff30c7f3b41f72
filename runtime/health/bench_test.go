package health

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// BenchmarkHTTPS is one probe of a TLS server with a new connection, client and server together, in one process: with
// and without HTTP/2, and with and without the resumption of TLS sessions.
func BenchmarkHTTPS(b *testing.B) {
	for _, bc := range []struct {
		name           string
		http2, tickets bool
	}{{"http1", false, true}, {"http1-full", false, false}, {"http2", true, true}, {"http2-full", true, false}} {
		b.Run(bc.name, func(b *testing.B) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(ok))
			server.EnableHTTP2 = bc.http2
			server.TLS = &tls.Config{SessionTicketsDisabled: !bc.tickets}
			server.StartTLS()
			defer server.Close()
			c, err := New(corev1.ProbeHandler{HTTPGet: action(b, server, "/livez")}, Target{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := c(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }

// BenchmarkHTTP is the same without TLS; BenchmarkNew is what making a check costs.
func BenchmarkHTTP(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(ok))
	defer server.Close()
	c, err := New(corev1.ProbeHandler{HTTPGet: action(b, server, "/livez")}, Target{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := c(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.StartTLS()
	defer server.Close()
	a := action(b, server, "/livez")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(corev1.ProbeHandler{HTTPGet: a}, Target{}); err != nil {
			b.Fatal(err)
		}
	}
}
