package supervisor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/kubecrank/kubecrank/runtime"
)

// defaultCheck makes the checks of probes for containers on the host's network.
func defaultCheck(ctx context.Context, t ProbeTarget) (Outcome, string) {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	switch p := t.Probe; {
	case p.HTTPGet != nil:
		return checkHTTP(ctx, t)
	case p.TCPSocket != nil:
		port, err := containerPort(p.TCPSocket.Port, t.Container)
		if err != nil {
			return Unknown, err.Error()
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(hostOr(p.TCPSocket.Host), strconv.Itoa(port)))
		if err != nil {
			return Failed, err.Error()
		}
		conn.Close()
		return Passed, ""
	case p.Exec != nil:
		execer, ok := t.Running.(runtime.Execer)
		if !ok {
			return Unknown, "this runtime cannot run commands in a container"
		}
		output, code, err := execer.Exec(ctx, p.Exec.Command)
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return Failed, fmt.Sprintf("command timed out: %q timed out after %s", strings.Join(p.Exec.Command, " "), t.Timeout)
		case err != nil:
			return Unknown, err.Error()
		case code != 0:
			return Failed, string(output)
		}
		return Passed, string(output)
	default:
		return Unknown, "there is no check for this kind of probe"
	}
}

func hostOr(host string) string {
	if host == "" {
		return "127.0.0.1"
	}
	return host
}

func checkHTTP(ctx context.Context, t ProbeTarget) (Outcome, string) {
	action := t.Probe.HTTPGet
	port, err := containerPort(action.Port, t.Container)
	if err != nil {
		return Unknown, err.Error()
	}
	address := strings.ToLower(string(action.Scheme)) + "://" + net.JoinHostPort(hostOr(action.Host), strconv.Itoa(port)) + action.Path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Unknown, err.Error()
	}
	req.Header.Set("User-Agent", "kube-probe/1.36")
	for _, h := range action.HTTPHeaders {
		if strings.EqualFold(h.Name, "Host") {
			req.Host = h.Value
		}
		req.Header.Add(h.Name, h.Value)
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // as the kubelet: the target is the pod itself
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return Failed, err.Error()
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode >= 400 {
		return Failed, fmt.Sprintf("HTTP probe failed with statuscode: %d", resp.StatusCode)
	}
	return Passed, ""
}
