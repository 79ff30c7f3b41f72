package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/health"
	"github.com/kubecrank/kubecrank/runtime/source"
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

// fakeSource sends what a test gives it.
type fakeSource struct {
	name string
	ch   chan source.Update
}

func (s *fakeSource) String() string { return s.name }
func (s *fakeSource) Run(ctx context.Context, updates chan<- source.Update) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case u := <-s.ch:
			select {
			case updates <- u:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// bench is a supervisor in a synctest bubble, with everything around it made up.
type bench struct {
	t      *testing.T
	rt     *fakeRuntime
	s      *supervisor
	src    *fakeSource
	cancel context.CancelFunc
	done   chan struct{}
	probes map[string]func() (outcome, string) // "pod/container Kind"
}

// newBench starts a supervisor; change may alter its options first.
func newBench(t *testing.T, rt *fakeRuntime, change func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, rt: rt, src: &fakeSource{"/m", make(chan source.Update)}, done: make(chan struct{}), probes: map[string]func() (outcome, string){}}
	opts := Options{Runtime: rt, RuntimeName: "fake", Sources: []source.Source{b.src}, NewCheck: b.newCheck}
	if change != nil {
		change(&opts)
	}
	s, err := newSupervisor(opts)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, b.cancel = context.WithCancel(t.Context())
	s.ctx = ctx
	b.s = s
	go func() {
		defer close(b.done)
		if err := s.supervise(ctx, b.cancel); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(b.end)
	synctest.Wait()
	return b
}

// end leaves the containers running, as the end of a supervisor does.
func (b *bench) end() {
	b.cancel()
	<-b.done
}

// newCheck answers from the probes of the test.
func (b *bench) newCheck(target ProbeTarget) health.Check {
	kind := readiness
	switch target.Probe {
	case target.Container.LivenessProbe:
		kind = liveness
	case target.Container.StartupProbe:
		kind = startup
	}
	key := fmt.Sprintf("%s/%s %s", shortName(target.Pod), target.Container.Name, kind)
	return func(context.Context) error {
		f := b.probes[key]
		if f == nil {
			return nil
		}
		switch o, text := f(); o {
		case passed:
			return nil
		case warned:
			return &health.Warning{Message: text}
		case failed:
			return &health.Failure{Message: text}
		default:
			return errors.New(text)
		}
	}
}

// set sends the full set of pods.
func (b *bench) set(pods ...*runtime.Pod) { b.send(source.Update{Pods: pods}) }

func (b *bench) send(u source.Update) {
	b.t.Helper()
	b.src.ch <- u
	synctest.Wait()
}

// sleep lets time pass, and everything that is due happen.
func (b *bench) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// did compares what the runtime was told since the last call.
func (b *bench) did(want ...string) {
	b.t.Helper()
	if got := b.rt.did(); !slices.Equal(got, want) {
		b.t.Errorf("the runtime was told:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// didUnordered is did for things that happen at the same time.
func (b *bench) didUnordered(want ...string) {
	b.t.Helper()
	got := b.rt.did()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		b.t.Errorf("the runtime was told:\n  %s\nwant in any order:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (b *bench) pod(name string) runtime.PodStatus {
	b.t.Helper()
	for _, p := range b.s.statusNow().Pods {
		if p.Name == name {
			return p
		}
	}
	b.t.Fatalf("no pod %s in the status", name)
	return runtime.PodStatus{}
}

// state checks a pod's state and readiness.
func (b *bench) state(name, state string, ready bool) {
	b.t.Helper()
	if p := b.pod(name); p.State != state || p.Ready != ready {
		b.t.Errorf("pod %s is %s, ready %t (%s); want %s, ready %t", name, p.State, p.Ready, p.LastError, state, ready)
	}
}

// events are "reason" of a pod's events, oldest first.
func (b *bench) events(name string) []string {
	var reasons []string
	for _, e := range b.s.history.all() {
		if e.Pod == name {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

// newCtr makes a container; change may alter it.
func newCtr(name string, change ...func(*corev1.Container)) corev1.Container {
	c := corev1.Container{Name: name, Image: "example.org/" + name + ":v1"}
	for _, f := range change {
		f(&c)
	}
	return c
}

func sidecar(name string, change ...func(*corev1.Container)) corev1.Container {
	c := newCtr(name, change...)
	always := corev1.ContainerRestartPolicyAlways
	c.RestartPolicy = &always
	return c
}

// probe is a probe with the defaults of the API.
func probe(change ...func(*corev1.Probe)) *corev1.Probe {
	p := &corev1.Probe{TimeoutSeconds: 1, PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3,
		ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{}}}
	for _, f := range change {
		f(p)
	}
	return p
}

// newPod makes a pod with one container "main" unless change says otherwise. Its hash and UID come from
// its content, as the source's do.
func newPod(name string, change ...func(*corev1.Pod)) *runtime.Pod {
	grace := int64(30)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name + "-node1", Namespace: "default", Annotations: map[string]string{}}}
	pod.Spec = corev1.PodSpec{NodeName: "node1", RestartPolicy: corev1.RestartPolicyAlways, TerminationGracePeriodSeconds: &grace,
		Containers: []corev1.Container{newCtr("main")}}
	for _, f := range change {
		f(pod)
	}
	data, err := pod.Marshal()
	if err != nil {
		panic(err)
	}
	hash := fmt.Sprintf("%x", fnv1(data))
	if pod.UID == "" {
		pod.UID = types.UID(hash)
	}
	return &runtime.Pod{Pod: pod, Source: source.FromFile, Origin: "/m/" + name + ".yaml", Hash: hash}
}

func fnv1(data []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range data {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}

func annotate(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations[key] = value }
}

func image(tag string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].Image = "example.org/main:" + tag }
}

func policy(policy corev1.RestartPolicy) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.RestartPolicy = policy }
}

var errTest = errors.New("made up")
