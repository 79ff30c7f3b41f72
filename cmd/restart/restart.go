// Package restart restarts control plane pods that run under a supervisor, in an order in which none waits for another in vain.
package restart

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/runtime"
)

// Client is what a restart needs of the supervisor.
type Client interface {
	Status(ctx context.Context) (runtime.Status, error)
	Restart(ctx context.Context, pod string) error
}

// Restarter restarts pods that run under a supervisor, and waits until they are ready again.
type Restarter struct {
	Client  Client
	Timeout time.Duration // for each pod
	// Show says that the restart of a pod begins; the function that it returns is called at the end.
	Show func(pod string) (end func(ok bool))
}

// All restarts pods, and the pods that have to be restarted with them. The clients of kube-apiserver go with it: it ends
// when the last client that watches it has gone, or when its grace period is over. It ends before etcd, because without
// etcd it uses its whole grace period. Both start together: if their certificates had expired, neither is ready alone.
func (r Restarter) All(ctx context.Context, pods []string) (restarted []string, err error) {
	st, err := r.Client.Status(ctx)
	if err != nil {
		return nil, err
	}
	old, tasks := map[string]instance{}, map[string]func(ok bool){}
	for _, pod := range st.Pods {
		old[pod.Name] = instanceOf(pod)
	}
	server := slices.Contains(pods, manifests.APIServer)
	var order []string // of the requests
	for _, name := range []string{manifests.APIServer, manifests.ControllerManager, manifests.Scheduler, manifests.Etcd} {
		client := server && name != manifests.Etcd
		if _, runs := old[name]; runs && (client || slices.Contains(pods, name)) {
			order = append(order, name)
		}
	}
	for _, name := range order {
		if name == manifests.Etcd && server {
			ended := func(now runtime.PodStatus) bool { return instanceOf(now) != old[manifests.APIServer] }
			if err := r.until(ctx, manifests.APIServer, "it has not ended", ended); err != nil {
				return nil, err
			}
		}
		tasks[name] = r.Show(name)
		if err := r.Client.Restart(ctx, name); err != nil {
			return nil, hint.With(err, whetherItRuns)
		}
	}
	for _, pod := range st.Pods { // in the order of a start
		if tasks[pod.Name] == nil {
			continue
		}
		ready := func(now runtime.PodStatus) bool { return now.Ready && instanceOf(now) != old[pod.Name] }
		err := r.until(ctx, pod.Name, "it is not ready", ready)
		tasks[pod.Name](err == nil)
		if err != nil {
			return nil, err
		}
		restarted = append(restarted, pod.Name)
	}
	return restarted, nil
}

// instance tells one run of a pod from the next, by its PID and its first container.
type instance struct {
	pid int
	id  string
}

func instanceOf(pod runtime.PodStatus) instance {
	p := instance{pid: pod.PID}
	if len(pod.Containers) > 0 {
		p.id = pod.Containers[0].ID
	}
	return p
}

const (
	restartPoll = 100 * time.Millisecond
	// maxFailures is how many questions in a row the supervisor may leave without an answer.
	maxFailures = 5

	whetherItRuns = "kubecrank status says whether the supervisor runs"
)

// until waits for a state of a pod. A supervisor that has ended, or does not answer, is an error at once.
func (r Restarter) until(ctx context.Context, name, not string, reached func(runtime.PodStatus) bool) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	for failures := 0; ; {
		now, err := r.status(ctx, name)
		switch {
		case err == nil && reached(now):
			return nil
		case err == nil:
			failures = 0
		case ctx.Err() == nil:
			if failures++; failures == maxFailures {
				return hint.With(fmt.Errorf("cannot restart %s: %w", name, err), whetherItRuns)
			}
		}
		select {
		case <-ctx.Done():
			return hint.With(fmt.Errorf("cannot restart %s: %s after %s", name, not, r.Timeout), "kubecrank status says why")
		case <-time.After(restartPoll):
		}
	}
}

func (r Restarter) status(ctx context.Context, name string) (runtime.PodStatus, error) {
	st, err := r.Client.Status(ctx)
	if err != nil {
		return runtime.PodStatus{}, err
	}
	for _, pod := range st.Pods {
		if pod.Name == name {
			return pod, nil
		}
	}
	return runtime.PodStatus{}, fmt.Errorf("cannot find the pod %s", name)
}
