package cli

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
)

// asProgram makes this test's own program behave as kubecrank. A supervisor that it starts has no variables of ours.
const asProgram = "RUN_AS_KUBECRANK"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" || len(os.Args) > 1 && os.Args[1] == "supervise" {
		os.Exit(int(Main(context.Background(), os.Args[1:], OSStdio())))
	}
	os.Exit(m.Run())
}

// mallory is the user that the caller, root, must not believe.
const mallory = 54321

// planted is a root directory of mallory's.
type planted struct {
	t          *testing.T
	base, root string
}

// plant makes a root with these files in it. ROOT stands for it in them.
func plant(t *testing.T, files map[string]string) planted {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it takes root's rights to make directories of another user")
	}
	base, err := os.MkdirTemp("/tmp", "gate") // not t.TempDir, whose parent has a long name and mode 0755: a socket must fit
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	if err := os.Chmod(base, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	p := planted{t: t, base: base, root: filepath.Join(base, "r")}
	if err := os.Mkdir(p.root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(p.root, name)
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755),
			os.WriteFile(path, []byte(strings.ReplaceAll(text, "ROOT", p.root)), mode)); err != nil {
			t.Fatal(err)
		}
	}
	p.chown(p.root, mallory)
	return p
}

func (p planted) chown(dir string, uid int) {
	p.t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, uid))
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// run runs kubecrank on the root as a user.
func (p planted) run(uid uint32, args ...string) (code int, output string) {
	p.t.Helper()
	return p.program(uid, append([]string{"--root", p.root}, args...)...)
}

