package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Policy says when a log is rotated and how much of it is kept.
type Policy struct {
	MaxBytes int64 // rotate when the live file holds this much; the kubelet's containerLogMaxSize, 10 MiB
	MaxFiles int   // per restart, the live file included; the kubelet's containerLogMaxFiles, 5
}

// rotatedBytes is what the rotated files of a log may hold together. A file may be twice as long as MaxBytes, for a log
// grows between two looks at it.
func (p Policy) rotatedBytes() int64 { return 2 * p.MaxBytes * int64(max(p.MaxFiles-1, 1)) }

// Rotate moves the head of a live log file to a rotated file if the live file has grown to the
// policy's size, while its writer goes on appending, and removes the oldest rotated files. The head is copied, synced,
// and only then dropped from the live file, in whole blocks, under the inode's lock that appends take too. On ext4 and
// XFS the file gets shorter (COLLAPSE_RANGE); elsewhere a hole takes the place of the head (PUNCH_HOLE), which readers
// skip. The file may have any name, if only its writers open it O_APPEND.
//
// No byte is lost unless there are too many, or no room: a burst of more than the policy keeps loses its oldest bytes
// before anything is copied, and so does a log on a full disk. Rotate returns a *DroppedError then, and true. It
// returns a *BusyError when readers keep the log locked.
//
// Killed anywhere, the next Recover or Rotate puts things right. For 1.log there is, in turn:
//
//	.1.log.tmp                 the copy that is being made: of no use
//	.1.log.START-SIZE.pending  the copy is whole; the head of 1.log may be dropped or not
//	1.log.TIME                 the head is dropped
//	.1.log.TIME.gone-N         N bytes were dropped and not copied: for readers that count
func Rotate(ctx context.Context, path string, policy Policy) (bool, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return false, fmt.Errorf("cannot rotate log: %w", err)
	}
	if info.Size() < policy.MaxBytes {
		return false, nil
	}
	done, err := rotate(ctx, path, policy)
	var dropped *DroppedError
	if err != nil && !errors.As(err, &dropped) {
		return false, fmt.Errorf("cannot rotate log %s: %w", path, err)
	}
	return done, err
}

// Recover finishes or takes back a rotation of the live log file that was cut short. Whoever adopts
// the log of a dead supervisor calls it once.
func Recover(ctx context.Context, path string) error {
	if left, err := leftovers(path); err != nil || len(left) == 0 {
		return err
	}
	f, release, err := lockLive(ctx, path)
	var busy *BusyError
	if errors.As(err, &busy) {
		return nil // the next rotation does it
	}
	if err == nil {
		defer release()
		err = recoverLocked(f, path)
	}
	if err != nil {
		return fmt.Errorf("cannot recover log %s: %w", path, err)
	}
	return nil
}

// lockLive opens the live file and takes the lock that keeps readers out.
func lockLive(ctx context.Context, path string) (f *os.File, release func(), err error) {
	lock, err := lockDir(ctx, filepath.Dir(path), unix.LOCK_EX, rotatePatience)
	if err != nil {
		return nil, nil, err
	}
	f, err = openLog(ctx, path, os.O_RDWR, rotatePatience)
	if err != nil {
		unlock(lock)
		return nil, nil, err
	}
	return f, func() { f.Close(); unlock(lock) }, nil
}

func rotate(ctx context.Context, path string, policy Policy) (bool, error) {
	f, release, err := lockLive(ctx, path)
	if err != nil {
		return false, err
	}
	defer release()
	if err := recoverLocked(f, path); err != nil {
		return false, err
	}
	start, size, err := extent(f)
	if err != nil || size-start < policy.MaxBytes {
		return false, err
	}
	block, err := blockSize(f)
	if err != nil {
		return false, err
	}
	var lost *DroppedError
	if excess := (size - start - policy.rotatedBytes()) / block * block; excess > 0 {
		if lost, err = dropOldest(f, path, start+excess, "it grew by more than is kept of it"); err != nil {
			return false, err
		}
		if start, size, err = extent(f); err != nil {
			return false, err
		}
	}
	end := (size - 1) / block * block // a range that reaches the end cannot be collapsed
	if end <= start {
		return lost != nil, lost.orNil()
	}
	err = move(f, path, start, end)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		lost, err = lost.and(makeRoom(f, path, policy, block))
		return err == nil, errors.Join(err, lost.orNil())
	}
	if err != nil {
		return false, errors.Join(err, lost.orNil())
	}
	return true, errors.Join(removeExcess(path, policy), lost.orNil())
}

// move makes a rotated file of the bytes [start, end).
func move(f *os.File, path string, start, end int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	pending := hidden(path, fmt.Sprintf("%d-%d.pending", start, info.Size()))
	if err := copyHead(f, start, end, path, pending); err != nil {
		return err
	}
	if err := f.Sync(); err != nil { // what is still dirty would be written under the lock that the writer waits for
		return errors.Join(err, remove(pending))
	}
	if err := dropHead(f, end); err != nil {
		return errors.Join(err, remove(pending)) // the head is still in the live file
	}
	return publish(path, pending)
}

