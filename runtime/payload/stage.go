package payload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/durable"
)

// tmpPrefix starts the name of the file that Stage writes before it renames it.
const tmpPrefix = ".kubecrank-tmp-" + fileName + "-"

// Stage makes dir hold the components: the file components (0755) and one
// symlink to it per program. A file that is there and whole is kept; a damaged
// one is replaced (Verify, called before, says what is wrong with it). Stage
// may be killed at any time: the file appears by a rename, and what a killed
// Stage left is removed by the next. It is for one caller at a time (init
// holds a lock). It needs Size bytes of disk and, per core, about 3 MB of memory.
//
// The file is not synced: init would wait a second for the disk, and etcd's
// first writes with it. The kernel writes it out within half a minute. When
// the machine loses power before that, Verify finds the damage, and Stage
// repairs it: call it once after each boot.
func (p *Payload) Stage(ctx context.Context, dir string) error {
	if p.err != nil {
		return p.err
	}
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot stage the components: %w", err)
	}
	if err := checkMount(dir); err != nil {
		return err
	}
	if err := removeLeftovers(dir); err != nil {
		return err
	}
	if p.verifyFile(ctx, dir) != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("cannot stage the components: %w", context.Cause(ctx))
		}
		if err := p.writeFile(ctx, dir); err != nil {
			return err
		}
	}
	return p.link(dir)
}

// writeFile puts the components file into dir.
func (p *Payload) writeFile(ctx context.Context, dir string) (err error) {
	tmp, err := os.CreateTemp(dir, tmpPrefix)
	if err != nil {
		return fmt.Errorf("cannot stage the components: %w", err)
	}
	defer func() {
		_ = tmp.Close() // what counts was checked: nothing is buffered here
		if err != nil {
			_ = os.Remove(tmp.Name()) // the first error is the one to report
		}
	}()
	if err := reserve(tmp, p.Size()); err != nil {
		return noSpace(err, dir, p.Size())
	}
	if err := p.writeChunks(ctx, tmp); err != nil {
		return noSpace(err, dir, p.Size())
	}
	if err := tmp.Chmod(0o755); err != nil {
		return fmt.Errorf("cannot stage the components: %w", err)
	}
	if err := os.Rename(tmp.Name(), filepath.Join(dir, fileName)); err != nil {
		return fmt.Errorf("cannot stage the components: %w", err)
	}
	return nil
}

// reserve takes the disk space at once, so that a full disk is found before
// any work is done; a file system that cannot reserve runs full later.
func reserve(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// noSpace adds the remedy to an error that says that the disk is full.
func noSpace(err error, dir string, need int64) error {
	err = fmt.Errorf("cannot stage the components in %s: %w", dir, err)
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	return withHint(err, "%d MB must be free there: free some, or choose another place with --root", need/1e6+1)
}

// writeChunks decompresses all chunks to their places in f, on all cores.
func (p *Payload) writeChunks(ctx context.Context, f *os.File) error {
	return p.eachChunk(ctx, func() (chunkFunc, func(), error) {
		// A decoder for each worker: shared ones hand their state from core to core.
		unzip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(chunkSize),
			zstd.WithDecoderLowmem(true), zstd.IgnoreChecksum(true))
		if err != nil {
			return nil, nil, err
		}
		var plain, sites []byte
		work := func(i int) (err error) {
			if plain, sites, err = p.unpack(unzip, i, plain, sites); err != nil {
				return fmt.Errorf("cannot unpack piece %d of the component payload: %w", i, err)
			}
			_, err = f.WriteAt(plain, int64(i)*chunkSize)
			return err
		}
		return work, unzip.Close, nil
	})
}

// unpack decompresses and checks chunk i; the buffers are reused.
func (p *Payload) unpack(unzip *zstd.Decoder, i int, plain, sites []byte) (_, _ []byte, err error) {
	data, siteData := p.frame(i)
	if plain, err = unzip.DecodeAll(data, plain[:0]); err != nil {
		return plain, sites, err
	}
	if sites, err = unzip.DecodeAll(siteData, sites[:0]); err != nil {
		return plain, sites, err
	}
	if err := relative(plain, int64(i)*chunkSize, sites); err != nil {
		return plain, sites, err
	}
	if len(plain) != p.index.plainLen(i) || xxhash.Sum64(plain) != p.index.Chunks[i].Sum {
		return plain, sites, errors.New("its checksum is wrong")
	}
	return plain, sites, nil
}

// chunkFunc does something with one chunk.
type chunkFunc func(i int) error

// eachChunk calls a chunkFunc for every chunk, on all cores; newWorker makes
// the chunkFunc of one core, and what is to be called at its end.
func (p *Payload) eachChunk(ctx context.Context, newWorker func() (chunkFunc, func(), error)) error {
	n := len(p.index.Chunks)
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range workers(n) {
		group.Go(func() error {
			work, done, err := newWorker()
			if err != nil {
				return err
			}
			defer done()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := ctx.Err(); err != nil {
					return context.Cause(ctx)
				}
				if err := work(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// link makes the symlinks that are missing or point elsewhere.
func (p *Payload) link(dir string) error {
	for _, name := range p.index.Components {
		path := filepath.Join(dir, name)
		if to, err := os.Readlink(path); err == nil && to == fileName {
			continue
		}
		tmp := filepath.Join(dir, tmpPrefix+name)
		if err := os.Symlink(fileName, tmp); err != nil {
			return fmt.Errorf("cannot stage the components: %w", err)
		}
		if err := os.Rename(tmp, path); err != nil {
			_ = os.Remove(tmp) // the first error is the one to report
			return fmt.Errorf("cannot stage the components: %w", err)
		}
	}
	return nil
}

// removeLeftovers removes what a killed Stage left.
func removeLeftovers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cannot stage the components: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tmpPrefix) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("cannot remove what a killed run left: %w", err)
		}
	}
	return nil
}
