package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// DroppedError says that the oldest bytes of a log were lost in a rotation. Its text is the same each time, so that a log
// that loses bytes for hours is one event that counts.
type DroppedError struct {
	Path  string
	Bytes int64
	Why   string
}

func (e *DroppedError) Error() string {
	return fmt.Sprintf("the oldest bytes of log %s were dropped: %s", e.Path, e.Why)
}

// orNil keeps a nil pointer from becoming an error that is not nil.
func (e *DroppedError) orNil() error {
	if e == nil {
		return nil
	}
	return e
}

// and adds what was dropped later in the same rotation.
func (e *DroppedError) and(more *DroppedError, err error) (*DroppedError, error) {
	if e != nil && more != nil {
		more.Bytes += e.Bytes
	}
	if more == nil {
		more = e
	}
	return more, err
}

// dropOldest removes the rotated files of a log, and then the bytes of the live file before end: nothing is copied, so
// that it frees room on a full disk.
func dropOldest(f *os.File, path string, end int64, why string) (*DroppedError, error) {
	lost, err := removeRotated(path, 0, 0)
	if err != nil {
		return nil, err
	}
	start, _, err := extent(f)
	if err != nil {
		return nil, err
	}
	if end > start {
		if err := dropHead(f, end); err != nil {
			return nil, err
		}
		tellReaders(path, end-start)
		lost += end - start
	}
	return &DroppedError{Path: path, Bytes: lost, Why: why}, nil
}

// makeRoom drops all but the newest half of what a live file may hold: there is no room for a copy.
func makeRoom(f *os.File, path string, policy Policy, block int64) (*DroppedError, error) {
	_, size, err := extent(f)
	if err != nil {
		return nil, err
	}
	return dropOldest(f, path, (size-policy.MaxBytes/2)/block*block, "no room is left to rotate it")
}

// tellReaders leaves a name that says how many bytes went without a rotated file, so that a reader's place in the live
// file stays right. It holds no data, and at worst a reader repeats or skips some lines.
func tellReaders(path string, bytes int64) {
	stamp, err := nextStamp(path)
	if err != nil {
		return
	}
	name := hidden(path, fmt.Sprintf("%s.gone-%d", stamp, bytes))
	if f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode); err == nil {
		_ = f.Close() // which cannot fail: nothing was written
	}
	old, err := droppedOf(path)
	if err != nil {
		return
	}
	for _, g := range old[:max(len(old)-markersKept, 0)] {
		_ = os.Remove(filepath.Join(filepath.Dir(path), g.name)) // the next rotation tries again
	}
}

// markersKept is for readers that are some rotations behind.
const markersKept = 8

var goneName = regexp.MustCompile(`^(\d{8}-\d{6})\.gone-(\d{1,18})$`)

// droppedOf returns what was dropped from a live file without being rotated, oldest first.
func droppedOf(path string) ([]logFile, error) {
	entries, err := os.ReadDir(filepath.Dir(path)) // by name
	if err != nil {
		return nil, err
	}
	var gone []logFile
	for _, e := range entries {
		suffix, ok := strings.CutPrefix(e.Name(), filepath.Base(hidden(path, "")))
		m := goneName.FindStringSubmatch(suffix)
		if !ok || m == nil {
			continue
		}
		if n, err := strconv.ParseInt(m[2], 10, 64); err == nil && n > 0 {
			gone = append(gone, logFile{name: e.Name(), stamp: m[1], gone: n})
		}
	}
	return gone, nil
}

// removeExcess keeps the newest rotated files: as many, and as many bytes, as the policy says.
func removeExcess(path string, policy Policy) error {
	_, err := removeRotated(path, max(policy.MaxFiles-1, 1), policy.rotatedBytes())
	return err
}

// removeRotated removes the oldest rotated files of a live file until no more than so many, and so many bytes, are
// left. It returns how many bytes went.
func removeRotated(path string, files int, bytes int64) (int64, error) {
	rotated, err := rotatedOf(path)
	if err != nil {
		return 0, err
	}
	var errs []error
	var kept, gone int64
	for _, f := range slices.Backward(rotated) {
		name := filepath.Join(filepath.Dir(path), f.name)
		size, err := sizeOf(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if files--; files >= 0 && kept+size <= bytes {
			kept += size
			continue
		}
		files = 0 // what is older goes too: no gap is left
		gone += size
		errs = append(errs, remove(name))
	}
	return gone, errors.Join(errs...)
}

func sizeOf(path string) (int64, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
