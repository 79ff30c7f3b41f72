package procfs

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readers are all that look at a process, with what each says of it.
func readers() map[string]func(pid int) (any, error) {
	return map[string]func(pid int) (any, error){
		"Stat":    func(pid int) (any, error) { return ReadStat(pid) },
		"Args":    func(pid int) (any, error) { return Args(pid) },
		"Environ": func(pid int) (any, error) { return Environ(pid) },
		"Getenv":  func(pid int) (any, error) { return Getenv(pid, "HOME") },
		"Comm":    func(pid int) (any, error) { return Comm(pid) },
		"Exe":     func(pid int) (any, error) { return Exe(pid) },
		"Cwd":     func(pid int) (any, error) { return Cwd(pid) },
		"Files":   func(pid int) (any, error) { return Files(pid) },
		"Limits":  func(pid int) (any, error) { return MaxFiles(pid) },
		"Status":  func(pid int) (any, error) { return ReadStatus(pid) },
		"Cgroups": func(pid int) (any, error) { return Cgroups(pid) },
		"CPUTime": func(pid int) (any, error) { return CPUTime(pid) },
	}
}

// Every reader answers for a process that runs, has ended, was waited for, or is another user's.
func TestReaders(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.Env = []string{"A=1", "HOME=/x"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	wait(t, func() bool { args, err := Args(pid); return err == nil && args[0] == "sleep" })
	for name, read := range readers() {
		if got, err := read(pid); err != nil {
			t.Errorf("%s of a process that runs: %v, %v", name, got, err)
		}
	}
	env, err := Environ(pid)
	if want := []string{"A=1", "HOME=/x"}; err != nil || !slices.Equal(env, want) {
		t.Errorf("its environment is %v, %v", env, err)
	}
	if pids, err := PIDs(); err != nil || !slices.Contains(pids, pid) || !Runs(pid) {
		t.Errorf("it is not in the list of processes: %v, %v", pids, err)
	}

	_ = cmd.Process.Kill()
	wait(t, func() bool { return !Runs(pid) })
	alive := map[string]bool{"Stat": true, "Comm": true, "Status": true, "Cgroups": true, "CPUTime": true, "Limits": true}
	for name, read := range readers() {
		if got, err := read(pid); alive[name] && err != nil || !alive[name] && !errors.Is(err, ErrZombie) {
			t.Errorf("%s of a zombie: %v, %v", name, got, err)
		}
	}
	if stat, err := ReadStat(pid); err != nil || !stat.Dead() || stat.Parent != os.Getpid() || stat.ExitCode != int(syscall.SIGKILL) {
		t.Errorf("the zombie is %+v, %v", stat, err)
	}

	_ = cmd.Wait()
	for name, read := range readers() {
		if got, err := read(pid); !errors.Is(err, ErrGone) {
			t.Errorf("%s of a process that is gone: %v, %v", name, got, err)
		}
	}
}

// Another user's process is denied, and not taken for one that is gone.
func TestDenied(t *testing.T) {
	const nobody = 65534
	if os.Geteuid() != 0 {
		t.Skip("only root can look as another user")
	}
	shown := map[string]bool{"Stat": true, "Args": true, "Comm": true, "Limits": true, "Status": true, "Cgroups": true, "CPUTime": true}
	cmd := exec.Command("sleep", "60") // not this process: its threads may look at each other
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	wait(t, func() bool { args, err := Args(pid); return err == nil && args[0] == "sleep" })
	runtime.LockOSThread() // this thread alone becomes another user, for a moment
	defer runtime.UnlockOSThread()
	const keep = ^uintptr(0)
	become := func(uid uintptr) {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, uid, keep); errno != 0 {
			panic(errno)
		}
	}
	become(nobody)
	defer become(0)
	for name, read := range readers() {
		if got, err := read(pid); shown[name] && err != nil || !shown[name] && !errors.Is(err, ErrDenied) {
			t.Errorf("%s of another user's process: %v, %v", name, got, err)
		}
	}
}

