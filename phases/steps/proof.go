package steps

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/phases/cluster"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/runtime"
)

// Proofs say how WaitHealthy finds out whether components do their work.
type Proofs struct {
	Server string `json:"server"` // URL of this node's API server
	// Kubeconfigs are paths; the first one that is there is used. Without one only Healthz is asked.
	Kubeconfigs []string `json:"kubeconfigs"`
	Of          []Proof  `json:"of"`
}

// Proof is what shows that a component does its work. That it is ready says
// less: a controller manager answers its probe before it leads, and exits for a
// wrong setting only after that.
type Proof struct {
	Pod string `json:"pod"` // the name as in the manifest
	// Lease is a lease in namespace kube-system that was renewed since the container was started: the
	// instance before this one cannot have done that. "": none.
	Lease string `json:"lease,omitempty"`
	// Healthz is the component's own health URL. It lists a controller, unless an instance on another machine
	// holds the lease. "": it is not asked.
	Healthz string `json:"healthz,omitempty"`
	// Objects are what the component makes first.
	Objects []cluster.Object `json:"objects,omitempty"`
}

// prover looks for the proofs of one wait.
type prover struct {
	began   time.Time // of the wait
	proofs  Proofs
	api     plan.Reader // nil: no credentials
	health  *http.Client
	proven  map[string]instances // by pod
	missing map[string]string    // by pod: which proof is lacking
}

// instances are the containers of a pod, each since when and for the how manieth time.
type instances string

func instancesOf(pod runtime.PodStatus) instances {
	var b strings.Builder
	for _, c := range pod.Containers {
		fmt.Fprintf(&b, "%s %d %d %s;", c.Name, c.PID, c.RestartCount, c.ID)
	}
	return instances(b.String())
}

func newProver(n *plan.Node, proofs Proofs, began time.Time) (*prover, error) {
	p := &prover{began: began, proofs: proofs, proven: map[string]instances{}, missing: map[string]string{},
		// As a probe: the certificate is one that the component has made for itself.
		health: &http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
	for _, path := range proofs.Kubeconfigs {
		seen := resource.Look(path, n.Root == "")
		if seen.Kind != resource.Regular {
			continue
		}
		var err error
		p.api, err = n.API.Open(plan.Endpoint{Server: proofs.Server, Kubeconfig: seen.Data})
		return p, err
	}
	return p, nil
}

// close ends the connections.
func (p *prover) close() { p.health.CloseIdleConnections() }

// works says whether the pod's present containers do their work. An error says that this cannot be found out.
func (p *prover) works(ctx context.Context, pod runtime.PodStatus) (bool, error) {
	for _, proof := range p.proofs.Of {
		if proof.Pod != pod.Name || p.proven[pod.Name] == instancesOf(pod) {
			continue
		}
		missing, err := p.lacks(ctx, proof, pod)
		if p.missing[pod.Name] = missing; missing != "" || err != nil {
			return false, err
		}
		p.proven[pod.Name] = instancesOf(pod)
	}
	return true, nil
}

// lacks returns the first proof that is not there, "" if all are.
func (p *prover) lacks(ctx context.Context, proof Proof, pod runtime.PodStatus) (string, error) {
	running := proof.Healthz == "" || p.listsController(ctx, proof.Healthz)
	if p.api == nil {
		return unless(running, "it has started no controller"), nil
	}
	if missing, err := p.leaseLacks(ctx, proof, pod, running); missing != "" || err != nil {
		return missing, err
	}
	for _, object := range proof.Objects {
		there, err := p.api.Exists(ctx, object)
		if err != nil || !there {
			return p.cannotTell(err, "it has not made "+object.String())
		}
	}
	return "", nil
}

func (p *prover) leaseLacks(ctx context.Context, proof Proof, pod runtime.PodStatus, running bool) (string, error) {
	if proof.Lease == "" {
		return unless(running, "it has started no controller"), nil
	}
	lease, err := p.api.Lease(ctx, proof.Lease)
	switch {
	case err != nil:
		return p.cannotTell(err, "its lease "+proof.Lease+" cannot be read")
	case lease.Holder == "":
		return "nobody holds its lease " + proof.Lease, nil
	case !lease.Renewed.After(startOf(pod)):
		return "its lease " + proof.Lease + " is still held by " + lease.Holder + ", which ran before it", nil
	}
	host, _ := os.Hostname()
	elsewhere := !strings.HasPrefix(lease.Holder, host+"_")
	return unless(running || elsewhere, "it leads, and has started no controller"), nil
}

// startOf is when the last container of a pod was started.
func startOf(pod runtime.PodStatus) time.Time {
	var last time.Time
	for _, c := range pod.Containers {
		if c.StartedAt != nil && c.StartedAt.After(last) {
			last = *c.StartedAt
		}
	}
	return last
}

// cannotTell makes of an error of the API server what it means for a proof. Who may not read learns
// nothing, and what passes is asked again.
func (p *prover) cannotTell(err error, missing string) (string, error) {
	var failed *cluster.Error
	switch {
	case errors.As(err, &failed) && failed.Forbidden():
		p.api = nil
		return missing, nil
	case errors.As(err, &failed) && !failed.Passing():
		return "", err
	default:
		return cmp.Or(missing, fmt.Sprint(err)), nil
	}
}

// controllerCheck is a line of /healthz?verbose. The controller manager adds those of its controllers when it
// has built them all (BuildControllers in cmd/kube-controller-manager/app/controllermanager.go).
var controllerCheck = regexp.MustCompile(`(?m)^\[.\]([a-z-]+-controller) `)

func (p *prover) listsController(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"?verbose", nil)
	if err != nil {
		return false
	}
	resp, err := p.health.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	const most = 64 << 10
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	return err == nil && resp.StatusCode == http.StatusOK && controllerCheck.Match(bytes.TrimSpace(body))
}

func unless(fine bool, missing string) string {
	if fine {
		return ""
	}
	return missing
}