// copyHead writes the bytes [start, end) of f to pending, durably.
func copyHead(f *os.File, start, end int64, path, pending string) error {
	tmp := hidden(path, "tmp")
	dst, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(copyRange(dst, f, start, end), dst.Close())
	if err == nil {
		err = os.Rename(tmp, pending)
	}
	if err != nil {
		return errors.Join(err, remove(tmp))
	}
	return nil
}

func copyRange(dst, src *os.File, start, end int64) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if err := dst.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	if _, err := src.Seek(start, io.SeekStart); err != nil {
		return err
	}
	n, err := io.CopyN(dst, src, end-start) // copy_file_range: the bytes stay in the kernel
	if err != nil {
		return fmt.Errorf("copied %d of %d bytes: %w", n, end-start, err)
	}
	return dst.Sync()
}

// dropHead removes the bytes before end from f. Concurrent appends go on behind them.
func dropHead(f *os.File, end int64) error {
	fd := int(f.Fd())
	err := unix.Fallocate(fd, unix.FALLOC_FL_COLLAPSE_RANGE, 0, end)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) { // EINVAL: allocation units larger than a block
		err = unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, end)
	}
	if err != nil {
		return fmt.Errorf("the file system can neither collapse nor punch a range: %w", err)
	}
	return nil
}

// publish gives a pending copy its final name.
func publish(path, pending string) error {
	stamp, err := nextStamp(path)
	if err != nil {
		return err
	}
	return os.Rename(pending, path+"."+stamp)
}

// nextStamp is the time that names a rotated file, later than that of every other one even if the
// clock went back. The format is the kubelet's (pkg/kubelet/logs/container_log_manager.go: timestampFormat), but in UTC: local time
// repeats an hour every autumn.
func nextStamp(path string) (string, error) {
	others, err := rotatedOf(path)
	if err != nil {
		return "", err
	}
	gone, err := droppedOf(path)
	if err != nil {
		return "", err
	}
	now := time.Now().UTC()
	for _, other := range append(others, gone...) {
		newest, err := time.Parse(stampFormat, other.stamp)
		if err == nil && !now.Truncate(time.Second).After(newest) {
			now = newest.Add(time.Second)
		}
	}
	return now.Format(stampFormat), nil
}

const stampFormat = "20060102-150405"

// stampName is what follows the live file's name in that of a rotated one.
var stampName = regexp.MustCompile(`^\d{8}-\d{6}(?:\.gz)?$`)

// rotatedOf returns the rotated files of a live file, oldest first.
func rotatedOf(path string) ([]logFile, error) {
	entries, err := os.ReadDir(filepath.Dir(path)) // by name
	if err != nil {
		return nil, err
	}
	var files []logFile
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		if ok && !e.IsDir() && stampName.MatchString(stamp) {
			files = append(files, logFile{name: e.Name(), stamp: strings.TrimSuffix(stamp, gzipSuffix)})
		}
	}
	return slices.CompactFunc(files, func(a, b logFile) bool { return a.stamp == b.stamp }), nil
}

// recoverLocked finishes or takes back what a killed rotation left.
func recoverLocked(f *os.File, path string) error {
	left, err := leftovers(path)
	if err != nil {
		return err
	}
	for _, name := range left {
		if !strings.HasSuffix(name, ".pending") {
			if err := remove(name); err != nil {
				return err
			}
			continue
		}
		dropped, err := headDropped(f, path, name)
		if err != nil {
			return err
		}
		if dropped {
			err = publish(path, name)
		} else {
			err = remove(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// headDropped tells whether f no longer starts with the bytes of the pending file. The name says where f's data
// began and ended before: a change settles it even for a log that repeats itself.
func headDropped(f *os.File, path, pending string) (bool, error) {
	start, size, err := extent(f)
	if err != nil {
		return false, err
	}
	var startBefore, sizeBefore int64
	name := strings.TrimPrefix(pending, hidden(path, ""))
	if _, err := fmt.Sscanf(name, "%d-%d.pending", &startBefore, &sizeBefore); err == nil && (start > startBefore || size < sizeBefore) {
		return true, nil
	}
	p, err := os.OpenFile(pending, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer p.Close()
	same, err := isPrefix(p, io.NewSectionReader(f, start, size-start))
	return !same, err
}

func isPrefix(p, of io.Reader) (bool, error) {
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(p, a)
		if n == 0 && errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return false, err
		}
		if m, _ := io.ReadFull(of, b[:n]); m < n || !bytes.Equal(a[:n], b[:n]) {
			return false, nil
		}
	}
}

// dataStart is the offset of the first byte that was not dropped; there always is one, unless f is empty.
func dataStart(f *os.File) (int64, error) {
	start, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO): // empty
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("cannot find the start of the data: %w", err)
	}
	return start, nil
}

func blockSize(f *os.File) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("cannot learn the block size: %w", err)
	}
	return max(st.Bsize, int64(os.Getpagesize())), nil
}

// leftovers are the files of unfinished rotations of the live file.
func leftovers(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var left []string
	for _, e := range entries {
		suffix, ok := strings.CutPrefix(e.Name(), filepath.Base(hidden(path, "")))
		if ok && (suffix == "tmp" || strings.HasSuffix(suffix, ".pending")) {
			left = append(left, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return left, nil
}

// hidden is the name of a file that belongs to an unfinished rotation of the live file.
func hidden(path, suffix string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+suffix)
}
