package source

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/durable"
)

// manifest is a pod's YAML; image tells contents apart.
func manifest(name, image string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata:\n  name: %s\nspec:\n  containers:\n  - name: main\n    image: %s\n", name, image)
}

// soon tells a change that was noticed from one that the periodic listing found, 20 s later. The aim is
// 100 ms; a test must not fail because the machine is busy, so speed is for make bench.
const soon = 5 * time.Second

// watched is a running Directory and what it has said.
type watched struct {
	t   *testing.T
	dir string
	ch  chan Update
	all []Update // every update so far
}

// watch runs a Directory on path.
func watchPath(t *testing.T, path string, period time.Duration) *watched {
	w := &watched{t: t, dir: path, ch: make(chan Update, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- (&Directory{Path: path, NodeName: "node1", Period: period}).Run(ctx, w.ch) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// next returns the next update.
func (w *watched) next() Update {
	w.t.Helper()
	select {
	case u := <-w.ch:
		w.all = append(w.all, u)
		return u
	case <-time.After(5 * time.Second):
		w.t.Fatal("no update came")
		return Update{}
	}
}

// until waits for a set of pods, as "name image", and gives back the update and how long it took.
func (w *watched) until(pods ...string) (Update, time.Duration) {
	w.t.Helper()
	return w.untilAll(pods, nil)
}

func (w *watched) untilAll(pods, problems []string) (Update, time.Duration) {
	w.t.Helper()
	begun := time.Now()
	var u Update
	for time.Since(begun) < 10*time.Second {
		select {
		case u = <-w.ch:
			w.all = append(w.all, u)
			if slices.Equal(podsOf(u), pods) && (problems == nil || slices.Equal(problemsOf(u), problems)) {
				return u, time.Since(begun)
			}
		case <-time.After(time.Second / 10):
		}
	}
	w.t.Fatalf("the set is %q, problems %+v; want %q, %q", podsOf(u), u.Problems, pods, problems)
	return u, 0
}

// quiet wants no update for a while.
func (w *watched) quiet(d time.Duration) {
	w.t.Helper()
	select {
	case u := <-w.ch:
		w.t.Errorf("an update came: %q, %+v", podsOf(u), u.Problems)
	case <-time.After(d):
	}
}

func (w *watched) write(name, content string) {
	w.t.Helper()
	if err := durable.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func podsOf(u Update) []string {
	var pods []string
	for _, p := range u.Pods {
		pods = append(pods, strings.TrimSuffix(p.Name, "-node1")+" "+p.Spec.Containers[0].Image)
	}
	return pods
}

func problemsOf(u Update) []string {
	var all []string
	for _, p := range u.Problems {
		all = append(all, filepath.Base(p.Source))
	}
	return all
}
