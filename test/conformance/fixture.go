package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/source"
	"github.com/kubecrank/kubecrank/runtime/supervisor"
)

const (
	patience = time.Minute     // for what must come
	soon     = 8 * time.Second // for what must come at once, on a machine that is busy
	slack    = 50 * time.Millisecond
)

// fixture is an installation with its supervisor, and the file where its containers say what they do.
type fixture struct {
	*testing.T
	target    Target
	root      string
	manifests string
	shared    string // a directory that every container sees, at its own path
	rt        *faulty
	options   supervisor.Options
	client    *supervisor.Client
	leave     func() // ends the supervisor, and leaves the containers running; nil when none runs
}

func newFixture(t *testing.T, target Target) *fixture {
	root, err := os.MkdirTemp("", "conform") // not t.TempDir: a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	f := &fixture{T: t, target: target, root: root, manifests: filepath.Join(root, "manifests"), shared: filepath.Join(root, "shared")}
	for _, dir := range []string{f.manifests, f.shared} {
		f.must(os.Mkdir(dir, 0o755))
	}
	f.options = supervisor.Options{
		RuntimeName: "test", Sources: []source.Source{&source.Directory{Path: f.manifests, NodeName: "node1"}},
		SocketPath: filepath.Join(root, "socket"), LockPath: filepath.Join(root, "lock"), StateDir: filepath.Join(root, "pods"),
	}
	return f
}

// supervise starts a supervisor with the fixture's options; the end of the test stops its pods.
func (f *fixture) supervise() {
	f.Helper()
	ready, done := make(chan struct{}), make(chan error, 1)
	f.rt = &faulty{Runtime: f.target.Open(f.T, f.root), hidden: f.hidden()}
	opts := f.options
	opts.Runtime, opts.Ready = f.rt, func() { close(ready) }
	f.client = supervisor.NewClient(opts.SocketPath)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- supervisor.Run(ctx, opts) }()
	f.leave = func() {
		cancel()
		if err := <-done; err != nil {
			f.Error(err)
		}
		f.leave = nil
	}
	select {
	case <-ready:
	case err := <-done:
		cancel()
		f.leave = nil
		f.Fatalf("the supervisor does not start: %v", err)
	}
	f.Cleanup(func() {
		if f.leave == nil {
			return
		}
		f.rt.fail(nil)
		stop, end := context.WithTimeout(context.Background(), patience)
		defer end()
		if err := f.client.Stop(stop, nil); err != nil {
			f.Errorf("cannot stop the pods: %v", err)
		}
		f.leave()
	})
}

// hidden is what the next List shall not tell.
func (f *fixture) hidden() []string {
	if f.rt == nil {
		return nil
	}
	return f.rt.hidden
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// put writes a manifest, in one step, and gives it the name of its pod.
func (f *fixture) put(pod *corev1.Pod) {
	f.Helper()
	data, err := json.Marshal(pod)
	f.must(err)
	tmp := filepath.Join(f.root, "manifest")
	f.must(os.WriteFile(tmp, data, 0o600))
	f.must(os.Rename(tmp, f.path(pod.Name)))
}

func (f *fixture) path(pod string) string { return filepath.Join(f.manifests, pod+".json") }

func (f *fixture) remove(pod string) {
	f.Helper()
	f.must(os.Remove(f.path(pod)))
}

// touch makes a file that containers look for.
func (f *fixture) touch(name string) {
	f.Helper()
	f.must(os.WriteFile(filepath.Join(f.shared, name), nil, 0o666))
}

// pod makes a pod with one container "main" that runs the script; change may alter it.
func (f *fixture) pod(name, script string, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: name}}
	pod.Spec = corev1.PodSpec{
		HostNetwork: true,
		Containers:  []corev1.Container{f.container("main", script)},
		Volumes:     []corev1.Volume{{Name: "shared", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: f.shared}}}},
	}
	for _, do := range change {
		do(pod)
	}
	return pod
}

func (f *fixture) container(name, script string) corev1.Container {
	return corev1.Container{Name: name, Image: f.target.Image, Command: f.sh(script),
		VolumeMounts: []corev1.VolumeMount{{Name: "shared", MountPath: f.shared}}}
}

// sh is the command of a script that may use
//
//	say WORDS   writes a line with the time to the file that events reads
//	hold        sleeps until a signal comes
//	await FILE  waits for a file that the test makes
//	$$$$        is the shell's PID: the pod's $$ is one $
//
// and stands in the shared directory.
func (f *fixture) sh(script string) []string {
	return []string{"sh", "-c", `cd ` + f.shared + `
say() { read -r up idle </proc/uptime; echo "$up $*" >>said; }
hold() { sleep 1000 & wait $!; }
await() { while [ ! -e "$1" ]; do sleep 0.02; done; }
` + script}
}

