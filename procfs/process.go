package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// Stat is what is needed of /proc/PID/stat, see proc_pid_stat(5).
type Stat struct {
	Name     string // cut after 15 bytes by the kernel
	State    byte   // 'R', 'S', 'T' (stopped), ...
	Parent   int
	Session  int
	CPU      time.Duration // in user and kernel mode, ended threads included, in steps of a Tick
	Start    uint64        // Ticks since boot: with the PID and the boot ID it names a process for ever
	ExitCode int           // of a zombie, as wait(2) has it; 0 where this user may not look
}

// Tick is the unit of Stat.Start: USER_HZ is 100 on every architecture that Go runs on.
const Tick = time.Second / 100

// Dead reports whether the process does not run any more: it is a zombie, or about to go.
func (s Stat) Dead() bool { return s.State == 'Z' || s.State == 'X' }

// ReadStat reads /proc/PID/stat. It fails with ErrGone only; a zombie has a Stat, and so has another user's process.
func ReadStat(pid int) (Stat, error) {
	data, err := read(pid, "stat")
	if err != nil {
		return Stat{}, err
	}
	s, err := parseStat(data)
	if err != nil {
		return Stat{}, fmt.Errorf("cannot understand %s: %w", path(pid, "stat"), err)
	}
	return s, nil
}

func parseStat(data []byte) (Stat, error) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')') // the name may contain anything
	if open < 0 || end < open {
		return Stat{}, errors.New("it has no name in parentheses")
	}
	f := strings.Fields(string(data[end+1:])) // f[0] is field 3
	if len(f) < 50 {
		return Stat{}, errors.New("it has too few fields")
	}
	s := Stat{Name: string(data[open+1 : end]), State: f[0][0]}
	var errs [6]error
	var user, system int
	s.Parent, errs[0] = strconv.Atoi(f[1])
	s.Session, errs[1] = strconv.Atoi(f[3])
	user, errs[2] = strconv.Atoi(f[11])
	system, errs[3] = strconv.Atoi(f[12])
	s.Start, errs[4] = strconv.ParseUint(f[19], 10, 64)
	s.ExitCode, errs[5] = strconv.Atoi(f[49])
	s.CPU = time.Duration(user+system) * Tick
	return s, errors.Join(errs[:]...)
}

// Runs reports whether a process is there and is no zombie.
func Runs(pid int) bool {
	stat, err := ReadStat(pid)
	return err == nil && !stat.Dead()
}

// Args returns the command line of a process, one string at least.
func Args(pid int) ([]string, error) {
	data, err := readFilled(pid, "cmdline")
	if err != nil {
		return nil, err
	}
	return split(data), nil
}

// Environ returns the environment that a process was started with, one "NAME=value" at least.
func Environ(pid int) ([]string, error) {
	data, err := readEnviron(pid)
	if err != nil {
		return nil, err
	}
	return split(data), nil
}

// Getenv returns the value of a variable that a process was started with, "" if it has none of that name.
func Getenv(pid int, name string) (string, error) {
	data, err := readEnviron(pid)
	if err != nil {
		return "", err
	}
	return lookup(data, name), nil
}

// execTries is how often a process in the middle of execve is asked again, a millisecond apart.
const execTries = 20

// readEnviron asks a process again that is in the middle of execve. For a moment it has no environment, and a
// caller that took this for the answer would miss a process of its own.
func readEnviron(pid int) ([]byte, error) {
	started := false
	for range execTries {
		data, err := readFilled(pid, "environ")
		if started || !errors.Is(err, ErrEmpty) {
			return data, err
		}
		if _, exeErr := Exe(pid); exeErr != nil {
			return data, err // a thread of the kernel has no program
		}
		if _, argsErr := Args(pid); argsErr == nil {
			started = true // the kernel sets both at once: what it lacks now, it lacks
			continue
		}
		time.Sleep(time.Millisecond)
	}
	return readFilled(pid, "environ")
}

func lookup(environ []byte, name string) string {
	for len(environ) > 0 {
		entry, rest, _ := bytes.Cut(environ, []byte{0})
		if len(entry) > len(name) && entry[len(name)] == '=' && string(entry[:len(name)]) == name {
			return string(entry[len(name)+1:])
		}
		environ = rest
	}
	return ""
}

