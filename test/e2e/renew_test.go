//go:build e2e

package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// certs renew --restart leaves a control plane of which every component runs
// with the new certificates, and no component uses its whole grace period to
// end; when the supervisor dies under it, it ends with an error and does not hang.
func TestRenewRestart(t *testing.T) {
	n := newNode(t)
	n.init()
	before, serial := n.pids(), n.servedCertificate("127.0.0.1").SerialNumber
	r := n.must("certs", "renew", "all", "--restart")
	t.Logf("renewed and restarted in %s\n%s", r.took, r.stderr)
	if !strings.Contains(r.stdout, "Certificates renewed: 11.") || !strings.Contains(r.stdout, "Restarted, and ready: ") {
		t.Error(r)
	}
	n.waitReady()
	for pod, now := range n.pids() {
		if now[0] == 0 || now[0] == before[pod][0] || now[1] != before[pod][1]+1 {
			t.Errorf("%s has PID and restarts %v, before %v", pod, now, before[pod])
		}
	}
	if n.servedCertificate("127.0.0.1").SerialNumber.Cmp(serial) == 0 {
		t.Error("the API server serves the old certificate")
	}
	n.kubectl("get", "--raw=/readyz")
	// An API server that has lost etcd ends after 30 s. All four take 7 s here, and a few times as much on a busy machine.
	if r.took > 29*time.Second {
		t.Errorf("it took %s: a component used its whole grace period", r.took)
	}

	done := make(chan result)
	go func() { done <- n.run(2*time.Minute, "certs", "renew", "all", "--restart") }()
	pid := n.pids()["kube-apiserver"][0]
	n.eventually(time.Minute, "the API server is restarted", func() error {
		if n.pids()["kube-apiserver"][0] == pid {
			return errors.New("it is the same process")
		}
		return nil
	})
	n.killSupervisor()
	if r := <-done; r.code != 1 || !strings.Contains(r.stderr, "cannot restart") || !strings.Contains(r.stderr, "no supervisor is running") {
		t.Error(r)
	}
}
