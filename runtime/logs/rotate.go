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

// Rotate moves the head of a live log file to a rotated file if the live file has grown to the
// policy's size, while its writer goes on appending, and removes the oldest rotated files. No byte is
// lost: the head is copied, synced, and only then dropped from the live file, in whole blocks, under
// the inode's lock that appends take too. On ext4 and XFS the file gets shorter (COLLAPSE_RANGE); elsewhere
// a hole takes the place of the head (PUNCH_HOLE), which readers skip. When readers keep the file
// busy, it is left for the next time. The file may have any name, if only its writers open it O_APPEND.
//
// Killed anywhere, the next Recover or Rotate puts things right. For 1.log there is, in turn:
//
//	.1.log.tmp                 the copy that is being made: of no use
//	.1.log.START-SIZE.pending  the copy is whole; the head of 1.log may be dropped or not
//	1.log.TIME                 the head is dropped
func Rotate(ctx context.Context, path string, policy Policy) (bool, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return false, fmt.Errorf("cannot rotate log: %w", err)
	}
	if info.Size() < policy.MaxBytes {
		return false, nil
	}
	done, err := rotate(ctx, path, policy)
	if err != nil {
		return false, fmt.Errorf("cannot rotate log %s: %w", path, err)
	}
	return done, nil
}

// Recover finishes or takes back a rotation of the live log file that was cut short. Whoever adopts
// the log of a dead supervisor calls it once.
func Recover(ctx context.Context, path string) error {
	if left, err := leftovers(path); err != nil || len(left) == 0 {
		return err
	}
	f, err := lockLive(ctx, path)
	if errors.Is(err, errBusy) {
		return nil // the next rotation does it
	}
	if err == nil {
		defer f.Close()
		err = recoverLocked(f, path)
	}
	if err != nil {
		return fmt.Errorf("cannot recover log %s: %w", path, err)
	}
	return nil
}

func rotate(ctx context.Context, path string, policy Policy) (bool, error) {
	f, err := lockLive(ctx, path)
	if errors.Is(err, errBusy) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
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
	end := (size - 1) / block * block // a range that reaches the end cannot be collapsed
	if end <= start {
		return false, nil
	}
	pending := hidden(path, fmt.Sprintf("%d-%d.pending", start, size))
	if err := copyHead(f, start, end, path, pending); err != nil {
		return false, err
	}
	if err := f.Sync(); err != nil { // what is still dirty would be written under the lock that the writer waits for
		return false, errors.Join(err, remove(pending))
	}
	if err := dropHead(f, end); err != nil {
		return false, errors.Join(err, remove(pending)) // the head is still in the live file
	}
	if err := publish(path, pending); err != nil {
		return false, err
	}
	return true, removeExcess(path, policy.MaxFiles)
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

// publish gives a pending copy its final name, later in order than every other rotated file even if the
// clock went back. The name is the kubelet's (container_log_manager.go: timestampFormat), but in UTC: local time
// repeats an hour every autumn.
func publish(path, pending string) error {
	others, err := rotatedOf(path)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	if len(others) > 0 {
		newest, err := time.Parse(stampFormat, others[len(others)-1].stamp)
		if err == nil && !now.Truncate(time.Second).After(newest) {
			now = newest.Add(time.Second)
		}
	}
	return os.Rename(pending, path+"."+now.Format(stampFormat))
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

func removeExcess(path string, maxFiles int) error {
	files, err := rotatedOf(path)
	if err != nil {
		return err
	}
	var errs []error
	for len(files) > max(maxFiles-1, 1) {
		errs = append(errs, remove(filepath.Join(filepath.Dir(path), files[0].name)))
		files = files[1:]
	}
	return errors.Join(errs...)
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
	p, err := os.Open(pending)
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

// errBusy: readers kept the live file locked.
var errBusy = errors.New("the log is being read")

// lockLive opens the live file and takes the lock that keeps readers out; closing it gives the lock back.
// It gives up after a tenth of a second: a reader holds its lock for one read only, but
// anybody who may read the file could hold one for ever.
func lockLive(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	for range 50 {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			break
		}
		err = errBusy
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(2 * time.Millisecond):
			continue
		}
		break
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
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
		if strings.HasPrefix(e.Name(), filepath.Base(hidden(path, ""))) {
			left = append(left, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return left, nil
}

// hidden is the name of a file that belongs to an unfinished rotation of the live file.
func hidden(path, suffix string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+suffix)
}
