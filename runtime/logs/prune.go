package logs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Prune bounds what is kept of a container that has started again, or ended: the newest log is rotated as any other, of
// older restarts the newest so many are kept (at least one, so that the previous log is always there), and of their bytes
// together as many as of one log. If the newest of them holds more, it loses its oldest bytes.
func Prune(ctx context.Context, dir string, restartsKept int, policy Policy) error {
	files, err := list(dir)
	if err != nil {
		return fmt.Errorf("cannot prune logs: %w", err)
	}
	numbers := restarts(files)
	if len(numbers) == 0 {
		return nil
	}
	oldest := numbers[max(len(numbers)-max(restartsKept, 2), 0)]
	newest := numbers[len(numbers)-1]
	left := policy.rotatedBytes() + policy.MaxBytes
	var errs []error
	if _, err := Rotate(ctx, livePath(dir, newest), policy); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, f := range slices.Backward(files) {
		path := filepath.Join(dir, f.name)
		if f.restart == newest {
			continue
		}
		size, err := allocated(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		switch {
		case f.restart < oldest || left <= 0:
			errs = append(errs, removeEnded(path))
		case size > left:
			errs = append(errs, shorten(ctx, path, size-left))
			left = 0
		default:
			left -= size
		}
	}
	return errors.Join(errs...)
}

// removeEnded removes a log file, and what was noted about it.
func removeEnded(path string) error {
	errs := []error{remove(path)}
	if gone, err := droppedOf(path); err == nil {
		for _, g := range gone {
			errs = append(errs, remove(filepath.Join(filepath.Dir(path), g.name)))
		}
	}
	return errors.Join(errs...)
}

// shorten drops the head of an ended log. A gzipped one goes as a whole.
func shorten(ctx context.Context, path string, excess int64) error {
	if strings.HasSuffix(path, gzipSuffix) {
		return remove(path)
	}
	f, err := openLog(ctx, path, os.O_RDWR, rotatePatience)
	if err != nil {
		return fmt.Errorf("cannot shorten log: %w", err)
	}
	defer f.Close()
	start, size, err := extent(f)
	if err != nil {
		return fmt.Errorf("cannot shorten log: %w", err)
	}
	block, err := blockSize(f)
	if err != nil {
		return fmt.Errorf("cannot shorten log: %w", err)
	}
	end := min((start+excess+block-1)/block*block, (size-1)/block*block)
	if end <= start {
		return nil
	}
	if err := dropHead(f, end); err != nil {
		return fmt.Errorf("cannot shorten log %s: %w", path, err)
	}
	return nil
}

// allocated is how many bytes a file takes on the disk: less than its length where its head is a hole.
func allocated(path string) (int64, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Size(), nil
	}
	return min(st.Blocks*512, info.Size()), nil
}
