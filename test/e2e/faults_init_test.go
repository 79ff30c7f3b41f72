//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// moment is one in an init at which it can be killed from outside.
type moment struct {
	name    string
	reached func() bool
}

// init killed at the boundaries between its steps: the moment after its journal got longer, and the moment after
// each thing that it makes was there. Run again it ends healthy, or reset leaves nothing, by turns.
//
// The program has no switch for this: journal and paths are watched from outside. The tests of package phases
// kill at every step exactly, from within, with components that stand for the real ones.
func TestKilledInitAtEveryBoundary(t *testing.T) {
	n := newNode(t)
	row := newFaultRow("`init` killed at a step boundary")
	faults.done(t, row)
	before := n.snapshot()
	moments := []moment{n.longer(12), n.made(filepath.Join(n.root, "etc/kubernetes/manifests/etcd.yaml"))}
	if *everyFault {
		moments = n.boundaries()
		n.must("reset", "--force")
	}
	for _, m := range moments {
		if !n.killInit(m.reached) {
			t.Logf("%s: init had ended", m.name)
			n.must("reset", "--force")
			continue
		}
		row.cases++
		if row.cases%2 == 0 {
			n.init()
			n.waitReady()
			count(&row.healthy, 1)
		}
		n.must("reset", "--force")
		if diff := difference(before, n.snapshot()); diff != "" {
			t.Fatalf("killed at %s, reset leaves:\n%s", m.name, diff)
		}
		count(&row.undone, 1)
	}
}

// longer is the moment when the journal has so many records.
func (n *node) longer(records int) moment {
	return moment{fmt.Sprintf("%d records", records), func() bool { return n.records() >= records }}
}

// made is the moment when there is something at a path.
func (n *node) made(path string) moment {
	return moment{path, func() bool {
		_, err := os.Lstat(path)
		return err == nil
	}}
}

// boundaries runs init to its end. What it returns are the lengths that its journal was seen to have (several records
// may go in with one write), and what the journal says was made.
func (n *node) boundaries() (all []moment) {
	n.t.Helper()
	seen, paths := map[int]bool{}, map[string]bool{}
	n.killInit(func() bool {
		seen[n.records()] = true
		return false
	})
	delete(seen, 0)
	for line := range strings.Lines(n.journal()) {
		var record struct{ Made struct{ Path string } }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			n.t.Fatal(err)
		}
		if path := record.Made.Path; path != "" && path != n.base && !strings.HasSuffix(path, "*") {
			paths[path] = true
		}
	}
	for _, records := range slices.Sorted(maps.Keys(seen)) {
		all = append(all, n.longer(records))
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		all = append(all, n.made(path))
	}
	return all
}

// killInit runs init, and kills it as soon as a moment is reached. It returns whether it was, before init had ended.
func (n *node) killInit(reached func() bool) bool {
	n.t.Helper()
	cmd := n.command(context.Background(), "init", "--apiserver-advertise-address", "127.0.0.1")
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !reached() {
		select {
		case <-ended:
			return false
		case <-time.After(50 * time.Microsecond): // shorter than a record's way to the disk
		}
	}
	_ = cmd.Process.Kill() // it may have ended
	return <-ended != nil
}

// records is how many the journal has.
func (n *node) records() int {
	data, _ := os.ReadFile(filepath.Join(n.root, "var/lib/kubecrank/journal.jsonl")) // not there yet: none
	return bytes.Count(data, []byte("\n"))
}
