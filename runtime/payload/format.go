package payload

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
)

// chunkSize is how much of the components file one frame holds. A chunk of
// 1 MiB stays in a core's second-level cache while it is unpacked, summed and
// written. Measured on two cores: 1 MiB 0.135 s and 30.9 MB, 2 MiB 0.148 s and
// 30.2 MB, 4 MiB 0.172 s and 29.6 MB.
const chunkSize = 1 << 20

const magic = "KCPAY\x00\x00\x01"

// fileName is the staged multi-call binary; the components' names are symlinks to it.
const fileName = "components"

// index describes a payload.
type index struct {
	Version    string   `json:"version"`    // of Kubernetes: "v1.36.3"
	Components []string `json:"components"` // the names of the symlinks
	Size       int64    `json:"size"`       // of the components file, bytes
	SHA256     string   `json:"sha256"`     // of the components file, hex
	About      []byte   `json:"about"`      // a zstd frame: data about the components
	Policy     []byte   `json:"policy"`     // a zstd frame: what the components create in a new cluster
	Chunks     []chunk  `json:"chunks"`
}

// chunk is one piece of chunkSize bytes; the last one may be shorter.
type chunk struct {
	Sum   uint64 `json:"sum"`   // XXH64 of the plain bytes
	Data  int    `json:"data"`  // length of the data frame
	Sites int    `json:"sites"` // length of the sites frame, 0 for none
}

// plainLen is the length of chunk i once decompressed.
func (x *index) plainLen(i int) int {
	return int(min(chunkSize, x.Size-int64(i)*chunkSize))
}

// marshal returns the head of a payload: everything before the first frame.
func (x *index) marshal() ([]byte, error) {
	body, err := json.Marshal(x)
	if err != nil {
		return nil, err
	}
	head := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(body)))
	return append(head, body...), nil
}

// parse splits a payload into its index and the frames. It checks that the
// lengths in the index are those of raw, so that no later slicing can fail.
func parse(raw []byte) (*index, []byte, error) {
	const fixed = len(magic) + 4
	if len(raw) < fixed || string(raw[:len(magic)]) != magic {
		return nil, nil, fmt.Errorf("cannot read the component payload: it does not start with %q", magic)
	}
	size := int64(binary.LittleEndian.Uint32(raw[len(magic):fixed]))
	if size > int64(len(raw)-fixed) {
		return nil, nil, fmt.Errorf("cannot read the component payload: its index is cut off")
	}
	var x index
	if err := json.Unmarshal(raw[fixed:fixed+int(size)], &x); err != nil {
		return nil, nil, fmt.Errorf("cannot read the component payload's index: %w", err)
	}
	frames := raw[fixed+int(size):]
	if err := x.check(int64(len(frames))); err != nil {
		return nil, nil, fmt.Errorf("cannot read the component payload's index: %w", err)
	}
	return &x, frames, nil
}

// check compares the index with itself and with the length of the frames.
func (x *index) check(frames int64) error {
	if x.Size <= 0 || int64(len(x.Chunks)) != (x.Size+chunkSize-1)/chunkSize {
		return fmt.Errorf("%d chunks do not make %d bytes", len(x.Chunks), x.Size)
	}
	var sum int64
	for i, c := range x.Chunks {
		if c.Data <= 0 || c.Sites < 0 {
			return fmt.Errorf("chunk %d has no frame", i)
		}
		sum += int64(c.Data) + int64(c.Sites)
	}
	if sum != frames {
		return fmt.Errorf("it wants %d bytes of frames, there are %d", sum, frames)
	}
	if len(x.SHA256) != 64 || len(x.Components) == 0 || slices.Contains(x.Components, fileName) {
		return fmt.Errorf("digest or component names are missing")
	}
	return nil
}