func (p planted) program(uid uint32, args ...string) (code int, output string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testProgram(p.t), args...)
	cmd.Dir = "/"
	cmd.Env = []string{asProgram + "=1", "HOME=" + p.base, "PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// testProgram is this test's program, where every user can run it.
func testProgram(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "gate-program")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "kubecrank")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Link(program, path)); err != nil { // a copy takes a second
		data, readErr := os.ReadFile(program)
		if err := errors.Join(readErr, os.WriteFile(path, data, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// listing is every path below base with its owner, mode and content.
func (p planted) listing() string {
	p.t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(p.base, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var content string
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(data)
		}
		st, _ := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&b, "%s %v %d %q\n", path, info.Mode(), st.Uid, content)
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return b.String()
}

// refused runs a verb as root, which must end with exit code 5, say whose the directory is and what to do, and change nothing.
func (p planted) refused(args ...string) {
	p.t.Helper()
	before := p.listing()
	code, output := p.run(0, args...)
	if code != int(ExitRefused) {
		p.t.Errorf("%v: exit code %d, want %d:\n%s", args, code, ExitRefused, output)
	}
	for _, want := range []string{"cannot trust ", p.root + ": it belongs to UID 54321, mode 0755", "hint: ", "sudo -u '#54321'"} {
		if !strings.Contains(output, want) {
			p.t.Errorf("%v does not say %q:\n%s", args, want, output)
		}
	}
	if after := p.listing(); after != before {
		p.t.Errorf("%v changed something:\n%s\n%s", args, before, after)
	}
}

const (
	begun     = `{"time":"2026-01-02T03:04:05Z","verb":"init","what":"run-begun"}` + "\n"
	journalAt = "var/lib/kubecrank/journal.jsonl"
	podDir    = "etc/kubernetes/manifests/"
)

// Point A1 of issue 8: each line is an attack on root, who works on a directory that somebody else has prepared.
func TestGateAttacks(t *testing.T) {
	const setuid = 1<<23 | 0o755 // fs.ModeSetuid, as JSON has it
	line := sha256.Sum256([]byte("victim:x:0:0::/:/bin/sh"))
	made := func(kind, path string, rest string) string {
		return fmt.Sprintf(`{"verb":"init","what":"done","made":{"kind":%q,"path":%q%s}}`+"\n", kind, path, rest)
	}
	tool := "#!/bin/sh\ntouch ROOT/executed\n"
	for name, test := range map[string]struct {
		files map[string]string
		args  []string
	}{
		"an owner record with a setuid mode": {map[string]string{
			"sh": "#!/bin/sh\n", journalAt: begun + made("owner", "ROOT/sh@owner", fmt.Sprintf(`,"mode":%d`, setuid)),
		}, []string{"reset", "--force"}},
		"a line record": {map[string]string{
			"passwd": "victim:x:0:0::/:/bin/sh\n", journalAt: begun + made("line", "ROOT/passwd:victim", fmt.Sprintf(`,"sha256":"%x"`, line)),
		}, []string{"reset", "--force"}},
		"a dry-run of it": {map[string]string{
			journalAt: begun + made("line", "ROOT/passwd:victim", ""),
		}, []string{"reset", "--dry-run"}},
		"status runs a tool": {map[string]string{
			"var/lib/kubecrank/components/x/kube-apiserver": tool,
		}, []string{"status"}},
		"kubectl is a tool": {map[string]string{
			"var/lib/kubecrank/components/x/kubectl": tool,
		}, []string{"kubectl", "version", "--client"}},
		"components-dir of its settings": {map[string]string{
			"etc/kubecrank/config.yaml": "components-dir: ROOT/bin\n", "bin/kubectl": tool,
		}, []string{"kubectl", "version", "--client"}},
		"components-dir for init": {map[string]string{
			"etc/kubecrank/config.yaml": "components-dir: ROOT/bin\n", "bin/etcd": tool, "bin/kube-apiserver": tool,
			"bin/kube-controller-manager": tool, "bin/kube-scheduler": tool,
		}, []string{"init", "--apiserver-advertise-address", "127.0.0.1"}},
		"a planted manifest": {map[string]string{
			podDir + "evil.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: evil}\nspec:\n  containers:\n" +
				"  - {name: evil, image: evil, command: [touch, ROOT/executed]}\n",
		}, []string{"init", "--apiserver-advertise-address", "127.0.0.1"}},
		"a planted manifest, supervised": {map[string]string{
			podDir + "evil.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: evil}\nspec:\n  containers:\n" +
				"  - {name: evil, image: evil, command: [touch, ROOT/executed]}\n",
		}, []string{"supervise"}},
		"a planted CA": {map[string]string{
			"etc/kubernetes/pki/ca.crt": "x", "etc/kubernetes/pki/ca.key": "x",
		}, []string{"certs", "check"}},
		"a log that is a link": {map[string]string{
			"var/log/pods/kube-system_etcd-x_1/etcd/0.log": "x",
		}, []string{"logs", "etcd"}},
		"a timeline":   {map[string]string{"var/lib/kubecrank/timeline.jsonl": "{}\n"}, []string{"timeline"}},
		"a kubeconfig": {map[string]string{"etc/kubernetes/admin.conf": "x"}, []string{"kubeconfig", "user", "--client-name", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plant(t, test.files).refused(test.args...)
		})
	}
}

// A process record beside a container record with a chosen PID: reset would start a supervisor, which adopts that process and kills it.
func TestGateChosenPID(t *testing.T) {
	victim := exec.Command("sleep", "1000")
	victim.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = victim.Wait() }()
	t.Cleanup(func() { _ = victim.Process.Kill(); <-ended })
	boot, err := procfs.BootID()
	if err != nil {
		t.Fatal(err)
	}
	stat, err := procfs.ReadStat(victim.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	p := plant(t, map[string]string{
		journalAt: begun + `{"verb":"init","what":"done","made":{"kind":"process","path":"ROOT/run/kubecrank/supervisor.sock"}}` + "\n",
		"var/lib/kubecrank/pods/processes/u/etcd.json": "",
	})
	name := sha256.Sum256([]byte(p.root))
	record := fmt.Appendf(nil, `{"version":1,"root":"%x","bootID":%q,"namespace":"kube-system","pod":"etcd","uid":"u","container":"etcd",`+
		`"pid":%d,"startTicks":%d,"logPath":"/etc/shadow","workingDir":"/"}`,
		name[:8], boot, victim.Process.Pid, stat.Start)
	container, err := json.Marshal(map[string]any{"crc32": fmt.Sprintf("%08x", crc32.ChecksumIEEE(record)), "record": json.RawMessage(record)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.root, "var/lib/kubecrank/pods/processes/u/etcd.json"), container, 0o644); err != nil {
		t.Fatal(err)
	}
	p.refused("reset", "--force")
	select {
	case <-ended:
		t.Error("the process was killed")
	default:
	}
}

// Root's init does not take over the node of somebody else, who then can still reset it.
func TestGateTakesNothingOver(t *testing.T) {
	p := plant(t, map[string]string{"bin/kubectl": "#!/bin/sh\n"})
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		path := filepath.Join(p.root, "bin", name)
		if err := errors.Join(os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755), os.Chown(path, mallory, mallory)); err != nil {
			t.Fatal(err)
		}
	}
	components := []string{"--components-dir", filepath.Join(p.root, "bin")}
	init := append([]string{"init", "phase", "certs", "ca", "--apiserver-advertise-address", "127.0.0.1"}, components...)
	if code, output := p.run(mallory, init...); code != 0 {
		t.Fatalf("its owner cannot begin: exit code %d\n%s", code, output)
	}
	if _, err := os.Stat(filepath.Join(p.root, "etc/kubernetes/pki/ca.crt")); err != nil {
		t.Fatal(err)
	}
	p.refused(init...)
	p.refused(append([]string{"init", "--apiserver-advertise-address", "127.0.0.1"}, components...)...)
	p.refused("reset", "--force")
	if code, output := p.run(mallory, "reset", "--force"); code != 0 {
		t.Errorf("its owner cannot reset it: exit code %d\n%s", code, output)
	}
	if _, err := os.Lstat(filepath.Join(p.root, "etc")); err == nil {
		t.Error("after the owner's reset, etc is there")
	}
}

