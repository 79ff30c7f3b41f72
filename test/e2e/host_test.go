//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
)

// nobody is the user that may do nothing.
func nobody(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can run the program as another user")
	}
	return &syscall.Credential{Uid: 65534, Gid: 65534}
}

// Two control planes live side by side, one of root and one of an unprivileged
// user, and the reset of one leaves the other alone.
func TestSideBySide(t *testing.T) {
	a, b := newNode(t), newNode(t)
	b.cred = nobody(t)
	if err := os.Chown(b.base, int(b.cred.Uid), int(b.cred.Gid)); err != nil {
		t.Fatal(err)
	}
	before := b.snapshot()
	b.init()
	a.init()
	a.waitReady()
	b.waitReady()
	a.kubectl("create", "namespace", "only-here")
	if r := b.run(time.Minute, "kubectl", "get", "namespace", "only-here"); r.code == 0 {
		t.Errorf("the namespace of one control plane is in the other: %s", r)
	}
	for _, p := range b.processes() {
		status, err := procfs.ReadStatus(p.pid)
		if errors.Is(err, procfs.ErrGone) {
			continue
		}
		if uids, err := status.UIDs(); err != nil || uids[0] != int(b.cred.Uid) {
			t.Errorf("%s does not run as the user who started it: %v, %v", p, uids, err)
		}
	}
	pids := b.pids()
	a.must("reset", "--force")
	b.waitReady()
	if after := b.pids(); fmt.Sprint(after) != fmt.Sprint(pids) {
		t.Errorf("the reset of one control plane changed the other: %v, before %v", after, pids)
	}
	b.must("reset", "--force")
	if diff := difference(before, b.snapshot()); diff != "" {
		t.Errorf("reset as an unprivileged user does not restore the machine:\n%s", diff)
	}
}

// dry-run works for any user, writes nothing, and gives the same bytes again.
// The limit on file sizes is zero: any write to a file would end it.
func TestDryRunWritesNothing(t *testing.T) {
	n := newNode(t)
	n.cred = nobody(t)
	if err := os.Chown(n.base, int(n.cred.Uid), int(n.cred.Gid)); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{n.root, ""} {
		n.root = root
		before := append(tree(t, n.base), listHost()...)
		for _, format := range []string{"text", "yaml", "json"} {
			var runs [2]string
			for i := range runs {
				cmd := n.command(t.Context(), "init", "--dry-run", "-o", format, "--node-name", "n1",
					"--apiserver-advertise-address", "127.0.0.1")
				cmd.Args = append([]string{"sh", "-c", `ulimit -f 0; exec "$@"`, "sh"}, cmd.Args...)
				cmd.Path = "/bin/sh"
				var stderr strings.Builder
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil || len(out) < 1000 {
					t.Fatalf("dry-run as nobody, root %q, -o %s: %v\n%s%s", root, format, err, out, stderr.String())
				}
				runs[i] = string(out)
			}
			if runs[0] != runs[1] {
				t.Errorf("two dry-runs with -o %s differ", format)
			}
		}
		if diff := difference(before, append(tree(t, n.base), listHost()...)); diff != "" {
			t.Errorf("dry-run changes files:\n%s", diff)
		}
	}
}

// listHost lists the default paths, names only: nobody else is expected to change them.
func listHost() (lines []string) {
	for _, dir := range hostPaths() {
		lines = append(lines, entries(dir)...)
	}
	return lines
}

// defaultNode is a node on the default paths and ports, if this machine is nobody's.
func defaultNode(t *testing.T) *node {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the default paths are root's")
	}
	for _, path := range []string{"/etc/kubernetes", "/var/lib/etcd", "/var/lib/kubecrank", "/run/kubecrank", "/var/log/pods"} {
		if _, err := os.Lstat(path); err == nil {
			t.Skipf("%s is there: this machine is somebody's node", path)
		}
	}
	n := newNode(t)
	n.root, n.offset = "", 0
	for name, port := range n.ports() {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			t.Skipf("the default port of %s is taken: %v", name, err)
		}
		l.Close()
	}
	return n
}

