//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
)

// sleeper is a pod that does nothing, for as many seconds as it says.
const sleeper = `apiVersion: v1
kind: Pod
metadata:
  name: %s
spec:
  hostNetwork: true
  containers:
  - name: main
    image: none
    command: [sleep, "%d"]
`

// standalone is a supervisor without a cluster, with a manifest directory of its own. It is not root: root
// could read whatever is made unreadable.
type standalone struct {
	*node
	dir string
}

func newStandalone(t *testing.T) *standalone {
	n := newNode(t)
	if os.Geteuid() == 0 {
		n.cred = nobody(t)
	}
	s := &standalone{n, filepath.Join(n.base, "pods")}
	s.mkdir(s.dir)
	if err := os.Chown(n.base, s.uid(), -1); err != nil {
		t.Fatal(err)
	}
	return s
}

// uid is whom the supervisor runs as.
func (s *standalone) uid() int {
	if s.cred == nil {
		return -1
	}
	return int(s.cred.Uid)
}

func (s *standalone) mkdir(path string) {
	s.t.Helper()
	if err := os.Mkdir(path, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chown(path, s.uid(), -1); err != nil {
		s.t.Fatal(err)
	}
}

// supervise starts the supervisor; the returned function stops the pods and then it.
func (s *standalone) supervise() (stop func()) {
	s.t.Helper()
	cmd := s.command(context.Background(), "supervise", "--pod-manifest-path", s.dir)
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.eventually(time.Minute, "the supervisor answers", func() error {
		if r := s.run(10*time.Second, "status"); r.stdout == "" {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	return func() {
		s.t.Helper()
		_ = cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("the supervisor ended with %v:\n%s", err, log.String())
		}
	}
}

// put writes a sleeper's manifest, in one of the ways in which files come to be.
func (s *standalone) put(dir, name string, seconds, way int) {
	s.t.Helper()
	path, data := filepath.Join(dir, name+".yaml"), fmt.Appendf(nil, sleeper, name, seconds)
	var err error
	switch way % 3 {
	case 0: // as the shell writes
		err = os.WriteFile(path, data, 0o644)
	case 1: // as careful programs do
		tmp := filepath.Join(dir, ".tmp")
		if err = os.WriteFile(tmp, data, 0o644); err == nil {
			err = os.Rename(tmp, path)
		}
	default: // removed, and written anew
		if err = os.Remove(path); err == nil {
			err = os.WriteFile(path, data, 0o644)
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// runs waits until these sleepers run, with so many seconds each, and no others.
func (s *standalone) runs(want map[string]int) map[string][2]int {
	s.t.Helper()
	s.eventually(time.Minute, fmt.Sprintf("the pods are %v", want), func() error {
		got := map[string]int{}
		for _, p := range s.status().Pods {
			got[p.Name] = -1
			args, _ := procfs.Args(p.PID) // gone: another one will be there
			seconds := 0
			_, err := fmt.Sscanf(strings.Join(args, " "), "sleep %d", &seconds)
			if err == nil && p.State == "Running" {
				got[p.Name] = seconds
			}
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("they are %v", got)
		}
		return nil
	})
	return s.pids()
}

// The directory of the manifests goes, comes back, is replaced, and cannot be read for a while: only what is gone for
// certain is stopped, what is there again runs, and what is as it was is not restarted.
func TestFaultManifestDirectory(t *testing.T) {
	s := newStandalone(t)
	row := newFaultRow("manifest directory removed, replaced, made unreadable")
	faults.done(t, row)
	s.put(s.dir, "a", 1001, 0)
	s.put(s.dir, "b", 1002, 0)
	stop := s.supervise()
	both := map[string]int{"a": 1001, "b": 1002}
	before := s.runs(both)
	same := func(what string) {
		t.Helper()
		if after := s.runs(both); !maps.Equal(after, before) {
			count(&row.strange, 1)
			t.Errorf("%s: the pods are (PID, restarts) %v, before %v", what, after, before)
		}
		row.cases++
		count(&row.healthy, 1)
	}
	count(&row.strange, 0)
	for range times(1, 10) {
		s.unreadable(t, func() error { return os.Chmod(s.dir, 0) }, func() error { return os.Chmod(s.dir, 0o755) })
		same("unreadable for a while")
		away := s.dir + ".away"
		s.unreadable(t, func() error { // something else is in its place
			return firstOf(os.Rename(s.dir, away), syscall.Mkfifo(s.dir, 0o600))
		}, func() error { return firstOf(os.Remove(s.dir), os.Rename(away, s.dir)) })
		same("a pipe in its place for a while")

		next := s.dir + ".next"
		s.mkdir(next)
		s.put(next, "a", 1001, 0)
		s.put(next, "b", 1002, 1)
		s.do(os.Rename(s.dir, away), os.Rename(next, s.dir), os.RemoveAll(away))
		same("replaced by one with the same in it")
		s.put(s.dir, "b", 1003, 1) // is the new one watched?
		s.runs(map[string]int{"a": 1001, "b": 1003})
		s.put(s.dir, "b", 1002, 0)
		before = s.runs(both)

		s.do(os.RemoveAll(s.dir))
		s.runs(map[string]int{}) // as the kubelet: no directory, no pods (statement 6)
		s.mkdir(s.dir)
		s.put(s.dir, "a", 1001, 0)
		s.put(s.dir, "b", 1002, 0)
		before = s.runs(both)
		row.cases++
		count(&row.healthy, 1)
	}
	stop()
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *standalone) do(errs ...error) {
	s.t.Helper()
	if err := firstOf(errs...); err != nil {
		s.t.Fatal(err)
	}
}

// unreadable has the directory unreadable until status says so.
func (s *standalone) unreadable(t *testing.T, begin, end func() error) {
	t.Helper()
	s.do(begin())
	s.eventually(time.Minute, "status says that the directory cannot be read", func() error {
		for _, p := range s.status().Problems {
			if strings.Contains(p.Message, "cannot read static pods") {
				return nil
			}
		}
		return fmt.Errorf("%s", s.run(10*time.Second, "status"))
	})
	s.do(end())
}

// Hundreds of edits in a row, in every way in which editors and programs write, end on the last one, and with one process.
func TestFaultEdits(t *testing.T) {
	s := newStandalone(t)
	row := newFaultRow("300 edits in a row")
	faults.done(t, row)
	s.put(s.dir, "a", 998, 0)
	s.put(s.dir, "still", 999, 0)
	stop := s.supervise()
	count(&row.strange, 0)
	for round := range times(1, 10) {
		still := s.pids()["still"]
		last := 0
		for i := range 300 {
			last = 10000*(round+1) + i
			s.put(s.dir, "a", last, i)
			time.Sleep(jitter(10 * time.Millisecond))
		}
		s.runs(map[string]int{"a": last, "still": 999})
		row.cases++
		count(&row.healthy, 1)
		if now := s.pids()["still"]; round > 0 && now != still {
			count(&row.strange, 1)
			t.Errorf("another pod has (PID, restarts) %v, before %v", now, still)
		}
		var sleeping []string
		for _, p := range s.processes() {
			if args := strings.Join(p.args, " "); strings.HasPrefix(args, "sleep ") {
				sleeping = append(sleeping, args)
			}
		}
		slices.Sort(sleeping)
		if want := []string{fmt.Sprintf("sleep %d", last), "sleep 999"}; !slices.Equal(sleeping, want) {
			t.Errorf("after the edits these run: %q, want %q", sleeping, want)
		}
	}
	stop()
	if left := s.processes(); len(left) > 0 {
		t.Errorf("after the stop these run: %v", left)
	}
}
