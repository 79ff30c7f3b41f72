//go:build oracle

package kubeadm

import (
	"cmp"
	"errors"
	"flag"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Everything that kubeadm writes and everything that kubecrank writes is the
// same, for each configuration and each version, but for the table.
func TestSameAsKubeadm(t *testing.T) {
	table := newTable(deliberate())
	cases := allCases(t)
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	all := t.Run("cases", func(t *testing.T) {
		for i, k := range kubeadms(t) {
			alone := isolated(t, k)
			for _, c := range cases {
				if !c.in(k.minor) || c.slow && (i > 0 || testing.Short()) {
					continue
				}
				t.Run(k.version+"/"+c.name, func(t *testing.T) {
					t.Parallel()
					limit <- struct{}{}
					defer func() { <-limit }()
					if reason := c.impossible(alone); reason != "" {
						table.skipped()
						t.Skip(reason)
					}
					table.check(t, occasion{c.name, cmp.Or(c.runtime, "process"), k.minor}, differences(t, k, c, alone))
				})
			}
		}
	})
	if filter := flag.Lookup("test.run").Value.String(); all && filter == "" {
		table.needed(t)
	}
}

// impossible says why a case cannot be run on this machine, or "".
func (c testCase) impossible(isolated bool) string {
	_, err := os.Stat("/etc/kubernetes")
	switch {
	case c.thisMachine && !hasDefaultRoute():
		return "this machine has no default route"
	case isolated:
		return ""
	case c.real:
		return "this user cannot give kubeadm a root directory"
	case !errors.Is(err, fs.ErrNotExist):
		return "this machine has an /etc/kubernetes, which kubeadm would look into"
	}
	return ""
}

func hasDefaultRoute() bool {
	host, err := thisMachine()
	return err == nil && host.DefaultAddress.IsValid()
}

func differences(t *testing.T, k kubeadm, c testCase, isolated bool) []difference {
	t.Helper()
	p := c.prepare(t, k, isolated)
	write := k.dryRun
	if c.real {
		write = k.really
	}
	theirs, err := write(t, p)
	if err != nil {
		t.Fatalf("kubeadm refuses it:\n%v\n%s", err, p.document)
	}
	ours, err := kubecrank(p)
	if err != nil {
		t.Fatalf("kubecrank refuses it:\n%v\n%s", err, p.document)
	}
	return compare(theirs, ours)
}

// table is the deliberate differences, and how often each was met.
type table struct {
	mu     sync.Mutex
	lines  []allowed
	met    []int
	minors map[int]bool
	skips  int
}

func newTable(lines []allowed) *table {
	return &table{lines: lines, met: make([]int, len(lines)), minors: map[int]bool{}}
}

func (tb *table) skipped() {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.skips++
}

// check fails for each difference that no line allows.
func (tb *table) check(t *testing.T, o occasion, found []difference) {
	t.Helper()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.minors[o.minor] = true
	for _, d := range found {
		ok := false
		for i, line := range tb.lines {
			if line.allows(o, d) {
				tb.met[i]++
				ok = true
			}
		}
		if !ok {
			t.Errorf("%s", d)
		}
	}
}

// needed fails for each line that no difference needed.
func (tb *table) needed(t *testing.T) {
	t.Helper()
	for i, line := range tb.lines {
		about := false
		for minor := range tb.minors {
			about = about || line.in(minor)
		}
		if tb.met[i] == 0 && about && tb.skips == 0 {
			t.Errorf("nothing differs any more as this line says, so it can go: %s: %s", line.Where, line.Why)
		}
	}
}

func (a allowed) in(minor int) bool {
	return (a.Since == 0 || minor >= a.Since) && (a.Until == 0 || minor <= a.Until)
}

// occasion is where a difference was met.
type occasion struct {
	name, runtime string
	minor         int
}

func (a allowed) allows(o occasion, d difference) bool {
	return a.in(o.minor) && (a.Runtimes == "" || slices.Contains(strings.Fields(a.Runtimes), o.runtime)) &&
		(a.Cases == "" || matches(a.Cases, o.name)) &&
		matches(a.Where, d.Where) && matches(cmp.Or(a.Kubeadm, absent), d.Kubeadm) && matches(cmp.Or(a.Kubecrank, absent), d.Kubecrank) &&
		(a.Same == nil || a.Same(d.Kubeadm) == d.Kubecrank)
}

// matches says whether text is pattern, in which * stands for any text.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	if len(parts) == 1 {
		return rest == ""
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, last)
}
