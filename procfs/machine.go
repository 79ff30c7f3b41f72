package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// BootID returns the random ID of this boot of the machine.
func BootID() (string, error) { return Sysctl("kernel/random/boot_id") }

// Self returns the number that /proc has for this process: in a PID namespace that /proc is not of, another one than os.Getpid.
func Self() (string, error) { return os.Readlink("/proc/self") }

// Sysctl returns the first line of a file of /proc/sys, such as "kernel/osrelease".
func Sysctl(name string) (string, error) {
	data, err := os.ReadFile("/proc/sys/" + name)
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line), err
}

// Uptime returns how long the machine has been up, the time it was suspended included: the clock of Stat.Start.
func Uptime() (time.Duration, error) {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return 0, fmt.Errorf("cannot tell how long the machine is up: %w", err)
	}
	return time.Duration(up.Nano()), nil
}

// Swapping reports whether the machine has swap space that is used.
func Swapping() (bool, error) {
	data, err := os.ReadFile("/proc/swaps")
	return strings.Count(strings.TrimSpace(string(data)), "\n") > 0, err // the first line is a heading
}

// MappedIDs returns how many user IDs, counted from 0, the user namespace of this process has (user_namespaces(7)):
// all of them if it cannot be told.
func MappedIDs() uint64 {
	data, err := os.ReadFile("/proc/self/uid_map")
	fields := strings.Fields(string(data))
	if err != nil || len(fields) != 3 || fields[0] != "0" {
		return math.MaxUint32
	}
	n, err := strconv.ParseUint(fields[2], 10, 64)
	if err != nil {
		return math.MaxUint32
	}
	return n
}

// Mount is a line of proc_pid_mountinfo(5).
type Mount struct {
	Root    string   // what of the file system is mounted
	Point   string   // where
	Type    string   // "ext4", "cgroup2", ...
	Options []string // of the file system; a v1 cgroup's controllers are among them
}

// Mounts returns what the calling thread sees mounted, in the order in which it was mounted.
func Mounts() ([]Mount, error) {
	data, err := os.ReadFile("/proc/thread-self/mountinfo")
	if errors.Is(err, fs.ErrNotExist) { // the thread's PID namespace is another one than that of /proc
		data, err = os.ReadFile("/proc/self/mountinfo")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot tell what is mounted: %w", err)
	}
	return ParseMounts(string(data)), nil
}

// ParseMounts reads the text of a mountinfo. It leaves out lines without a mount point.
func ParseMounts(text string) []Mount {
	var all []Mount
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 6 {
			continue
		}
		m := Mount{Root: unescape(f[3]), Point: unescape(f[4])}
		if dash := slices.Index(f[6:], "-"); dash >= 0 && len(f[6+dash:]) > 2 { // then type, source (which may be ""), options
			m.Type, m.Options = f[6+dash+1], strings.Split(f[len(f)-1], ",")
		}
		all = append(all, m)
	}
	return all
}

// unescape decodes the octal numbers that the kernel writes for blanks, backslashes and the like.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Mapping is a part of this process's memory, see proc_pid_smaps(5).
type Mapping struct {
	Start, End uintptr
	Perms      string // "r-xp"
	File       string // "" for memory of no file
	Written    bool   // a page of it was written: it is not as it is in the file
}

// Mappings returns the memory of this process.
func Mappings() ([]Mapping, error) {
	data, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return nil, err
	}
	return parseMappings(string(data)), nil
}

func parseMappings(smaps string) []Mapping {
	var all []Mapping
	for line := range strings.Lines(smaps) {
		var m Mapping
		if n, err := fmt.Sscanf(line, "%x-%x %4s", &m.Start, &m.End, &m.Perms); err == nil && n == 3 {
			if i := strings.IndexByte(line, '/'); i >= 0 {
				m.File = strings.TrimSuffix(line[i:], "\n")
			}
			all = append(all, m)
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		if (name == "Anonymous" || name == "Swap") && strings.TrimSpace(value) != "0 kB" && len(all) > 0 {
			all[len(all)-1].Written = true
		}
	}
	return all
}
