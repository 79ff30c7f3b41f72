package evidence

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/pathname"
	"github.com/kubecrank/kubecrank/phases/diagnose"
	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
)

// processOf looks at a process; nil if it is gone.
func processOf(pid int) *diagnose.Process {
	if pid <= 0 {
		return nil
	}
	stat, err := procfs.ReadStat(pid)
	if err != nil {
		return nil
	}
	p := &diagnose.Process{PID: pid, State: string(stat.State)}
	files, _ := procfs.Files(pid) // not ours to look at: not known
	p.Files = len(files)
	p.MaxFiles, _ = procfs.MaxFiles(pid)
	return p
}

// processID takes apart the ID of a container that is a process of this boot:
// process://BOOT/PID/TICKS, the ticks being those of proc_pid_stat(5), field 22.
func processID(id string) (pid int, ticks int64, ok bool) {
	rest, isProcess := strings.CutPrefix(id, "process://")
	parts := strings.Split(rest, "/")
	boot, err := procfs.BootID()
	if !isProcess || len(parts) != 3 || err != nil || boot != parts[0] {
		return 0, 0, false
	}
	pid, err = strconv.Atoi(parts[1])
	ticks, err2 := strconv.ParseInt(parts[2], 10, 64)
	return pid, ticks, err == nil && err2 == nil
}

// clockSkew is how much more time has passed by the clock than by the kernel's
// count of it since the container's process was started.
func clockSkew(c runtime.ContainerStatus, now time.Time) time.Duration {
	_, ticks, ok := processID(c.ID)
	if !ok || c.StartedAt == nil {
		return 0
	}
	up, err := procfs.Uptime()
	if err != nil {
		return 0
	}
	age := up - time.Duration(ticks)*procfs.Tick
	skew := now.Round(0).Sub(c.StartedAt.Round(0)) - age
	if skew.Abs() < time.Second {
		return 0
	}
	return skew
}

// kernelKill is the kernel's line about the end of a process that had SIGKILL.
func kernelKill(c runtime.ContainerStatus) string {
	killed := c.Reason == runtime.ReasonOOMKilled || c.Signal == "SIGKILL"
	pid, _, ok := processID(c.ID)
	if !killed || !ok {
		return ""
	}
	const readAll = 3 // SYSLOG_ACTION_READ_ALL
	buf := make([]byte, 1<<20)
	n, err := unix.Klogctl(readAll, buf)
	if err != nil {
		return ""
	}
	lines := strings.Split(string(buf[:n]), "\n")
	for _, line := range slices.Backward(lines) {
		if strings.Contains(line, "Killed process "+strconv.Itoa(pid)+" (") {
			_, text, _ := strings.Cut(line, "] ")
			return strings.TrimSpace(text)
		}
	}
	return ""
}

func addresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var addrs []string
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			addrs = append(addrs, n.IP.String())
		}
	}
	return addrs
}

func lookAt(paths []string) map[string]diagnose.Path {
	seen := map[string]diagnose.Path{}
	for _, path := range paths {
		if filepath.IsAbs(path) {
			seen[path] = look(path)
		}
	}
	return seen
}

func look(path string) diagnose.Path {
	var p diagnose.Path
	info, err := os.Stat(path)
	if err != nil {
		p.Problem = err.Error()
		if i := strings.LastIndex(p.Problem, ": "); i >= 0 {
			p.Problem = p.Problem[i+2:]
		}
	}
	p.Nearest = path
	for err != nil && p.Nearest != "/" {
		p.Nearest = filepath.Dir(p.Nearest)
		info, err = os.Stat(p.Nearest)
	}
	if err != nil {
		return p
	}
	p.Dir, p.Mode = info.IsDir(), info.Mode().String()
	var st unix.Stat_t
	if unix.Stat(p.Nearest, &st) == nil {
		p.UID = int64(st.Uid)
	}
	var fs unix.Statfs_t
	if unix.Statfs(p.Nearest, &fs) == nil {
		p.Free, p.Size = fs.Bavail*uint64(fs.Bsize), fs.Blocks*uint64(fs.Bsize)
		p.NoInodes = fs.Files > 0 && fs.Ffree == 0
		p.ReadOnly, p.NoExec = fs.Flags&unix.ST_RDONLY != 0, fs.Flags&unix.ST_NOEXEC != 0
		p.Mount = mountOf(p.Nearest)
	}
	if info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
		p.Machine = machineOf(path)
	}
	const mebibyte = 1 << 20
	if info.Mode().IsRegular() && filepath.Ext(path) == ".crt" && info.Size() < mebibyte {
		text, _ := os.ReadFile(path) // not ours to read: not known
		p.Certificates = strings.Count(string(text), "-----BEGIN CERTIFICATE-----")
	}
	return p
}

// mountOf is the mount point of a path: the longest in the list of mounts that the path is below.
func mountOf(path string) string {
	mounts, err := procfs.Mounts()
	if err != nil {
		return ""
	}
	best := ""
	for _, m := range mounts {
		if pathname.Below(m.Point, path) && len(m.Point) >= len(best) {
			best = m.Point
		}
	}
	return best
}

// machineOf is what kind of machine a program is for, by the header of its file (elf(5)).
func machineOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var header [20]byte
	if _, err := io.ReadFull(f, header[:]); err != nil || string(header[:4]) != "\x7fELF" {
		return diagnose.NoProgram
	}
	const bigEndian = 2
	kind := binary.LittleEndian.Uint16(header[18:])
	if header[5] == bigEndian {
		kind = binary.BigEndian.Uint16(header[18:])
	}
	switch kind {
	case 3:
		return "i386"
	case 21:
		return "ppc64"
	case 22:
		return "s390x"
	case 40:
		return "arm"
	case 62:
		return "x86_64"
	case 183:
		return "aarch64"
	case 243:
		return "riscv"
	default:
		return fmt.Sprintf("ELF machine %d", kind)
	}
}
