//go:build e2e

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
)

// The list of a node's processes holds for those without a command line, that end, that have ended, and of other
// users; and etcd is found among them. (One without a command line ended the whole package with a panic.)
func TestProcessList(t *testing.T) {
	n := newNode(t)
	dir := filepath.Join(n.root, "var/lib/etcd")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	start := func(path string, args ...string) *exec.Cmd {
		t.Helper()
		cmd := &exec.Cmd{Path: path, Args: args, Dir: dir, SysProcAttr: n.command(t.Context()).SysProcAttr}
		stdin, err := cmd.StdinPipe() // a cat lives as long as this
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	nameless := start("/bin/cat", "")
	blank := start("/bin/cat", " ")
	n.cred = nobody(t)
	start("/bin/cat", "cat", "-", n.root)
	n.cred = nil
	zombie := start("/bin/cat", "cat", n.root)
	_ = zombie.Process.Kill()
	n.eventually(time.Minute, "a zombie", func() error {
		if procfs.Runs(zombie.Process.Pid) {
			return errors.New("it runs")
		}
		return nil
	})
	busy := start("/bin/sh", "sh", "-c", "while :; do /bin/true "+n.root+"; done") // always one in the middle of execve
	etcd := start("/bin/sh", "/x/etcd", "-c", "read x; exit", "--data-dir="+dir)

	if pid := n.findEtcd(); pid != etcd.Process.Pid {
		t.Errorf("etcd is %d, and not %d", etcd.Process.Pid, pid)
	}
	want := []int{nameless.Process.Pid, blank.Process.Pid, busy.Process.Pid, etcd.Process.Pid}
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var got []int
		for _, p := range n.processes() {
			got = append(got, p.pid)
			_ = p.String()
		}
		for _, pid := range want {
			if !slices.Contains(got, pid) {
				t.Fatalf("process %d is not in the list: %v", pid, got)
			}
		}
		if slices.Contains(got, zombie.Process.Pid) {
			t.Fatal("a zombie is in the list")
		}
	}
}
