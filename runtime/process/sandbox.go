package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/logs"
	"github.com/kubecrank/kubecrank/runtime/process/cgroup"
)

// podKey names a pod in logs and records.
type podKey struct{ namespace, name, uid string }

// sandbox is an open pod.
type sandbox struct {
	rt  *Runtime
	pod *runtime.Pod // nil for a pod that was only found
	key podKey
}

// OpenPod refuses what a process cannot have, and makes what the pod's containers share: log directories, hostPaths that
// are missing, emptyDirs, its cgroup if there are limits. It starts nothing.
func (r *Runtime) OpenPod(ctx context.Context, pod *runtime.Pod) (runtime.Sandbox, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := Refuse(pod, r.mountable); err != nil {
		return nil, err
	}
	if pod.Hash != "" && checkName(pod.Hash) != nil {
		return nil, fmt.Errorf("cannot open pod %s: its hash %q cannot be kept", pod.Name, pod.Hash)
	}
	if err := refuseRights(pod); err != nil {
		return nil, err
	}
	s := &sandbox{rt: r, pod: pod, key: podKey{pod.Namespace, pod.Name, string(pod.UID)}}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if err := durable.MkdirAll(s.logDir(c.Name), 0o755); err != nil {
			return nil, fmt.Errorf("cannot open pod %s: %w", pod.Name, err)
		}
	}
	if err := prepareHostPaths(pod); err != nil {
		return nil, fmt.Errorf("cannot open pod %s: %w", pod.Name, err)
	}
	if err := r.checkLimits(pod.Pod); err != nil {
		return nil, fmt.Errorf("cannot open pod %s: %w", pod.Name, err)
	}
	if err := r.prepareEmptyDirs(pod); err != nil {
		return nil, fmt.Errorf("cannot open pod %s: %w", pod.Name, err)
	}
	r.mu.Lock()
	r.pods[s.key.uid] = s.key
	r.podsChanged = true
	r.mu.Unlock()
	return s, nil
}

func (s *sandbox) logDir(container string) string {
	return filepath.Join(logs.PodDir(s.rt.opts.LogDir, s.key.namespace, s.key.name, s.key.uid), container)
}

// Start starts a container. It takes the next free restart count when there is a log of the one that is asked for.
func (s *sandbox) Start(ctx context.Context, spec runtime.ContainerSpec) (runtime.Container, error) {
	c, err := s.start(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("cannot start container %s: %w", spec.Name, err)
	}
	return c, nil
}

func (s *sandbox) start(ctx context.Context, spec runtime.ContainerSpec) (*container, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.pod == nil {
		return nil, errors.New("its pod is not open")
	}
	s.rt.mu.Lock()
	s.rt.tidied = true
	s.rt.mu.Unlock()
	if c := s.rt.find(s.key.uid, spec.Name); c != nil && c.ended() {
		return nil, c.leftovers()
	} else if c != nil {
		return nil, fmt.Errorf("it runs already, as process %d", c.rec.PID)
	}
	l, err := s.rt.prepare(s.pod, &spec.Container)
	if err != nil {
		return nil, err
	}
	logDir := s.logDir(spec.Name)
	if err := durable.MkdirAll(logDir, 0o755); err != nil { // somebody may have cleaned up
		return nil, err
	}
	log, restart, err := logs.Create(logDir, spec.RestartCount)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own by then
	l.group, err = s.rt.group(s.pod.Pod, &spec.Container, restart)
	var c *container
	if err == nil {
		c, err = s.run(l, spec.Name, restart, log)
	}
	if err != nil && len(l.group) > 0 && cgroup.Of(s.pod.Pod, &spec.Container).None() {
		// Where nothing may be started in a cgroup (an old kernel, a filter of system calls), it starts without.
		_ = l.group.Remove()
		l.group = nil
		c, err = s.run(l, spec.Name, restart, log)
	}
	if err != nil {
		return nil, errors.Join(err, l.group.Remove(), os.Remove(log.Name())) // an empty log would count as a restart
	}
	c.register()
	return c, nil
}