// What is as it should be passes: the caller notices nothing.
func TestGatePasses(t *testing.T) {
	for name, test := range map[string]struct {
		uid uint32
		set func(t *testing.T, p planted)
	}{
		"root's directory in a sticky one": {0, func(_ *testing.T, p planted) { p.chown(p.root, 0) }},
		"a user's directory, as that user": {mallory, func(*testing.T, planted) {}},
		"root's directory, as a user":      {mallory, func(_ *testing.T, p planted) { p.chown(p.root, 0) }},
		"a link of the caller's": {mallory, func(t *testing.T, p planted) {
			if err := errors.Join(os.Rename(p.root, p.base+"/real"), os.Symlink("real", p.root), os.Lchown(p.root, mallory, mallory)); err != nil {
				t.Fatal(err)
			}
		}},
		"a root that is missing": {0, func(t *testing.T, p planted) {
			if err := os.RemoveAll(p.root); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := plant(t, map[string]string{"etc/kubecrank/config.yaml": "quiet: true\n"})
			test.set(t, p)
			if code, output := p.run(test.uid, "reset", "--force"); code != 0 || !strings.Contains(output, "nothing to reset") {
				t.Errorf("exit code %d: %s", code, output)
			}
		})
	}
}

// Any user may review what init would do to the host, and whatever is wrong with a root, version and completion answer.
func TestGateLetsLook(t *testing.T) {
	p := plant(t, map[string]string{journalAt: begun})
	if _, output := p.program(mallory, "init", "--dry-run", "--apiserver-advertise-address", "127.0.0.1"); strings.Contains(output, "cannot trust") {
		t.Errorf("a dry-run of the host's own paths: %s", output)
	}
	for _, args := range [][]string{{"version"}, {"config", "defaults"}, {"completion", "bash"}, {"help", "init"}} {
		if code, output := p.run(0, args...); code != 0 {
			t.Errorf("%v: exit code %d: %s", args, code, output)
		}
	}
	for _, args := range [][]string{{"status", ""}, {"kubectl", "--root", p.root, "get", ""}, {"in"}} {
		code, output := p.program(0, append([]string{"__complete", "--root", p.root}, args...)...)
		if code != 0 || strings.Contains(output, "trust") && !strings.Contains(output, "--trust-owner") {
			t.Errorf("completion of %v: exit code %d: %s", args, code, output)
		}
	}
}

// --trust-owner lets a user's directories pass. No settings file can say that of itself.
func TestGateTrustOwner(t *testing.T) {
	p := plant(t, map[string]string{"var/lib/x": "x"})
	p.refused("reset", "--force")
	if code, output := p.run(0, "--trust-owner", "54321", "reset", "--force"); code != 0 {
		t.Errorf("exit code %d: %s", code, output)
	}
	p = plant(t, map[string]string{"etc/kubecrank/config.yaml": "trust-owner: [54321]\n"})
	p.refused("reset", "--force")
	code, output := p.run(0, "--settings", p.root+"/etc/kubecrank/config.yaml", "reset", "--force")
	if code != int(ExitUsage) || !strings.Contains(output, `unknown setting "trust-owner"`) {
		t.Errorf("exit code %d: %s", code, output)
	}
}

// The remedies in the hint work: to run it as that user, or to make the directory one's own.
func TestGateRemedies(t *testing.T) {
	p := plant(t, map[string]string{journalAt: begun})
	p.refused("reset", "--force")
	if code, output := p.run(mallory, "reset", "--force"); code != 0 {
		t.Errorf("as that user: exit code %d: %s", code, output)
	}
	p = plant(t, map[string]string{journalAt: begun})
	for range 10 { // each chown leads to the next directory
		code, output := p.run(0, "reset", "--force")
		if code == 0 {
			break
		}
		_, after, found := strings.Cut(output, "chown 0 ")
		dir, _, _ := strings.Cut(after, ";")
		if code != int(ExitRefused) || !found {
			t.Fatalf("exit code %d: %s", code, output)
		}
		if err := os.Chown(dir, 0, -1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(filepath.Join(p.root, journalAt)); err == nil {
		t.Error("the chowns did not lead to a reset")
	}
	p = plant(t, map[string]string{journalAt: begun})
	p.chown(p.root, 0)
	dir := filepath.Join(p.root, "var")
	if err := os.Chmod(dir, 0o775); err != nil {
		t.Fatal(err)
	}
	code, output := p.run(0, "reset", "--force")
	if code != int(ExitRefused) || !strings.Contains(output, "hint: chmod go-w "+dir+",") {
		t.Errorf("exit code %d: %s", code, output)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if code, output := p.run(0, "reset", "--force"); code != 0 {
		t.Errorf("after the chmod: exit code %d: %s", code, output)
	}
}
