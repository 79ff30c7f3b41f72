//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
)

// soon has the liveness probe of every component find a hung process within three seconds, and end it within two
// more, as a user would ask for it: with patches.
const soon = `spec:
  containers:
  - name: %s
    livenessProbe:
      initialDelaySeconds: 0
      periodSeconds: 1
      timeoutSeconds: 1
      failureThreshold: %d
      terminationGracePeriodSeconds: 1
`

// A component that hangs (SIGSTOP) is found by its liveness probe, killed, and started again.
func TestFaultStopped(t *testing.T) {
	n := newNode(t)
	row := newFaultRow("component stopped with SIGSTOP")
	faults.done(t, row)
	patches := filepath.Join(n.base, "patches")
	if err := os.Mkdir(patches, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range components() {
		failures := 2
		if name == "kube-apiserver" {
			failures = 10 // its liveness asks etcd too, and it shall outlive what is done to that
		}
		if err := os.WriteFile(filepath.Join(patches, name+".yaml"), fmt.Appendf(nil, soon, name, failures), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.initWith(fmt.Sprintf(quickBackOff, "patches:\n  directory: "+patches+"\n"))
	write := startWriter(t, "beside-hung-components", n.configMaps(0))
	names := []string{"kube-scheduler"}
	if *everyFault {
		names = []string{"kube-scheduler", "kube-controller-manager", "etcd", "kube-apiserver"}
	}
	for _, name := range names {
		for range times(1, 5) {
			n.waitReady()
			testStopped(t, n, name)
			row.cases++
			write.progress(n)
		}
	}
	n.waitReady()
	count(&row.healthy, row.cases)
	write.check(t, row)
	if *everyFault {
		testSupervisorStopped(t, n)
	}
	n.must("reset", "--force")
}

// Who asks a supervisor that hangs is told so, and which process it is.
func testSupervisorStopped(t *testing.T, n *node) {
	pid := n.status().Supervisor.PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"status"}, {"init", "--config", filepath.Join(n.base, "kubeadm.yaml")}, {"reset", "--force"}} {
		r := n.run(2*time.Minute, args...)
		if r.code <= 0 || !strings.Contains(r.stderr, fmt.Sprintf("(PID %d) has not answered", pid)) || !strings.Contains(r.stderr, "kill -CONT") {
			t.Errorf("with a supervisor that hangs: %s", r)
		}
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	n.waitReady()
}

func testStopped(t *testing.T, n *node, name string) {
	before := n.pod(name)
	stopped := time.Now()
	if err := syscall.Kill(before.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	n.eventually(time.Minute, name+" started again by its liveness probe", func() error {
		if p := n.pod(name); p.PID == 0 || p.PID == before.PID {
			return fmt.Errorf("pod is %+v", p)
		}
		return nil
	})
	after := n.pod(name)
	t.Logf("%s hung, and was started again after %s", name, after.StartedAt.Sub(stopped).Round(time.Millisecond))
	if procfs.Runs(before.PID) {
		t.Errorf("%s runs twice: process %d is still there", name, before.PID)
	}
	if after.Restarts != before.Restarts+1 {
		t.Errorf("%d restarts are counted, there were %d before", after.Restarts, before.Restarts)
	}
}

// The disk runs full under a control plane that is written to, and is freed again: the supervisor lives and answers
// all the while, the pods come back by themselves, and every acknowledged write is there.
func TestFaultDiskFull(t *testing.T) {
	if !*everyFault {
		t.Skip("it takes a minute; TestMounts has an init on a full disk")
	}
	n := newNode(t)
	row := newFaultRow("disk filled under a running control plane, and freed")
	faults.done(t, row)
	if err := os.Mkdir(n.root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", n.root, "tmpfs", 0, "size=700m,mode=755"); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(n.root, syscall.MNT_DETACH); err != nil {
			t.Errorf("cannot unmount: %v", err)
		}
	})
	n.initWith(fmt.Sprintf(quickBackOff, ""))
	supervisor := n.status().Supervisor.PID
	writers := []*writer{startWriter(t, "big", n.configMaps(64<<10)), startWriter(t, "small", n.etcdKeys())}
	for range 3 {
		for _, w := range writers {
			w.progress(n)
		}
		fill := filepath.Join(n.root, "ballast")
		fillDisk(t, fill)
		n.eventually(2*time.Minute, "a write refused, as the disk is full", func() error {
			if was, last := writers[0].count(); last == nil {
				return fmt.Errorf("%d are acknowledged", was)
			}
			return nil
		})
		if err := syscall.Kill(n.pod("kube-scheduler").PID, syscall.SIGKILL); err != nil { // who starts then finds no space
			t.Logf("the scheduler is not there: %v", err)
		}
		time.Sleep(5 * time.Second) // what a full disk does while it lasts
		t.Logf("while the disk is full: %s", n.run(10*time.Second, "status"))
		if err := os.Remove(fill); err != nil {
			t.Fatal(err)
		}
		for _, w := range writers {
			w.forget()
			w.progress(n)
		}
		n.waitReady()
		row.cases++
		count(&row.healthy, 1)
	}
	if now := n.status().Supervisor.PID; now != supervisor {
		t.Errorf("the supervisor is %d, it was %d", now, supervisor)
	}
	for _, w := range writers {
		w.check(t, row)
	}
	n.must("reset", "--force")
}

// fillDisk writes a file until nothing goes in any more.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
