package main

import (
	"context"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
)

// idle is what a supervisor costs while nothing happens.
type idle struct {
	cpu      float64 // of one core, percent
	rss      int     // resident, KiB
	rssOwned int     // of that not backed by a file, KiB
}

// watchIdle looks at a process for a while.
func watchIdle(ctx context.Context, pid int, d time.Duration) (idle, error) {
	before, err := procfs.CPUTime(pid)
	if err != nil {
		return idle{}, err
	}
	start := time.Now()
	if err := wait(ctx, d); err != nil {
		return idle{}, err
	}
	after, err := procfs.CPUTime(pid)
	if err != nil {
		return idle{}, err
	}
	i := idle{cpu: 100 * (after - before).Seconds() / time.Since(start).Seconds()}
	status, err := procfs.ReadStatus(pid)
	if err != nil {
		return i, err
	}
	if i.rss, err = status.KiB("VmRSS"); err != nil {
		return i, err
	}
	i.rssOwned, err = status.KiB("RssAnon")
	return i, err
}
