package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/runtime"
)

// restarter restarts pods that run under a supervisor, and waits until they are ready again.
type restarter struct {
	client   supervisorClient
	limit    time.Duration // for each pod
	progress *progress
}

// all restarts pods, and what has to be restarted with them. kube-apiserver
// ends when its clients have gone, which watch it, or else when its grace
// period is over; and before etcd, because without etcd it uses all of that
// period, too. It starts while etcd does: where their certificates had
// expired, neither would be ready alone.
func (r restarter) all(ctx context.Context, pods []string) (restarted []string, err error) {
	st, err := r.client.Status(ctx)
	if err != nil {
		return nil, err
	}
	old, tasks := map[string]instance{}, map[string]*task{}
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
		tasks[name] = r.progress.start("restart", name)
		if err := r.client.Restart(ctx, name); err != nil {
			return nil, withHint(err, whetherItRuns)
		}
	}
	for _, pod := range st.Pods { // in the order of a start
		if tasks[pod.Name] == nil {
			continue
		}
		ready := func(now runtime.PodStatus) bool { return now.Ready && instanceOf(now) != old[pod.Name] }
		err := r.until(ctx, pod.Name, "it is not ready", ready)
		tasks[pod.Name].end(err == nil)
		if err != nil {
			return nil, err
		}
		restarted = append(restarted, pod.Name)
	}
	return restarted, nil
}

// instance tells one run of a pod from the next; where the runtime knows no PIDs, by the container.
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
	// mayFail is how often in a row the supervisor may leave a question without an answer.
	mayFail = 5

	whetherItRuns = "kubecrank status says whether the supervisor runs"
)

// until waits for a state of a pod. A supervisor that has ended, or does not answer, is an error at once.
func (r restarter) until(ctx context.Context, name, not string, reached func(runtime.PodStatus) bool) error {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	for failures := 0; ; {
		now, err := r.status(ctx, name)
		switch {
		case err == nil && reached(now):
			return nil
		case err == nil:
			failures = 0
		case ctx.Err() == nil:
			if failures++; failures == mayFail {
				return withHint(fmt.Errorf("cannot restart %s: %w", name, err), whetherItRuns)
			}
		}
		select {
		case <-ctx.Done():
			return withHint(fmt.Errorf("cannot restart %s: %s after %s", name, not, r.limit), "kubecrank status says why")
		case <-time.After(restartPoll):
		}
	}
}

func (r restarter) status(ctx context.Context, name string) (runtime.PodStatus, error) {
	st, err := r.client.Status(ctx)
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
