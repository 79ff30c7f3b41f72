package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/runtime/logs"
)

// Housekeep rotates the logs of running containers, removes those of old restarts and of earlier pods of
// the same name, and writes records that could not be written when a container started.
func (r *Runtime) Housekeep(ctx context.Context) error {
	policy := logs.Policy{MaxBytes: r.opts.LogMaxBytes, MaxFiles: r.opts.LogMaxFiles}
	var errs []error
	for _, c := range r.running() {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := logs.Rotate(ctx, c.info.LogPath, policy)
		errs = append(errs, err, c.record())
	}
	for _, dir := range r.takeCrowded() {
		if err := logs.Prune(ctx, dir, r.opts.KeepRestarts, policy); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, r.prunePods())...)
}

func (r *Runtime) takeCrowded() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	looked := make(map[string]bool)
	for _, c := range r.containers {
		looked[filepath.Dir(c.info.LogPath)] = true
	}
	for dir := range r.looked {
		if !looked[dir] {
			r.crowded[dir] = true // what it wrote before its end was not looked at
		}
	}
	r.looked = looked
	dirs := slices.Collect(maps.Keys(r.crowded))
	clear(r.crowded)
	return dirs
}

// podLogs is the log directory of a pod that is not there any more.
type podLogs struct {
	path string
	at   time.Time
}

// prunePods removes the logs of earlier pods that had a name of an open one, but for the newest few: every
// change of a manifest makes a new UID, and so a new directory. Those that are open or recorded stay.
func (r *Runtime) prunePods() error {
	r.mu.Lock()
	changed := r.podsChanged
	r.podsChanged = false
	names := make(map[string]bool)
	for _, key := range r.pods {
		names[key.namespace+"_"+key.name] = true
	}
	r.mu.Unlock()
	if !changed {
		return nil
	}
	entries, err := os.ReadDir(r.opts.LogDir)
	if err != nil {
		return fmt.Errorf("cannot remove old logs: %w", err)
	}
	earlier := make(map[string][]podLogs)
	for _, e := range entries {
		f := strings.SplitN(e.Name(), "_", 3) // neither a namespace nor a name has an underscore in it
		if len(f) != 3 || !e.IsDir() || !names[f[0]+"_"+f[1]] || r.isKnown(f[2]) {
			continue
		}
		if info, err := e.Info(); err == nil {
			name := f[0] + "_" + f[1]
			earlier[name] = append(earlier[name], podLogs{filepath.Join(r.opts.LogDir, e.Name()), info.ModTime()})
		}
	}
	var errs []error
	for _, dirs := range earlier {
		slices.SortFunc(dirs, func(a, b podLogs) int { return b.at.Compare(a.at) })
		for _, d := range dirs[min(len(dirs), r.opts.KeepPodLogs):] {
			if err := os.RemoveAll(d.path); err != nil {
				errs = append(errs, fmt.Errorf("cannot remove old logs: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

// isKnown tells whether a pod is open or has records.
func (r *Runtime) isKnown(uid string) bool {
	r.mu.Lock()
	_, open := r.pods[uid]
	r.mu.Unlock()
	if open || checkName(uid) != nil {
		return true
	}
	_, err := os.Lstat(filepath.Join(r.opts.StateDir, uid))
	return !errors.Is(err, fs.ErrNotExist)
}
