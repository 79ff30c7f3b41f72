package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/process/cgroup"
)

// record is what is remembered of the newest instance of a container, in <StateDir>/<pod UID>/<container>.json.
// No environment is in it: that may hold secrets.
type record struct {
	Version   int           `json:"version"`
	Root      string        `json:"root"`
	BootID    string        `json:"bootID"`
	Namespace string        `json:"namespace"`
	Pod       string        `json:"pod"`
	UID       string        `json:"uid"`
	Container string        `json:"container"`
	Restart   int           `json:"restartCount"`
	SpecHash  string        `json:"specHash"`
	PID       int           `json:"pid"` // also the session and process group
	Start     uint64        `json:"startTicks"`
	StartedAt time.Time     `json:"startedAt"`
	Marker    string        `json:"marker,omitempty"` // as in its environment; "" if an earlier version started it
	LogPath   string        `json:"logPath"`
	Dir       string        `json:"workingDir"`
	User      *user         `json:"user,omitempty"`
	Limits    privileges    `json:"privileges"`
	Mounts    bool          `json:"mounts,omitempty"` // it has a mount namespace of its own
	Cgroup    cgroup.Group  `json:"cgroup,omitempty"` // where it has limits
	Exit      *runtime.Exit `json:"exit,omitempty"`   // once it was seen to end
}

// user is a container's runAsUser, runAsGroup and groups, when they are not the supervisor's.
type user struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}

const recordVersion = 1

// recordFile is how a record lies on disk. A damaged one must not pass: a PID that is wrong in one digit would make a
// container that runs look like one that has ended.
type recordFile struct {
	Sum    string          `json:"crc32"`
	Record json.RawMessage `json:"record"`
}

func encodeRecord(rec record) ([]byte, error) {
	raw, err := json.Marshal(rec)
	if err != nil {
		return nil, err
	}
	return json.Marshal(recordFile{Sum: checksum(raw), Record: raw})
}

func decodeRecord(data []byte) (record, error) {
	var file recordFile
	var rec record
	if err := json.Unmarshal(data, &file); err != nil {
		return rec, err
	}
	if checksum(file.Record) != file.Sum {
		return rec, errors.New("its checksum is wrong")
	}
	return rec, json.Unmarshal(file.Record, &rec)
}

func checksum(data []byte) string {
	return fmt.Sprintf("%08x", crc32.ChecksumIEEE(data))
}

// marker is the container's, without a seal if an earlier version started it.
func (rec record) marker() marker {
	m, _ := parseMarker(rec.Marker)
	return marker{root: rec.Root, namespace: rec.Namespace, pod: rec.Pod, uid: rec.UID,
		container: rec.Container, restart: rec.Restart, specHash: rec.SpecHash, seal: m.seal}
}

func (r *Runtime) recordPath(uid, container string) string {
	return filepath.Join(r.opts.StateDir, uid, container+".json")
}

func (r *Runtime) writeRecord(rec record) error {
	data, err := encodeRecord(rec)
	if err != nil {
		return fmt.Errorf("cannot record container %s: %w", rec.Container, err)
	}
	dir := filepath.Join(r.opts.StateDir, rec.UID)
	tmp := filepath.Join(dir, "."+rec.Container+".tmp") // one writer at a time; what a killed one left is replaced
	// New has made the directory above. If it is gone, somebody removed the root, and it is to stay away.
	if err := durable.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot record container %s: %w", rec.Container, err)
	}
	// Whole or not at all, but not synced to the disk: a record is about processes, which do not survive the
	// machine, and a start must not wait for a disk that is busy with etcd. A file that lost its content is empty.
	err = os.Remove(tmp)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.WriteFile(tmp, append(data, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(tmp, r.recordPath(rec.UID, rec.Container))
	}
	if err != nil {
		return fmt.Errorf("cannot record container %s: %w", rec.Container, err)
	}
	return nil
}

// readRecords returns all records that can be used. The error names those that cannot.
func (r *Runtime) readRecords() ([]record, error) {
	pods, err := os.ReadDir(r.opts.StateDir)
	if err != nil {
		return nil, fmt.Errorf("cannot read container records: %w", err)
	}
	var records []record
	var errs []error
	for _, pod := range pods {
		if checkName(pod.Name()) != nil {
			continue // the key of the markers
		}
		dir := filepath.Join(r.opts.StateDir, pod.Name())
		files, err := os.ReadDir(dir)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot read container records: %w", err))
			continue
		}
		for _, f := range files {
			name, isRecord := strings.CutSuffix(f.Name(), ".json")
			if !isRecord || isEmpty(f) {
				continue // a temporary file; or lost when the machine went down
			}
			rec, err := r.readRecord(pod.Name(), name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			records = append(records, rec)
		}
	}
	return records, errors.Join(errs...)
}

func isEmpty(f fs.DirEntry) bool {
	info, err := f.Info()
	return err == nil && info.Mode().IsRegular() && info.Size() == 0
}

// maxRecord is far above what a record can become; the exit message is at most 2 KiB.
const maxRecord = 1 << 20

func (r *Runtime) readRecord(uid, container string) (record, error) {
	path := r.recordPath(uid, container)
	info, err := os.Lstat(path)
	if err != nil {
		return record{}, fmt.Errorf("cannot read container record: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxRecord {
		return record{}, fmt.Errorf("cannot use container record %s: it is not a record", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return record{}, fmt.Errorf("cannot read container record: %w", err)
	}
	rec, err := decodeRecord(data)
	if err != nil {
		return record{}, fmt.Errorf("cannot use container record %s: %w", path, err)
	}
	if err := r.checkRecord(rec, uid, container); err != nil {
		return record{}, fmt.Errorf("cannot use container record %s: %w", path, err)
	}
	return rec, nil
}

func (r *Runtime) checkRecord(rec record, uid, container string) error {
	if rec.Version != recordVersion {
		return fmt.Errorf("its version is %d, not %d", rec.Version, recordVersion)
	}
	if rec.UID != uid || rec.Container != container {
		return errors.New("it is about another container")
	}
	if rec.Root != r.root {
		return errors.New("it is of another root")
	}
	if m, ok := parseMarker(rec.marker().String()); !ok || m != rec.marker() || rec.Marker != "" && rec.Marker != m.String() {
		return errors.New("it names no container")
	}
	if rec.PID < 2 || rec.Start == 0 || rec.BootID == "" {
		return errors.New("it names no process")
	}
	if rel, err := filepath.Rel(r.opts.LogDir, rec.LogPath); err != nil || rel == "." || !filepath.IsLocal(rel) {
		return fmt.Errorf("its log %q is not below %s", rec.LogPath, r.opts.LogDir)
	}
	return r.checkGroup(rec)
}

// forget removes the records and volumes of a pod.
func (r *Runtime) forget(uid string) error {
	if err := r.unmountVolumes(uid); err != nil {
		return err
	}
	err := os.RemoveAll(filepath.Join(r.opts.StateDir, uid))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove container records: %w", err)
	}
	return nil
}