// As root on the default paths, as an operator runs it.
func TestDefaultPaths(t *testing.T) {
	n := defaultNode(t)
	before := append(n.snapshot(), listHost()...)
	t.Cleanup(func() { n.run(time.Minute, "reset", "--force") })
	n.init()
	n.waitReady()
	for _, path := range []string{"/etc/kubernetes/admin.conf", "/etc/kubernetes/manifests/etcd.yaml", "/var/lib/etcd/member",
		"/var/lib/kubecrank/journal.jsonl", "/run/kubecrank/supervisor.sock"} {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("init did not make it: %v", err)
		}
	}
	n.must("reset", "--force")
	if diff := difference(before, append(n.snapshot(), listHost()...)); diff != "" {
		t.Errorf("reset does not restore the machine:\n%s", diff)
	}
}

// A port that is taken is found before anything is written, and its holder is named.
func TestPortTaken(t *testing.T) {
	n := newNode(t)
	before := n.snapshot()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n.ports()["etcd"]))
	if err != nil {
		t.Fatal(err)
	}
	r := n.run(time.Minute, "init", "--apiserver-advertise-address", "127.0.0.1")
	l.Close()
	want := []string{strconv.Itoa(n.ports()["etcd"]), strconv.Itoa(os.Getpid()), filepath.Base(os.Args[0])}
	for _, w := range want {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("the error does not name %s: %s", w, r)
		}
	}
	const preflight = 3
	if r.code != preflight {
		t.Errorf("exit code %d, want %d", r.code, preflight)
	}
	if diff := difference(before, n.snapshot()); diff != "" {
		t.Errorf("something was written:\n%s", diff)
	}
}

// Two runs at once do not mix: the second names the first one's PID.
func TestLocked(t *testing.T) {
	n := newNode(t)
	first := n.command(t.Context(), "init", "--apiserver-advertise-address", "127.0.0.1")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	n.eventually(time.Minute, "the first run holds its lock", func() error {
		_, err := os.Stat(filepath.Join(n.root, "run/kubecrank/kubecrank.lock"))
		return err
	})
	second := n.run(time.Minute, "init", "--apiserver-advertise-address", "127.0.0.1")
	if second.code == 0 || !strings.Contains(second.stderr, strconv.Itoa(first.Process.Pid)) {
		t.Errorf("the second run does not name PID %d: %s", first.Process.Pid, second)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("the first run was disturbed: %v", err)
	}
	n.must("reset", "--force")
}

// A noexec mount and a full disk are named, with what to do, and nothing half-written is left.
func TestMounts(t *testing.T) {
	for _, tt := range []struct {
		name, options, want string
		flags               uintptr
		args                []string
		code                int
	}{
		{"noexec", "mode=755,size=1g", "noexec", syscall.MS_NOEXEC, nil, 3},
		{"small", "mode=755,size=60m", "DiskSpace", 0, nil, 3},
		{"full", "mode=755,size=60m", "no space left on device", 0, []string{"--ignore-preflight-errors=all"}, 1},
		{"noexec all the same", "mode=755,size=1g", "noexec", syscall.MS_NOEXEC, []string{"--ignore-preflight-errors=all"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			if err := os.Mkdir(n.root, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mount("tmpfs", n.root, "tmpfs", tt.flags, tt.options); err != nil {
				t.Skipf("cannot mount a tmpfs here: %v", err)
			}
			t.Cleanup(func() {
				if err := syscall.Unmount(n.root, syscall.MNT_DETACH); err != nil {
					t.Errorf("cannot unmount: %v", err)
				}
			})
			r := n.run(time.Minute, append([]string{"init", "--apiserver-advertise-address", "127.0.0.1"}, tt.args...)...)
			if r.code != tt.code || !strings.Contains(r.stderr, tt.want) || !strings.Contains(r.stderr, "hint: ") {
				t.Errorf("want exit code %d, an error that says %q, and a hint: %s", tt.code, tt.want, r)
			}
			if out, _ := exec.Command("find", n.root, "-name", ".kubecrank-tmp-*").Output(); len(out) > 0 {
				t.Errorf("temporary files are left: %s", out)
			}
			n.must("reset", "--force")
			if left := entries(n.root); len(left) > 0 {
				t.Errorf("reset leaves %v", left)
			}
		})
	}
}
