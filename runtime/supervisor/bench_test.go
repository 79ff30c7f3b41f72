package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/health"
	"github.com/kubecrank/kubecrank/runtime/source"
)

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
	opts.Log = tableCheck{t}
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
func (b *bench) state(name string, state runtime.PodState, ready bool) {
	b.t.Helper()
	if p := b.pod(name); p.State != state || p.Ready != ready {
		b.t.Errorf("pod %s is %s, ready %t (%s); want %s, ready %t", name, p.State, p.Ready, p.LastError, state, ready)
	}
}

// events are "reason" of a pod's events, oldest first.
func (b *bench) events(name string) []runtime.Reason {
	var reasons []runtime.Reason
	for _, e := range b.s.history.all() {
		if e.Pod == name {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}
