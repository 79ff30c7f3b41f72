package supervisor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// fakeRuntime runs nothing. Its containers end when a test says so, or when they are stopped; what was
// done is written down in order. The func fields replace one call each.
type fakeRuntime struct {
	list   func() ([]runtime.Found, error)
	open   func(pod *runtime.Pod) error
	opened func(s *fakeSandbox)
	start  func(pod *runtime.Pod, spec runtime.ContainerSpec) error
	close  func(pod *runtime.Pod) error
	stop   func(c *fakeContainer, grace time.Duration) (exitAfter time.Duration, err error) // default: ends at once with SIGTERM
	sweep  func(c *fakeContainer) error                                                     // what an ended container left running is stopped
	exec   func(c *fakeContainer, argv []string) (code int, err error)

	logPath  string        // of all containers
	tellLate time.Duration // the end of a sandbox

	mu   sync.Mutex
	log  []string
	all  []*fakeContainer
	pids int

	sandboxes []*fakeSandbox
}

func (f *fakeRuntime) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

// did returns and forgets what was done.
func (f *fakeRuntime) did() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.log = nil
	return log
}

func (f *fakeRuntime) List(context.Context) ([]runtime.Found, error) {
	if f.list != nil {
		return f.list()
	}
	return nil, nil
}

func (f *fakeRuntime) OpenPod(_ context.Context, pod *runtime.Pod) (runtime.Sandbox, error) {
	if f.open != nil {
		if err := f.open(pod); err != nil {
			return nil, err
		}
	}
	s := &fakeSandbox{f, pod, make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sandboxes = append(f.sandboxes, s)
	if f.opened != nil {
		f.opened(s)
	}
	return s, nil
}

type fakeSandbox struct {
	f     *fakeRuntime
	pod   *runtime.Pod
	ended chan struct{}
}

func (s *fakeSandbox) Ended(ctx context.Context) error {
	select {
	case <-s.ended:
		time.Sleep(s.f.tellLate)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// endSandbox ends the newest sandbox of a pod, but nothing that runs in it.
func (f *fakeRuntime) endSandbox(pod string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range slices.Backward(f.sandboxes) {
		if shortName(s.pod) == pod {
			close(s.ended)
			break
		}
	}
}

func (s *fakeSandbox) Start(_ context.Context, spec runtime.ContainerSpec) (runtime.Container, error) {
	select {
	case <-s.ended:
		s.f.note("fail %s/%s, for its sandbox has ended", shortName(s.pod), spec.Name)
		return nil, errTest
	default:
	}
	if s.f.start != nil {
		if err := s.f.start(s.pod, spec); err != nil {
			s.f.note("fail %s/%s", shortName(s.pod), spec.Name)
			return nil, err
		}
	}
	for _, c := range s.f.running() {
		if c.info.PodFullName == s.pod.FullName() && (c.info.SpecHash != s.pod.Hash || c.info.Name == spec.Name) {
			s.f.note("OVERLAP %s/%s", shortName(s.pod), spec.Name)
		}
	}
	c := s.f.newContainer(s.pod, spec.Name, spec.RestartCount)
	s.f.note("start %s/%s %d", shortName(s.pod), spec.Name, spec.RestartCount)
	return c, nil
}

func (s *fakeSandbox) Close(context.Context) error {
	select {
	case <-s.ended:
		s.f.note("close %s, which has ended", shortName(s.pod))
	default:
	}
	if s.f.close != nil {
		return s.f.close(s.pod)
	}
	return nil
}

func (f *fakeRuntime) newContainer(pod *runtime.Pod, name string, restarts int) *fakeContainer {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pids++
	c := &fakeContainer{f: f, pod: shortName(pod), ended: make(chan struct{}), info: runtime.ContainerInfo{
		PodUID: string(pod.UID), PodFullName: pod.FullName(), Name: name, ID: fmt.Sprintf("fake://%d", f.pids), PID: f.pids,
		RestartCount: restarts, SpecHash: pod.Hash, StartedAt: time.Now(), LogPath: f.logPath,
	}}
	f.all = append(f.all, c)
	return c
}

func (f *fakeRuntime) running() []*fakeContainer {
	f.mu.Lock()
	defer f.mu.Unlock()
	var running []*fakeContainer
	for _, c := range f.all {
		if !c.hasEnded() {
			running = append(running, c)
		}
	}
	return running
}

// get returns the running container "pod/name", nil if there is none.
func (f *fakeRuntime) get(name string) *fakeContainer {
	for _, c := range f.running() {
		if c.pod+"/"+c.info.Name == name {
			return c
		}
	}
	return nil
}

// end makes the running container "pod/name" exit by itself.
func (f *fakeRuntime) end(t *testing.T, name string, code int) {
	t.Helper()
	c := f.get(name)
	if c == nil {
		t.Fatalf("%s does not run", name)
	}
	c.end(runtime.Exit{Code: code, FinishedAt: time.Now()})
	synctest.Wait()
}

type fakeContainer struct {
	f     *fakeRuntime
	pod   string
	info  runtime.ContainerInfo
	mu    sync.Mutex
	exit  runtime.Exit
	ended chan struct{}
}

func (c *fakeContainer) Info() runtime.ContainerInfo { return c.info }

func (c *fakeContainer) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

func (c *fakeContainer) end(e runtime.Exit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.hasEnded() {
		c.exit = e
		close(c.ended)
	}
}

func (c *fakeContainer) Wait(ctx context.Context) (runtime.Exit, error) {
	select {
	case <-c.ended:
		return c.exit, nil
	case <-ctx.Done():
		return runtime.Exit{}, ctx.Err()
	}
}

func (c *fakeContainer) Stop(ctx context.Context, grace time.Duration) error {
	if c.hasEnded() {
		if c.f.sweep != nil {
			return c.f.sweep(c)
		}
		return nil
	}
	c.f.note("stop %s/%s %s", c.pod, c.info.Name, grace.Round(time.Second))
	after := time.Duration(0)
	if c.f.stop != nil {
		var err error
		if after, err = c.f.stop(c, grace); err != nil {
			return err
		}
	}
	exit := runtime.Exit{Code: 143, Signal: "SIGTERM"}
	if after >= grace && after > 0 {
		after, exit = grace, runtime.Exit{Code: 137, Signal: "SIGKILL"}
	}
	select {
	case <-time.After(after):
	case <-c.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	exit.FinishedAt = time.Now()
	if !c.hasEnded() {
		c.f.note("gone %s/%s", c.pod, c.info.Name)
	}
	c.end(exit)
	return nil
}

func (c *fakeContainer) Exec(_ context.Context, argv []string) ([]byte, int, error) {
	c.f.note("exec %s/%s %s", c.pod, c.info.Name, strings.Join(argv, " "))
	if c.f.exec == nil {
		return nil, 0, nil
	}
	code, err := c.f.exec(c, argv)
	return []byte("output"), code, err
}

// found is the container as an earlier supervisor left it.
func (c *fakeContainer) found() runtime.Found {
	return runtime.Found{Container: c, Exited: c.hasEnded(), Pod: fakeCloser{c}}
}

type fakeCloser struct{ c *fakeContainer }

func (f fakeCloser) Close(context.Context) error {
	f.c.f.note("forget %s", f.c.pod)
	return nil
}
