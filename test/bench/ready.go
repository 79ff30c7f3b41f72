package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// probePeriod is how often each endpoint is asked.
const probePeriod = 5 * time.Millisecond

// patience is how long a control plane may take.
const patience = time.Minute

// endpoint is where a component says that it is ready.
type endpoint struct{ name, url string }

// endpoints are the components' own, as kubeadm's probes and its wait use them.
func endpoints(offset int) []endpoint {
	return []endpoint{
		{"etcd", fmt.Sprintf("http://127.0.0.1:%d/readyz", 2381+offset)},
		{"kube-apiserver", fmt.Sprintf("https://127.0.0.1:%d/readyz", 6443+offset)},
		{"kube-controller-manager", fmt.Sprintf("https://127.0.0.1:%d/healthz", 10257+offset)},
		{"kube-scheduler", fmt.Sprintf("https://127.0.0.1:%d/readyz", 10259+offset)},
	}
}

// livez is what the controller manager and the scheduler wait for.
func livez(offset int) endpoint {
	return endpoint{"kube-apiserver", fmt.Sprintf("https://127.0.0.1:%d/livez", 6443+offset)}
}

// waitReady asks all endpoints until each has answered 200, and returns when
// each did so first, counted from start.
func waitReady(ctx context.Context, start time.Time, all ...endpoint) (map[string]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // #nosec: only the time matters here
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Second}
	times := make([]time.Duration, len(all))
	var group errgroup.Group
	for i, e := range all {
		group.Go(func() error {
			tick := time.NewTicker(probePeriod)
			defer tick.Stop()
			for !answers(ctx, client, e.url) {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return fmt.Errorf("%s does not become ready: %w", e.name, ctx.Err())
				}
			}
			times[i] = time.Since(start)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	ready := map[string]time.Duration{}
	for i, e := range all {
		ready[e.name] = times[i]
	}
	return ready, nil
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// last is the time of the last component.
func last(ready map[string]time.Duration) (t time.Duration) {
	for _, r := range ready {
		t = max(t, r)
	}
	return t
}