// run starts the process and describes it.
func (s *sandbox) run(l launch, name string, restart int, log *os.File) (*container, error) {
	m := s.rt.key.seal(marker{root: s.rt.root, namespace: s.key.namespace, pod: s.key.name, uid: s.key.uid,
		container: name, restart: restart, specHash: s.pod.Hash}, l.user.uid())
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	pid, pidfd, err := s.rt.children.spawn(spawnSpec{
		find: l.find, argv: l.argv, env: append(slices.Clip(l.env), markerVar+"="+m.String()), dir: l.dir,
		files: []uintptr{null.Fd(), log.Fd(), log.Fd()}, user: l.user, limits: l.limits,
		group: l.group, view: l.view,
	})
	if err != nil {
		return nil, err
	}
	started := time.Now()
	handle := os.NewFile(uintptr(pidfd), "pidfd")
	stat, err := procfs.ReadStat(pid) // it is there, if only as a zombie, until we wait for it
	if err != nil {
		err = errors.Join(err, sendSignal(handle, unix.SIGKILL), handle.Close())
		_, _ = s.rt.children.reap(pid)
		return nil, err
	}
	setOOMScore(pid, s.pod.Pod)
	c := s.rt.newContainer(record{
		Version: recordVersion, Root: s.rt.root, BootID: s.rt.bootID,
		Namespace: s.key.namespace, Pod: s.key.name, UID: s.key.uid, Container: name, Restart: restart, SpecHash: s.pod.Hash,
		PID: pid, Start: stat.Start, StartedAt: started, Marker: m.String(),
		LogPath: log.Name(), Dir: l.dir, User: l.user, Limits: l.limits,
		Mounts: l.view != nil, Cgroup: l.group,
	})
	c.child, c.env = true, l.env
	c.pidfd = handle
	return c, nil
}

func (r *Runtime) newContainer(rec record) *container {
	c := &container{rt: r, rec: rec, info: runtime.ContainerInfo{
		PodUID:       rec.UID,
		PodFullName:  rec.Pod + "_" + rec.Namespace,
		Name:         rec.Container,
		ID:           fmt.Sprintf("process://%s/%d/%d", rec.BootID, rec.PID, rec.Start),
		PID:          rec.PID,
		RestartCount: rec.Restart,
		SpecHash:     rec.SpecHash,
		StartedAt:    rec.StartedAt,
		LogPath:      rec.LogPath,
	}}
	c.exited, c.failed, c.done = make(chan struct{}), make(chan struct{}), make(chan struct{})
	return c
}

// Close forgets the pod's containers and removes its emptyDirs and cgroup. Logs stay.
func (s *sandbox) Close(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c := s.rt.find(s.key.uid, ""); c != nil && c.ended() {
		return fmt.Errorf("cannot close pod %s: %w", s.key.name, c.leftovers())
	} else if c != nil {
		return fmt.Errorf("cannot close pod %s: its container %s runs as process %d", s.key.name, c.rec.Container, c.rec.PID)
	}
	s.rt.mu.Lock()
	delete(s.rt.pods, s.key.uid)
	s.rt.mu.Unlock()
	if err := s.rt.cgroups.RemovePod(s.key.uid); err != nil {
		return fmt.Errorf("cannot close pod %s: %w", s.key.name, err)
	}
	return s.rt.forget(s.key.uid)
}

// setOOMScore does as the kubelet does for pods that must stay (pkg/kubelet/qos/policy.go), and gives the others the
// kernel's default, whatever the supervisor protects itself with. Lowering it takes a right that we may not have.
func setOOMScore(pid int, pod *corev1.Pod) {
	score := "0"
	if pod.Spec.Priority != nil && *pod.Spec.Priority >= systemCriticalPriority {
		score = "-997"
	}
	_ = os.WriteFile(procPath(pid, "oom_score_adj"), []byte(score), 0)
}

// systemCriticalPriority is scheduling.SystemCriticalPriority: 2 * HighestUserDefinablePriority.
const systemCriticalPriority = 2 * 1_000_000_000