// A command line is never an empty list: while a process is in the middle of execve there is none, and the reader says so.
// (That ended whole runs of the tests.)
func TestArgsDuringExec(t *testing.T) {
	cmd := exec.Command("sh", "-c", `n=0; while [ $n -lt 100 ]; do n=$((n+1)); /bin/true; done; exec sh -c "$0" "$0"`,
		`n=0; while [ $n -lt 100 ]; do n=$((n+1)); /bin/true; done; exec sh -c "$0" "$0"`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
	answers := map[string]int{}
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		pids, err := PIDs()
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range pids {
			args, err := Args(pid)
			switch {
			case err == nil && len(args) == 0:
				t.Fatal("an empty command line is no error")
			case err == nil:
				answers["args"]++
			case errors.Is(err, ErrGone), errors.Is(err, ErrZombie), errors.Is(err, ErrEmpty):
				answers[errors.Unwrap(err).Error()]++
			default:
				t.Fatal(err)
			}
		}
	}
	t.Log(answers)
}

func TestParseStat(t *testing.T) {
	numbers := strings.Repeat("7 ", 49)
	for in, want := range map[string]string{
		"42 (a) b ((c) T " + numbers: "a) b ((c",
		"42 () S " + numbers:         "",
	} {
		s, err := parseStat([]byte(in))
		if err != nil || s.Name != want || s.Session != 7 || s.Parent != 7 || s.Start != 7 || s.CPU != 140*time.Millisecond {
			t.Errorf("%q is %+v, %v", in, s, err)
		}
	}
	for _, in := range []string{"", "42", "42 (a", "42 )a( S " + numbers, "42 (a) S 1 2", "42 (a) S " + strings.Repeat("x ", 49)} {
		if s, err := parseStat([]byte(in)); err == nil {
			t.Errorf("%q is %+v", in, s)
		}
	}
}

