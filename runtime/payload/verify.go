package payload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"
)

// DamagedError says what is wrong with a staged file.
type DamagedError struct {
	Path   string
	Reason string // "is truncated: 10 of 134865022 bytes"
}

func (e *DamagedError) Error() string { return e.Path + " " + e.Reason }

// Hint names the remedy.
func (e *DamagedError) Hint() string {
	return "run kubecrank init again: it writes the components anew; find out what changed them if it was not you"
}

// Verify reports whether dir holds what Stage made of this payload: the whole
// file, unaltered, executable, and its symlinks. The error is a *DamagedError
// that names the file and what is wrong with it; dir not being there is one too.
func (p *Payload) Verify(ctx context.Context, dir string) error {
	if p.err != nil {
		return p.err
	}
	if err := p.verifyFile(ctx, dir); err != nil {
		return err
	}
	for _, name := range p.index.Components {
		path := filepath.Join(dir, name)
		if to, err := os.Readlink(path); err != nil || to != fileName {
			return &DamagedError{path, "is not the symlink to " + fileName + " that was made"}
		}
	}
	return checkMount(dir)
}

// verifyFile reads the whole components file, on all cores.
func (p *Payload) verifyFile(ctx context.Context, dir string) error {
	path := filepath.Join(dir, fileName)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &DamagedError{path, "is missing"}
	case errors.Is(err, unix.ELOOP):
		return &DamagedError{path, "is a symlink, not the file that was made"}
	case err != nil:
		return fmt.Errorf("cannot verify the components: %w", err)
	}
	defer f.Close()
	if err := p.verifyInode(f, path); err != nil {
		return err
	}
	return p.eachChunk(ctx, func() (chunkFunc, func(), error) {
		buf := make([]byte, 128<<10) // fits a core's cache: the sum reads it back from there
		sum := xxhash.New()
		work := func(i int) error {
			start := int64(i) * chunkSize
			sum.Reset()
			piece := io.NewSectionReader(f, start, int64(p.index.plainLen(i)))
			if _, err := io.CopyBuffer(sum, piece, buf); err != nil {
				return fmt.Errorf("cannot verify the components: %w", err)
			}
			if sum.Sum64() != p.index.Chunks[i].Sum {
				return &DamagedError{path, fmt.Sprintf("is altered: the %d bytes from byte %d are not those of the payload",
					p.index.plainLen(i), start)}
			}
			return nil
		}
		return work, func() {}, nil
	})
}

// verifyInode checks what the file's inode tells: kind, size and mode.
func (p *Payload) verifyInode(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("cannot verify the components: %w", err)
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return &DamagedError{path, "is not a regular file"}
	case info.Size() < p.Size():
		return &DamagedError{path, fmt.Sprintf("is truncated: %d of %d bytes", info.Size(), p.Size())}
	case info.Size() > p.Size():
		return &DamagedError{path, fmt.Sprintf("is altered: %d bytes instead of %d", info.Size(), p.Size())}
	case mode.Perm() != 0o755:
		return &DamagedError{path, fmt.Sprintf("has mode %04o instead of 0755", mode.Perm())}
	}
	return nil
}

// stNoexec is ST_NOEXEC of statfs(2): nothing on this mount can be executed.
const stNoexec = 0x8

// checkMount reports a mount from which nothing can be executed.
func checkMount(dir string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("cannot look at the file system of %s: %w", dir, err)
	}
	if fs.Flags&stNoexec == 0 {
		return nil
	}
	return withHint(fmt.Errorf("cannot run components from %s: its file system is mounted noexec", dir),
		"mount it with exec, or choose another place with --root")
}

// workers is how many goroutines share n pieces of work.
func workers(n int) int { return min(goruntime.GOMAXPROCS(0), n) }
