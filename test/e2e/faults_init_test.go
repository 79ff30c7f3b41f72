//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// init killed the moment after each of its journal's records reached the disk, which is every boundary between two
// steps: run again it ends healthy, or reset leaves nothing, by turns.
//
// The program has no switch for this. The journal is watched from outside, and the process is killed when
// the record is there; how many records there were in fact is counted afterwards. What was missed is tried again.
func TestKilledInitAtEveryRecord(t *testing.T) {
	n := newNode(t)
	row := newFaultRow("`init` killed at a step boundary")
	faults.done(t, row)
	before := n.snapshot()
	todo, records := []int{12, 30}, 1<<30
	if *everyFault {
		n.init()
		records = n.records()
		n.must("reset", "--force")
		todo = todo[:0]
		for at := 1; at < records; at++ {
			todo = append(todo, at)
		}
	}
	hit, undo := map[int]bool{}, false
	for range times(1, 3) {
		for _, at := range todo {
			if hit[at] {
				continue
			}
			got := n.killedAtRecord(at)
			if got >= records {
				n.must("reset", "--force") // it was not killed in time
				continue
			}
			hit[got] = true
			row.cases++
			if undo = !undo; !undo {
				n.init()
				n.waitReady()
				count(&row.healthy, 1)
			}
			n.must("reset", "--force")
			if diff := difference(before, n.snapshot()); diff != "" {
				t.Fatalf("after a kill at record %d of %d, reset leaves:\n%s", got, records, diff)
			}
			count(&row.undone, 1)
		}
	}
	row.note = fmt.Sprintf("%d of %d boundaries", len(hit), len(todo))
	if len(hit) < len(todo)*2/3 {
		t.Errorf("only %d of %d boundaries were hit: the watch of the journal is too slow", len(hit), len(todo))
	}
}

// killedAtRecord kills init when its journal has so many records, and returns how many it had when it was dead.
func (n *node) killedAtRecord(at int) int {
	n.t.Helper()
	cmd := n.command(context.Background(), "init", "--apiserver-advertise-address", "127.0.0.1")
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case <-ended:
			return n.records()
		default:
		}
		if n.records() >= at {
			_ = syscall.Kill(cmd.Process.Pid, syscall.SIGKILL)
			<-ended
			return n.records()
		}
		time.Sleep(50 * time.Microsecond) // shorter than a record's way to the disk
	}
}

// records is how many the journal has.
func (n *node) records() int {
	data, _ := os.ReadFile(filepath.Join(n.root, "var/lib/kubecrank/journal.jsonl")) // not there yet: none
	return bytes.Count(data, []byte("\n"))
}