func TestStatus(t *testing.T) {
	s, err := ReadStatus(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	uids, err := s.UIDs()
	if want := [4]int{os.Getuid(), os.Geteuid(), os.Geteuid(), os.Geteuid()}; err != nil || uids != want {
		t.Errorf("user IDs are %v, %v", uids, err)
	}
	if kb, err := s.KiB("VmRSS"); err != nil || kb < 1000 {
		t.Errorf("VmRSS is %d, %v", kb, err)
	}
	if _, err := s.KiB("Name"); err == nil {
		t.Error("a name is a number")
	}
	if _, err := (Status{}).GIDs(); err == nil {
		t.Error("a status without groups has groups")
	}
}

func TestLookup(t *testing.T) {
	environ := []byte("AB=no\x00B\x00A=x=y\x00A=second\x00C=\x00")
	for name, want := range map[string]string{"A": "x=y", "B": "", "C": "", "D": "", "AB": "no"} {
		if got := lookup(environ, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestParseCgroups(t *testing.T) {
	got := parseCgroups("12:cpu,cpuacct:/a:b\n1:name=systemd:/c\n0::/d\n\nx\n")
	want := []Cgroup{{[]string{"cpu", "cpuacct"}, "/a:b"}, {[]string{"name=systemd"}, "/c"}, {nil, "/d"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("cgroups are %q", got)
	}
}

// Mount points with blanks, with tags of propagation, and of file systems without a source.
func TestParseMounts(t *testing.T) {
	got := ParseMounts(`25 1 8:1 / / rw,relatime - ext4 /dev/root rw,discard
26 25 0:5 /sub /a\040b\134\011\012c\043 rw shared:1 master:2 - cgroup cgroup rw,cpu,cpuacct
27 25 0:6 / /none rw -  tmpfs  rw
28 25 0:7 / /short\04 rw
29 25
`)
	want := []Mount{
		{"/", "/", "ext4", []string{"rw", "discard"}},
		{"/sub", "/a b\\\t\nc#", "cgroup", []string{"rw", "cpu", "cpuacct"}},
		{"/", "/none", "tmpfs", []string{"rw"}},
		{"/", `/short\04`, "", nil},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("mounts are %q", got)
	}
	mounts, err := Mounts()
	if err != nil || !slices.ContainsFunc(mounts, func(m Mount) bool { return m.Point == "/proc" && m.Type == "proc" }) {
		t.Errorf("this machine's mounts are %v, %v", mounts, err)
	}
}

func TestParseMappings(t *testing.T) {
	got := parseMappings(`1000-2000 r-xp 00000000 08:01 1                 /bin/a b
Size: 4 kB
Anonymous:             0 kB
Swap:                  0 kB
2000-3000 r--p 00001000 08:01 1 /bin/x
Anonymous:             4 kB
3000-4000 rw-p 00000000 00:00 0
Swap:                  8 kB
VmFlags: rd mr
`)
	want := []Mapping{{0x1000, 0x2000, "r-xp", "/bin/a b", false}, {0x2000, 0x3000, "r--p", "/bin/x", true}, {0x3000, 0x4000, "rw-p", "", true}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("mappings are %+v", got)
	}
}

// The clock is that of start times, and the boot ID is one.
func TestMachine(t *testing.T) {
	up, err := Uptime()
	stat, err2 := ReadStat(os.Getpid())
	if age := up - time.Duration(stat.Start)*Tick; err != nil || err2 != nil || age < 0 || age > time.Hour {
		t.Errorf("this process is %s old: %v, %v", age, err, err2)
	}
	if id, err := BootID(); err != nil || len(id) != 36 {
		t.Errorf("the boot ID is %q, %v", id, err)
	}
	if _, err := Sysctl("no/such"); err == nil {
		t.Error("what is not there can be read")
	}
}

func TestParseAddress(t *testing.T) {
	for in, want := range map[string]string{
		"0100007F:192B":                         "127.0.0.1:6443",
		"00000000:0016":                         "0.0.0.0:22",
		"00000000000000000000000001000000:094B": "[::1]:2379",
		"0000000000000000FFFF00000100007F:094B": "[::ffff:127.0.0.1]:2379",
		"xyz":                                   "",
		"0100007F":                              "",
		"01:0016":                               "",
		"0100007F:12345":                        "",
	} {
		got, ok := parseAddress(in)
		if ok != (want != "") || ok && got != netip.MustParseAddrPort(want) {
			t.Errorf("parseAddress(%q) = %v, %v, want %q", in, got, ok, want)
		}
	}
}

// A socket that listens is found, with the descriptor that it has in its process.
func TestSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	files, err := Files(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(Listeners(), func(s Listener) bool {
		return s.Address.String() == l.Addr().String() && slices.Contains(slices.Collect(maps.Values(files)), s.Socket)
	}) {
		t.Errorf("%s is not among %v with one of %v", l.Addr(), Listeners(), files)
	}
	path := filepath.Join(t.TempDir(), "s")
	u, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if !slices.Contains(UnixSockets(), path) {
		t.Errorf("%s is not among the unix sockets", path)
	}
}

func BenchmarkReadStat(b *testing.B) {
	for b.Loop() {
		if _, err := ReadStat(1); err != nil {
			b.Fatal(err)
		}
	}
}

// wait waits until something is so.
func wait(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(fmt.Errorf("it is not so within a minute"))
		}
	}
}

// A process that replaces its program again and again always has its environment: a sweep or an adoption that looked
// in the moment of execve would take it for a stranger's.
func TestGetenvDuringExec(t *testing.T) {
	const loop = `n=0; while [ $n -lt 3 ]; do n=$((n+1)); done; exec sh -c "$0" "$0"`
	cmd := exec.Command("sh", "-c", loop, loop)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "MARK=ours"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	for range 5000 {
		if value, err := Getenv(cmd.Process.Pid, "MARK"); err != nil || value != "ours" {
			t.Fatalf("it is %q, %v", value, err)
		}
	}
}