// polite begins, and ends when it is asked to; stubborn only says that it was asked.
func polite(name string) string {
	return fmt.Sprintf("trap 'say %s end; exit 0' TERM; say %s begin; hold; hold", name, name)
}

func stubborn(name string) string {
	return fmt.Sprintf("trap 'say %s asked' TERM; say %s begin; while :; do hold; done", name, name)
}

// event is one line that a container said.
type event struct {
	at    time.Duration // since the machine was started, to 10 ms
	words string
}

func (f *fixture) events() []event {
	f.Helper()
	data, err := os.ReadFile(filepath.Join(f.shared, "said"))
	if err != nil || len(data) == 0 { // a shell makes the file first, and then writes
		return nil
	}
	var all []event
	for _, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		at, words, ok := strings.Cut(line, " ")
		seconds, err := strconv.ParseFloat(at, 64)
		if !ok || err != nil {
			f.Fatalf("a container said %q", line)
		}
		all = append(all, event{time.Duration(seconds * float64(time.Second)), words})
	}
	return all
}

// times are when these words were said.
func (f *fixture) times(words string) []time.Duration {
	f.Helper()
	var at []time.Duration
	for _, e := range f.events() {
		if e.words == words {
			at = append(at, e.at)
		}
	}
	return at
}

// said waits until these words were said n times, and returns when it was the last time.
func (f *fixture) said(words string, n int) time.Duration {
	f.Helper()
	var at []time.Duration
	f.until(fmt.Sprintf("%q was said %d times", words, n), func() bool { at = f.times(words); return len(at) >= n })
	return at[n-1]
}

// order wants that these, and nothing else, was said.
func (f *fixture) order(want ...string) {
	f.Helper()
	var got []string
	for _, e := range f.events() {
		got = append(got, e.words)
	}
	if !slices.Equal(got, want) {
		f.Errorf("the containers said\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// until waits for what another process does.
func (f *fixture) until(what string, cond func() bool) {
	f.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(end) {
			f.Fatalf("never: %s; the containers said %v; the status is %+v", what, f.events(), f.status())
		}
	}
}

func (f *fixture) status() runtime.Status {
	f.Helper()
	status, err := f.client.Status(f.Context())
	f.must(err)
	return status
}

// get returns a pod's status, and false when there is no such pod.
func (f *fixture) get(name string) (runtime.PodStatus, bool) {
	f.Helper()
	for _, p := range f.status().Pods {
		if p.Name == name {
			return p, true
		}
	}
	return runtime.PodStatus{}, false
}

// becomes waits until a pod is as the function wants it.
func (f *fixture) becomes(name, what string, is func(runtime.PodStatus) bool) runtime.PodStatus {
	f.Helper()
	var p runtime.PodStatus
	f.until("pod "+name+" is "+what, func() bool {
		var ok bool
		p, ok = f.get(name)
		return ok && is(p)
	})
	return p
}

func (f *fixture) ready(name string) runtime.PodStatus {
	f.Helper()
	return f.becomes(name, "ready", func(p runtime.PodStatus) bool { return p.Ready })
}

// gone waits until there is no such pod.
func (f *fixture) gone(name string) {
	f.Helper()
	f.until("pod "+name+" is gone", func() bool { _, there := f.get(name); return !there })
}

// happened waits for an event of this reason.
func (f *fixture) happened(reason runtime.Reason) {
	f.Helper()
	f.until("an event "+string(reason), func() bool {
		found := false
		f.must(f.client.Events(f.Context(), false, func(e runtime.Event) { found = found || e.Reason == reason }))
		return found
	})
}

// kill kills the pod's container from outside, as the kernel or an operator does.
func (f *fixture) kill(pod, container string) {
	f.Helper()
	p, _ := f.get(pod)
	for _, c := range p.Containers {
		if c.Name == container && c.PID > 0 {
			process, err := os.FindProcess(c.PID)
			f.must(err)
			f.must(process.Kill())
			return
		}
	}
	f.Fatalf("container %s of pod %s does not run: %+v", container, pod, p)
}

// uptime is the clock of the containers.
func (f *fixture) uptime() time.Duration {
	f.Helper()
	up, err := procfs.Uptime()
	f.must(err)
	return up
}

// between wants that something took at least so long, and not for ever.
func (f *fixture) between(what string, from, to, least time.Duration) {
	f.Helper()
	if took := to - from; took < least-slack || took > least+soon {
		f.Errorf("%s took %s, want %s at least, and little more", what, took, least)
	}
}
