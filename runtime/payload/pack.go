package payload

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// Source is what Pack packs.
type Source struct {
	Path       string   // the multi-call binary
	Version    string   // of Kubernetes: "v1.36.3"
	Components []string // the names under which the binary is to be started
	About      []byte   // what Payload.About returns: data about the components
	Policy     []byte   // what Payload.Policy returns
}

// Pack writes the payload of src to w. It holds the file in memory, and keeps
// all cores busy for some seconds; it is for the build only.
func Pack(w io.Writer, src Source) error {
	file, err := os.ReadFile(src.Path)
	if err != nil {
		return fmt.Errorf("cannot pack the components: %w", err)
	}
	x := &index{Version: src.Version, Components: src.Components, Size: int64(len(file)), SHA256: sum(file)}
	if x.About, err = compressAbout(src.About); err != nil {
		return fmt.Errorf("cannot pack %s: %w", src.Path, err)
	}
	if x.Policy, err = compressAbout(src.Policy); err != nil {
		return fmt.Errorf("cannot pack %s: %w", src.Path, err)
	}
	frames, err := x.compress(file)
	if err != nil {
		return fmt.Errorf("cannot pack %s: %w", src.Path, err)
	}
	head, err := x.marshal()
	if err != nil {
		return fmt.Errorf("cannot pack %s: %w", src.Path, err)
	}
	for _, part := range append([][]byte{head}, frames...) {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("cannot write the payload: %w", err)
		}
	}
	return nil
}

// Packed reports whether the payload file at path is one of src: a build need
// not pack again what it has packed.
func Packed(path string, src Source) (bool, error) {
	raw, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("cannot look at the payload: %w", err)
	}
	file, err := os.ReadFile(src.Path)
	if err != nil {
		return false, fmt.Errorf("cannot look at the components: %w", err)
	}
	x, _, err := parse(raw)
	if err != nil {
		return false, nil // damaged, or of another format: it is packed again
	}
	about, err := expandAbout(x.About)
	if err != nil {
		return false, nil // damaged
	}
	policy, err := expandAbout(x.Policy)
	if err != nil {
		return false, nil // damaged
	}
	return x.SHA256 == sum(file) && x.Version == src.Version && bytes.Equal(about, src.About) && bytes.Equal(policy, src.Policy) &&
		slices.Equal(x.Components, src.Components), nil
}

func sum(file []byte) string {
	s := sha256.Sum256(file)
	return hex.EncodeToString(s[:])
}

// compress fills in x.Chunks and returns the frames in file order.
func (x *index) compress(file []byte) ([][]byte, error) {
	code, limit := codeOf(bytes.NewReader(file))
	n := (len(file) + chunkSize - 1) / chunkSize
	x.Chunks = make([]chunk, n)
	frames := make([][]byte, n)
	workers := workers(n)
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(chunkSize),
		zstd.WithEncoderConcurrency(workers), zstd.WithEncoderCRC(false)) // the index has a stronger sum
	if err != nil {
		return nil, err
	}
	var next atomic.Int64
	var group errgroup.Group
	for range workers {
		group.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				base := int64(i) * chunkSize
				data := bytes.Clone(file[base : base+int64(x.plainLen(i))])
				x.Chunks[i].Sum = xxhash.Sum64(data)
				sites := absolute(data, base, code, limit)
				frames[i] = zip.EncodeAll(data, nil)
				x.Chunks[i].Data = len(frames[i])
				if len(sites) > 0 {
					frames[i] = zip.EncodeAll(sites, frames[i])
					x.Chunks[i].Sites = len(frames[i]) - x.Chunks[i].Data
				}
			}
			return nil
		})
	}
	return frames, group.Wait()
}