// Comm returns the name of a process, cut after 15 bytes by the kernel. A zombie still has it.
func Comm(pid int) (string, error) {
	data, err := read(pid, "comm")
	return strings.TrimSuffix(string(data), "\n"), err
}

// Exe returns the path of the program that a process runs, with " (deleted)" behind it if it was removed.
func Exe(pid int) (string, error) { return readLink(pid, "exe") }

// Cwd returns the working directory of a process.
func Cwd(pid int) (string, error) { return readLink(pid, "cwd") }

// Files returns what a process has open: a path, "socket:[INODE]", "pipe:[INODE]", ... for each descriptor.
func Files(pid int) (map[int]string, error) {
	entries, err := os.ReadDir(path(pid, "fd"))
	if err != nil {
		return nil, explain(pid, "fd", err)
	}
	files := make(map[int]string, len(entries))
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		to, err := os.Readlink(path(pid, "fd/"+e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // closed meanwhile
		}
		if err != nil {
			return nil, explain(pid, "fd/"+e.Name(), err)
		}
		files[fd] = to
	}
	if len(files) == 0 { // there are processes without open files
		if err := explain(pid, "fd", ErrEmpty); !errors.Is(err, ErrEmpty) {
			return nil, err
		}
	}
	return files, nil
}

// MaxFiles returns how many files a process may have open, its soft limit. "unlimited" is no number of Linux's.
func MaxFiles(pid int) (int, error) {
	data, err := read(pid, "limits")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), "Max open files")
	var limit int
	if _, err := fmt.Sscan(rest, &limit); err != nil {
		return 0, fmt.Errorf("cannot understand %s: %w", path(pid, "limits"), err)
	}
	return limit, nil
}

// Status is /proc/PID/status, see proc_pid_status(5): the value of each field, without blanks around it.
type Status map[string]string

// ReadStatus reads /proc/PID/status. It fails with ErrGone only.
func ReadStatus(pid int) (Status, error) {
	data, err := read(pid, "status")
	if err != nil {
		return nil, err
	}
	s := Status{}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			s[name] = strings.TrimSpace(value)
		}
	}
	return s, nil
}

// UIDs returns the real, effective, saved and file system user ID.
func (s Status) UIDs() ([4]int, error) { return s.ids("Uid") }

// GIDs returns the real, effective, saved and file system group ID.
func (s Status) GIDs() ([4]int, error) { return s.ids("Gid") }

func (s Status) ids(name string) (ids [4]int, err error) {
	if _, err := fmt.Sscan(s[name], &ids[0], &ids[1], &ids[2], &ids[3]); err != nil {
		return ids, fmt.Errorf("cannot understand field %s of a process's status: %w", name, err)
	}
	return ids, nil
}

// KiB returns a field such as VmRSS.
func (s Status) KiB(name string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSuffix(s[name], " kB"))
	if err != nil {
		return 0, fmt.Errorf("cannot understand field %s of a process's status: %w", name, err)
	}
	return n, nil
}

// Cgroup is the cgroup of a process in one hierarchy, see cgroups(7).
type Cgroup struct {
	Controllers []string // of a v1 hierarchy ("name=systemd" is one); nil: v2
	Path        string
}

// Cgroups returns the cgroups that a process is in.
func Cgroups(pid int) ([]Cgroup, error) {
	data, err := read(pid, "cgroup")
	if err != nil {
		return nil, err
	}
	return parseCgroups(string(data)), nil
}

func parseCgroups(text string) []Cgroup {
	var all []Cgroup
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		c := Cgroup{Path: f[2]}
		if f[0] != "0" {
			c.Controllers = strings.Split(f[1], ",")
		}
		all = append(all, c)
	}
	return all
}

// CPUTime returns what the kernel's scheduler has counted for the threads of a process that run now, in nanoseconds
// (schedstat): more exact than Stat.CPU.
func CPUTime(pid int) (time.Duration, error) {
	tasks, err := os.ReadDir(path(pid, "task"))
	if err != nil {
		return 0, explain(pid, "task", err)
	}
	var sum time.Duration
	for _, t := range tasks {
		data, err := read(pid, "task/"+t.Name()+"/schedstat")
		if errors.Is(err, ErrEmpty) { // the thread has ended
			continue
		}
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(data), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("cannot understand %s: %w", path(pid, "task/"+t.Name()+"/schedstat"), err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}
