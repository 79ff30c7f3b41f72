package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// userAgent is the kubelet's, with the version of Kubernetes that we follow.
	userAgent = "kube-probe/1.36"
	// maxBody is how much of an answer is read; more is no failure (pkg/probe/http: maxRespBodyLength).
	maxBody = 10 << 10
	// maxHeader bounds the head of an answer; net/http's default is ten times as much, for each probe.
	maxHeader = 1 << 20
	// maxRedirects as in net/http's default.
	maxRedirects = 10
)

// HTTP makes a check by GET (pkg/probe/http): 200 to 399 is healthy. A redirect to another host is not followed,
// which is healthy with a warning. transport is nil for a connection of its own to every request, without
// proxy and without verification of the server's certificate; tests put their own there.
func HTTP(action *corev1.HTTPGetAction, target Target, transport http.RoundTripper) (Check, error) {
	req, err := newRequest(action, target)
	if err != nil {
		return nil, err
	}
	if transport == nil {
		transport = newProber()
	}
	client := &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	return func(ctx context.Context) error {
		return get(client, req.WithContext(ctx))
	}, nil
}

// prober makes the requests: with the cheaper offer of key exchanges, and with Go's own where a server refuses that.
//
// Go offers a post-quantum key exchange first, which costs a quarter of a probe's time, every second for months.
// A probe carries no secret that somebody might record and decipher one day. The kubelet offers all; so do we where it matters.
type prober struct {
	cheap, full *http.Transport
	refused     atomic.Bool // the server did not take the cheap offer
}

func newProber() *prober {
	return &prober{
		cheap: newTransport([]tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}),
		full:  newTransport(nil),
	}
}

// RoundTrip implements http.RoundTripper.
func (p *prober) RoundTrip(req *http.Request) (*http.Response, error) {
	if !p.refused.Load() {
		resp, err := p.cheap.RoundTrip(req)
		var alert *net.OpError
		if !errors.As(err, &alert) || alert.Op != "remote error" { // how crypto/tls names an alert of the server's
			return resp, err
		}
		p.refused.Store(true)
	}
	return p.full.RoundTrip(req)
}

// newTransport follows pkg/probe/http: NewWithTLSConfig. Every request makes its own connection, but a TLS session is
// resumed where the server allows it: that spares the server the signature, which with an RSA key is the
// most expensive part of a probe, and a full handshake follows by itself when the server was restarted.
func newTransport(curves []tls.CurveID) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true) // there are servers that speak nothing else
	return &http.Transport{
		DialContext:         dialer().DialContext,
		DisableKeepAlives:   true,
		DisableCompression:  true, // no Accept-Encoding
		TLSHandshakeTimeout: 10 * time.Second,

		MaxResponseHeaderBytes: maxHeader,
		Protocols:              protocols,
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, // as the kubelet: a probe asks whether the container lives, not who it is
			ClientSessionCache: tls.NewLRUClientSessionCache(2),
			CurvePreferences:   curves,
		},
	}
}

// newRequest follows pkg/probe/http/request.go: NewRequestForHTTPGetAction.
func newRequest(action *corev1.HTTPGetAction, target Target) (*http.Request, error) {
	port, err := resolvePort(action.Port, target.Container)
	if err != nil {
		return nil, err
	}
	host := action.Host
	if host == "" {
		host = target.Host
	}
	u, err := url.Parse(action.Path)
	if err != nil {
		u = &url.URL{Path: action.Path} // passed on as it is
	}
	u.Scheme = strings.ToLower(string(action.Scheme))
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	u.Host = net.JoinHostPort(host, strconv.Itoa(port))
	req, err := http.NewRequest(http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, h := range action.HTTPHeaders {
		req.Header.Add(h.Name, h.Value)
	}
	if _, ok := req.Header["User-Agent"]; !ok {
		req.Header.Set("User-Agent", userAgent)
	}
	if accept, ok := req.Header["Accept"]; !ok {
		req.Header.Set("Accept", "*/*")
	} else if accept[0] == "" {
		req.Header.Del("Accept")
	}
	req.Host = req.Header.Get("Host")
	return req, nil
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if req.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= maxRedirects {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}

// get follows pkg/probe/http: DoHTTPProbe.
func get(client *http.Client, req *http.Request) error {
	resp, err := client.Do(req)
	if err != nil {
		return transportFailure(req.Context(), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		if stop := cancelled(req.Context()); stop != nil {
			return stop
		}
		return fmt.Errorf("cannot read the answer: %w", err) // nothing is known then, as with the kubelet
	}
	switch code := resp.StatusCode; {
	case code >= http.StatusOK && code < http.StatusMultipleChoices:
		return nil
	case code >= http.StatusMultipleChoices && code < http.StatusBadRequest:
		return &Warning{Message: "Probe terminated redirects, Response body: " + string(body)}
	default:
		// The kubelet's message leaves the body out (https://issues.k8s.io/99425): anybody may read events.
		return &Failure{Message: fmt.Sprintf("HTTP probe failed with statuscode: %d", code), Detail: string(body)}
	}
}

// transportFailure words a timeout as a client with the kubelet's Timeout field does.
func transportFailure(ctx context.Context, err error) error {
	if stop := cancelled(ctx); stop != nil {
		return stop
	}
	message := err.Error()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !strings.Contains(message, "Client.Timeout") {
		message += " (Client.Timeout exceeded while awaiting headers)"
	}
	return &Failure{Message: message}
}
