//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// garbage is one way in which a file can be spoilt.
type garbage struct {
	name string
	// put makes garbage of what was there; the path is free.
	put func(path string, was []byte) error
}

func garbages() []garbage {
	write := func(make func(was []byte) []byte) func(string, []byte) error {
		return func(path string, was []byte) error { return os.WriteFile(path, make(was), 0o600) }
	}
	return []garbage{
		{"empty", write(func([]byte) []byte { return nil })},
		{"half of it", write(func(was []byte) []byte { return was[:len(was)/2] })},
		{"one byte other", write(func(was []byte) []byte {
			spoilt := append(bytes.Clone(was), 'x')
			spoilt[len(was)/2] ^= 0x15
			return spoilt[:max(1, len(was))]
		})},
		{"NUL bytes", write(func(was []byte) []byte { return make([]byte, len(was)+1) })},
		{"random bytes", write(func(was []byte) []byte {
			random := rand.NewChaCha8([32]byte{7})
			spoilt := make([]byte, min(len(was)+16, 1<<20))
			_, _ = random.Read(spoilt) // it never fails
			return spoilt
		})},
		{"a directory", func(path string, _ []byte) error { return os.Mkdir(path, 0o700) }},
		{"a pipe", func(path string, _ []byte) error { return syscall.Mkfifo(path, 0o600) }},
		{"a link to nothing", func(path string, _ []byte) error { return os.Symlink("/nowhere/at/all", path) }},
		{"a link to /dev/zero", func(path string, _ []byte) error { return os.Symlink("/dev/zero", path) }},
	}
}

// readBack is a file of ours that is read back, as a glob below the root; the first match is spoilt.
type readBack struct {
	path string
	// supervisor says that the next supervisor reads it, so that this one is killed first.
	supervisor bool
	// kept says that init does not write it anew: it is put back whatever was said.
	kept bool
}

func readBacks() []readBack {
	return []readBack{
		{"var/lib/kubecrank/journal.jsonl", false, true},
		{"var/lib/kubecrank/supervisor.yaml", true, true},
		{"var/lib/kubecrank/supervisor.log", true, false},
		{"var/lib/kubecrank/events.jsonl", true, false},
		{"var/lib/kubecrank/pods/etcd*.json", true, false},
		{"var/lib/kubecrank/pods/processes/*/etcd.json", true, false},
		{"var/lib/kubecrank/components/*/components", true, false},
		{"run/kubecrank/kubecrank.lock", false, false},
		{"run/kubecrank/supervisor.lock", true, false},
		{"run/kubecrank/supervisor.sock", false, false},
		{"etc/kubernetes/pki/ca.crt", false, true},
		{"etc/kubernetes/pki/ca.key", false, true},
		{"etc/kubernetes/pki/apiserver.crt", false, true},
		{"etc/kubernetes/admin.conf", false, true},
		{"etc/kubecrank/config.yaml", false, true},
	}
}

// What of ours is read back may be garbage: init recovers or says what is wrong, never crashes, never hangs, and
// harms no pod. With the right content back in its place all is as before.
func TestFaultGarbage(t *testing.T) {
	n := newNode(t)
	row := newFaultRow("garbage in a file that is read back")
	faults.done(t, row)
	n.initWith(fmt.Sprintf(quickBackOff, ""))
	settings := filepath.Join(n.root, "etc/kubecrank/config.yaml")
	if err := os.MkdirAll(filepath.Dir(settings), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(settings, []byte("quiet: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	count(&row.strange, 0)
	before := n.pids()
	var answers []string
	kinds := garbages()
	for i, file := range readBacks() {
		for j, kind := range kinds {
			if !*everyFault && i%len(kinds) != j {
				continue
			}
			row.cases++
			answer := n.spoil(t, file, kind)
			answers = append(answers, fmt.Sprintf("| `%s` | %s | %s |", strings.ReplaceAll(file.path, "*", "…"), kind.name, answer))
			n.must("init", "--config", filepath.Join(n.base, "kubeadm.yaml"))
			n.waitReady()
			count(&row.healthy, 1)
			if after := n.pids(); fmt.Sprint(after) != fmt.Sprint(before) {
				count(&row.strange, 1)
				t.Errorf("%s as %s: the pods are (PID, restarts) %v, before %v", file.path, kind.name, after, before)
				before = after
			}
		}
	}
	t.Logf("what init says:\n| file | is | `init` |\n|---|---|---|\n%s", strings.Join(answers, "\n"))
	n.must("reset", "--force")
}

// spoil makes garbage of a file, looks at what the program says, and puts the file back. It returns how init ended.
func (n *node) spoil(t *testing.T, file readBack, kind garbage) (answer string) {
	found, err := filepath.Glob(filepath.Join(n.root, file.path))
	if err != nil || len(found) == 0 {
		t.Fatalf("there is no %s: %v", file.path, err)
	}
	path := found[0]
	kept := filepath.Join(n.base, "kept")
	var was []byte
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		if was, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if file.supervisor {
		n.killSupervisor()
	}
	if err := firstOf(os.Rename(path, kept), kind.put(path, was)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"status"}, {"init", "--config", filepath.Join(n.base, "kubeadm.yaml")}, {"timeline"}, {"reset", "--dry-run"},
	} {
		r := n.run(30*time.Second, args...)
		if r.code < 0 || strings.Contains(r.stderr, "goroutine ") {
			t.Errorf("%s as %s: a crash, or a hang: %s", file.path, kind.name, r)
		}
		if r.code != 0 && args[0] != "status" && args[0] != "timeline" && !strings.Contains(r.stderr, "cannot ") {
			t.Errorf("%s as %s: not a clear error: %s", file.path, kind.name, r)
		}
		if args[0] == "init" {
			answer = "recovers"
			if r.code != 0 {
				answer = n.firstError(r.stderr)
			}
		}
	}
	// What the program has written anew is as good as what was there.
	info, err := os.Lstat(path)
	if !file.kept && answer == "recovers" && err == nil && info.Mode().IsRegular() {
		if err := os.Remove(kept); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if file.supervisor && n.run(10*time.Second, "status").stdout != "" {
		n.killSupervisor()
	}
	if err := firstOf(os.RemoveAll(path), os.Rename(kept, path)); err != nil {
		t.Fatal(err)
	}
	return answer
}

// firstError is the first line of an error, without what differs from run to run.
func (n *node) firstError(stderr string) string {
	for line := range strings.Lines(stderr) {
		if at := strings.Index(line, "cannot "); at >= 0 {
			return "`" + strings.ReplaceAll(strings.TrimSpace(line[at:]), n.root, "") + "`"
		}
	}
	return strings.TrimSpace(stderr)
}
