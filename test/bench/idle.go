package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// idle is what a supervisor costs while nothing happens.
type idle struct {
	cpu      float64 // of one core, percent
	rss      int     // resident, KiB
	rssOwned int     // of that not backed by a file, KiB
}

// watchIdle looks at a process for a while.
func watchIdle(ctx context.Context, pid int, d time.Duration) (idle, error) {
	before, err := cpuTime(pid)
	if err != nil {
		return idle{}, err
	}
	start := time.Now()
	if err := wait(ctx, d); err != nil {
		return idle{}, err
	}
	after, err := cpuTime(pid)
	if err != nil {
		return idle{}, err
	}
	i := idle{cpu: 100 * (after - before).Seconds() / time.Since(start).Seconds()}
	if i.rss, err = statusKB(pid, "VmRSS"); err != nil {
		return i, err
	}
	i.rssOwned, err = statusKB(pid, "RssAnon")
	return i, err
}

// cpuTime is what the kernel's scheduler has counted for all threads, in nanoseconds (proc(5), schedstat).
func cpuTime(pid int) (time.Duration, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, t := range tasks {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, t.Name()))
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(strings.Fields(string(data))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// statusKB is a field of /proc/PID/status.
func statusKB(pid int, field string) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == field+":" {
			return strconv.Atoi(f[1])
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, field)
}

// ticks is the CPU time of a process since its start, ended threads included, in steps of 10 ms (proc(5), stat).
func ticks(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, fmt.Errorf("cannot read the CPU time of process %d", pid)
	}
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}
