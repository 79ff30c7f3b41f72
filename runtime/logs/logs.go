// Package logs is the container log as it lies on disk, in the kubelet's layout, and what is done with it:
//
//	<log dir>/<namespace>_<pod>_<uid>/<container>/0.log                    restart 0, no longer written
//	                                             /1.log.20261121-014749   restart 1, rotated head, oldest first
//	                                             /1.log                   restart 1, the live file
//
// A process container writes the live file itself, through a descriptor that was opened O_APPEND: no
// pipe and no reader stands between, so nothing is lost and nothing blocks when the supervisor dies. Rotation
// therefore cannot rename the live file; Rotate copies its head to a rotated file and drops it from the
// live one (see there). A rotated file may end in the middle of a line, which goes on in the next file.
//
// Copy reads all of it in order, follows it through rotations and restarts, and understands plain lines
// and the CRI's format; so it also serves logs that containerd wrote and a kubelet rotated (renamed, gzipped).
//
// Readers and Rotate keep out of each other's way with flock on a file of their own, .lock: shared for one read,
// exclusive for one rotation. The writer knows nothing of it. No lock is taken on a file that a writer has open, and
// every wait has an end: a container must not be able to hold up those who look at its log.
//
// What is kept of a container is bounded in bytes: see Policy.
//
// A program that opens /dev/stderr with O_TRUNC (a shell's "> /dev/stderr") truncates its own log: the price of
// having no pipe.
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

	"golang.org/x/sys/unix"
)

// fileMode is the kubelet's, and lets the group of the directory read logs.
const fileMode fs.FileMode = 0o640

// PodDir is the directory of one pod's logs; those of a container lie in a directory of its name below it.
func PodDir(logDir, namespace, name, uid string) string {
	return filepath.Join(logDir, namespace+"_"+name+"_"+uid)
}

// Create makes the live file for a container's restart number and opens it for append. An existing log
// is never touched: when there is one for this number, the next free number is taken instead, as
// the kubelet counts restarts from the log directory when it has no record (pkg/kubelet/kuberuntime/kuberuntime_container.go:
// calcRestartCountByLogDir).
func Create(dir string, restart int) (*os.File, int, error) {
	for {
		path := livePath(dir, restart)
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND|unix.O_NOFOLLOW, fileMode)
		if err == nil {
			if err := f.Chmod(fileMode); err != nil { // whatever the umask
				_ = f.Close()
				return nil, 0, fmt.Errorf("cannot create log: %w", err)
			}
			return f, restart, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, 0, fmt.Errorf("cannot create log: %w", err)
		}
		next, err := NextRestart(dir)
		if err != nil {
			return nil, 0, fmt.Errorf("cannot create log: %w", err)
		}
		restart = max(next, restart+1)
	}
}

// NextRestart is one more than the highest restart number that left a log in dir; 0 when there is none.
func NextRestart(dir string) (int, error) {
	files, err := list(dir)
	if err != nil {
		return 0, err
	}
	if len(files) == 0 {
		return 0, nil
	}
	return files[len(files)-1].restart + 1, nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove old log: %w", err)
	}
	return nil
}

// logFile is a file of a container's log directory.
type logFile struct {
	name    string
	restart int
	stamp   string // of a rotated file, without ".gz"; "" for the live file
	gone    int64  // no file: so many bytes were dropped instead of being rotated
}

func (f logFile) gzipped() bool { return strings.HasSuffix(f.name, gzipSuffix) }

const gzipSuffix = ".gz"

// logName matches live and rotated files; a kubelet's half-made ".tmp" files and our hidden ones do not match.
var logName = regexp.MustCompile(`^(\d{1,9})\.log(?:\.(\d{8}-\d{6}))?(?:\.gz)?$`)

func livePath(dir string, restart int) string {
	return filepath.Join(dir, strconv.Itoa(restart)+".log")
}

// splitLive is the inverse of livePath.
func splitLive(path string) (dir string, restart int, err error) {
	m := logName.FindStringSubmatch(filepath.Base(path))
	if m == nil || m[2] != "" {
		return "", 0, fmt.Errorf("%s is not a container log", path)
	}
	restart, err = strconv.Atoi(m[1])
	return filepath.Dir(path), restart, err
}

// list returns the log files of dir: by restart, rotated ones oldest first, then the live one. Of a
// rotated file that is just being compressed only the original is listed.
func list(dir string) ([]logFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []logFile
	for _, e := range entries {
		m := logName.FindStringSubmatch(e.Name())
		if m == nil || e.IsDir() {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			continue // not a number that anybody counted to
		}
		files = append(files, logFile{name: e.Name(), restart: n, stamp: m[2]})
	}
	slices.SortFunc(files, func(a, b logFile) int {
		if a.restart != b.restart {
			return a.restart - b.restart
		}
		if (a.stamp == "") != (b.stamp == "") {
			return strings.Compare(b.stamp, a.stamp) // the live file, without a stamp, is last
		}
		return strings.Compare(a.name, b.name)
	})
	return slices.CompactFunc(files, func(a, b logFile) bool { return a.restart == b.restart && a.stamp == b.stamp }), nil
}

// rotated returns the rotated files of one restart, and what was dropped instead of being rotated, oldest first.
func rotated(dir string, restart int) ([]logFile, error) {
	files, err := list(dir)
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f logFile) bool { return f.restart != restart || f.stamp == "" })
	gone, err := droppedOf(livePath(dir, restart))
	if err != nil || len(gone) == 0 {
		return files, err
	}
	files = append(files, gone...)
	slices.SortStableFunc(files, func(a, b logFile) int { return strings.Compare(a.stamp, b.stamp) })
	return files, nil
}

// restarts returns the restart numbers that have logs, ascending.
func restarts(files []logFile) []int {
	var numbers []int
	for _, f := range files {
		if len(numbers) == 0 || numbers[len(numbers)-1] != f.restart {
			numbers = append(numbers, f.restart)
		}
	}
	return numbers
}
