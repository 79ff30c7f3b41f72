package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/runtime"
)

// record is what the next supervisor must know of a pod and cannot learn from the Runtime: with it a
// container keeps its started and ready state and its back-off (statement 63), a pod whose manifest
// has changed meanwhile is stopped with its own grace period and hooks (statement 45), one whose
// manifest has become malformed keeps running (statement 28), and one that was removed and comes
// back goes on counting its restarts (statement 47).
type record struct {
	Version    int                        `json:"version"`
	Pod        *corev1.Pod                `json:"pod"`
	Source     string                     `json:"source"`
	Origin     string                     `json:"origin"`
	Hash       string                     `json:"hash"`
	Phase      runtime.PodState           `json:"phase,omitempty"` // Succeeded or Failed
	Inited     bool                       `json:"initialized,omitempty"`
	OpenedAt   time.Time                  `json:"openedAt,omitzero"` // the deadline counts from then
	Containers map[string]containerRecord `json:"containers"`
}

type containerRecord struct {
	ID       string        `json:"id,omitempty"`
	Restarts int           `json:"restarts"` // -1: never started
	Started  bool          `json:"started,omitempty"`
	Ready    bool          `json:"ready,omitempty"`
	Exit     *runtime.Exit `json:"exit,omitempty"`
	BackOff  backOff       `json:"backOff"`
	FailedAt time.Time     `json:"failedAt"`
}

const recordVersion = 1

// pod is the recorded pod as a runtime.Pod.
func (r *record) pod() *runtime.Pod {
	return &runtime.Pod{Pod: r.Pod, Source: r.Source, Origin: r.Origin, Hash: r.Hash}
}

// records holds the record of every pod that was ever there, in memory and in one file each. Writing
// is somebody else's work: a pod's goroutine never waits for a disk.
type records struct {
	dir string // "" keeps them in memory only
	log *slog.Logger

	mu    sync.Mutex
	all   map[string]*record // by full name
	dirty map[string]bool
	wake  notifier
}

const (
	saveDelay     = 100 * time.Millisecond // several changes in a row are written once
	recordsKept   = 30 * 24 * time.Hour    // records of pods that are gone
	maxRecord     = 24 << 20               // bytes: a manifest has at most 10 MiB
	recordFileExt = ".json"
)

// openRecords reads what an earlier supervisor left. What cannot be read is reported and left out: at
// worst a pod is stopped with the default grace period.
func openRecords(dir string, log *slog.Logger) (*records, error) {
	r := &records{dir: dir, log: log, all: map[string]*record{}, dirty: map[string]bool{}, wake: newNotifier()}
	if dir == "" {
		return r, nil
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the state directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the state directory: %w", err)
	}
	for _, e := range entries {
		name, isRecord := strings.CutSuffix(e.Name(), recordFileExt)
		if !isRecord || strings.HasPrefix(name, ".") {
			continue
		}
		rec, err := readRecord(filepath.Join(dir, e.Name()))
		if err == nil && rec.pod().FullName() != name {
			err = errors.New("it is the record of another pod")
		}
		if err != nil {
			log.Warn("a pod's record cannot be used", "file", filepath.Join(dir, e.Name()), "error", err)
			continue
		}
		r.all[name] = rec
	}
	return r, nil
}

func readRecord(path string) (*record, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxRecord {
		return nil, fmt.Errorf("it is no regular file of at most %d bytes", maxRecord)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseRecord(data)
}

func parseRecord(data []byte) (*record, error) {
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, err
	}
	if rec.Version != recordVersion || rec.Pod == nil || rec.Pod.Name == "" || rec.Pod.Namespace == "" || rec.Hash == "" {
		return nil, errors.New("it is incomplete, or of another version")
	}
	return &rec, nil
}

func (r *records) get(fullName string) *record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[fullName]
}

// counts are the restart counts of a pod's last run under the same UID.
func (r *records) counts(fullName string, uid types.UID) map[string]int {
	counts := map[string]int{}
	if rec := r.get(fullName); rec != nil && rec.Pod.UID == uid {
		for name, c := range rec.Containers {
			counts[name] = c.Restarts
		}
	}
	return counts
}

// put stores a record that nobody changes any more.
func (r *records) put(fullName string, rec *record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[fullName] = rec
	if r.dir == "" {
		return
	}
	r.dirty[fullName] = true
	r.wake.notify()
}

// run writes records until ctx ends, and the last ones then.
func (r *records) run(ctx context.Context) {
	r.wake.serve(ctx, saveDelay, r.flush)
	r.flush()
}

func (r *records) flush() {
	r.mu.Lock()
	todo := map[string]*record{}
	for name := range r.dirty {
		todo[name] = r.all[name]
	}
	clear(r.dirty)
	r.mu.Unlock()
	for name, rec := range todo {
		data, err := json.Marshal(rec)
		if err == nil {
			err = durable.WriteFile(filepath.Join(r.dir, name+recordFileExt), data, 0o600)
		}
		if err != nil {
			r.log.Warn("cannot write a pod's record: its started state and back-off would not survive the supervisor",
				"pod", name, "error", err)
		}
	}
}

// prune forgets pods that are long gone.
func (r *records) prune(present func(fullName string) bool) {
	if r.dir == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.all {
		path := filepath.Join(r.dir, name+recordFileExt)
		info, err := os.Lstat(path)
		if err != nil || present(name) || time.Since(info.ModTime()) < recordsKept {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.log.Warn("cannot remove an old record", "file", path, "error", err)
		}
		delete(r.all, name)
	}
}

// record stores the state of the pod, if it has changed in what a record holds.
func (p *pod) record() {
	if p.cur == nil || p.cur.Hash == orphanHash {
		return
	}
	rec := &record{Version: recordVersion, Pod: p.cur.Pod, Source: p.cur.Source, Origin: p.cur.Origin, Hash: p.cur.Hash,
		Inited: p.progress == podRunning, OpenedAt: p.openedAt, Containers: map[string]containerRecord{}}
	if p.state == podFinished {
		rec.Phase = p.phase
	}
	for _, c := range p.containers {
		cr := containerRecord{Restarts: c.restarts, BackOff: c.backOff, FailedAt: c.failedAt}
		if c.rc != nil {
			cr.ID, cr.Started, cr.Ready = c.info.ID, c.started, c.ready
		} else if c.began {
			cr.Exit = c.exit
		}
		rec.Containers[c.spec.Name] = cr
	}
	if old := p.records.get(p.fullName); old != nil && old.same(rec) {
		return
	}
	p.records.put(p.fullName, rec)
}

// same compares all but the pod, of which the hash tells.
func (r *record) same(o *record) bool {
	if r.Hash != o.Hash || r.Origin != o.Origin || r.Phase != o.Phase || r.Inited != o.Inited || len(r.Containers) != len(o.Containers) {
		return false
	}
	for name, a := range r.Containers {
		b, ok := o.Containers[name]
		if !ok || a.ID != b.ID || a.Restarts != b.Restarts || a.Started != b.Started || a.Ready != b.Ready ||
			a.BackOff.Wait != b.BackOff.Wait || !a.BackOff.Updated.Equal(b.BackOff.Updated) || !a.FailedAt.Equal(b.FailedAt) {
			return false
		}
		if (a.Exit == nil) != (b.Exit == nil) {
			return false
		}
		if a.Exit != nil && (a.Exit.Code != b.Exit.Code || !a.Exit.FinishedAt.Equal(b.Exit.FinishedAt)) {
			return false
		}
	}
	return true
}
