//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The fault tests have two forms. make e2e runs the short one: every fault once, in the same way. make faults
// runs all of it, for 30 minutes and more, and prints the table that docs/explanation/faults.md shows.
var everyFault = flag.Bool("faults", false, "run the fault tests in their long form")

// times is how often a fault is made to happen.
func times(short, long int) int {
	if *everyFault {
		return long
	}
	return short
}

// faultRow is a line of the table: how often something was done to a control plane, and what became of it. A
// count that says nothing about a fault is -1.
type faultRow struct {
	fault   string
	cases   int
	healthy int // it was ready again, by itself or by init run again
	undone  int // reset left nothing
	acked   int // writes that were acknowledged meanwhile
	lost    int // of these, not there afterwards
	strange int // containers that were restarted, or ended, and should not have been
	note    string
}

// newFaultRow returns a row whose counts say nothing yet.
func newFaultRow(fault string) *faultRow {
	return &faultRow{fault: fault, healthy: -1, undone: -1, acked: -1, lost: -1, strange: -1}
}

// count adds to a count, which says something from now on.
func count(n *int, more int) { *n = max(*n, 0) + more }

// faultTable is what the fault tests of this process have found, in order.
type faultTable struct {
	mu    sync.Mutex
	rows  []*faultRow
	began time.Time
}

var faults = &faultTable{began: time.Now()}

// done adds a row when the test has ended; one of a test that failed says so.
func (f *faultTable) done(t testing.TB, row *faultRow) {
	t.Cleanup(func() {
		if t.Failed() {
			row.note = strings.TrimSpace("FAILED " + row.note)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rows = append(f.rows, row)
	})
}

// print writes the rows as a table of Markdown.
func (f *faultTable) print(w io.Writer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.rows) == 0 {
		return
	}
	fmt.Fprintln(w, "\n| fault | cases | healthy again | undone | writes acknowledged | lost | unwanted restarts | |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, r := range f.rows {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", r.fault, counted(r.cases),
			counted(r.healthy), counted(r.undone), counted(r.acked), counted(r.lost), counted(r.strange), r.note)
	}
	fmt.Fprintf(w, "\n%s altogether.\n\n", time.Since(f.began).Round(time.Second))
}

func counted(n int) string {
	if n < 0 {
		return ""
	}
	return strconv.Itoa(n)
}
