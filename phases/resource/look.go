package resource

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// SeenKind says what is at a path.
type SeenKind string

// The kinds of Seen.
const (
	Absent     SeenKind = "absent"
	Regular    SeenKind = "file"
	Directory  SeenKind = "directory"
	Symlink    SeenKind = "symlink" // one that is not followed, or leads nowhere
	Special    SeenKind = "special" // a device, socket or pipe
	Unreadable SeenKind = "unreadable"
)

// Seen is what is at a path. Only Kind is always set.
type Seen struct {
	Kind   SeenKind    `json:"kind"`
	Mode   fs.FileMode `json:"mode,omitempty"` // permission bits
	UID    int64       `json:"uid,omitempty"`  // its owner
	GID    int64       `json:"gid,omitempty"`
	SHA256 string      `json:"sha256,omitempty"`
	Names  []string    `json:"names,omitempty"` // the entries of a directory, sorted
	Error  string      `json:"error,omitempty"` // of Unreadable
	Data   Content     `json:"-"`               // of a file
}

// Content is the bytes of a file that may be a secret: it never prints them.
type Content []byte

// Format prints the length, whatever the verb.
func (c Content) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "(%d bytes)", len(c)) }

// maxLook is how much of a file is read: far more than any file of ours.
const maxLook = 4 << 20

// Look looks at path. A symbolic link at path itself is followed only if
// follow is set. What cannot be looked at is Unreadable, not an error.
func Look(path string, follow bool) Seen {
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 && follow {
		info, err = os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return Seen{Kind: Symlink}
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return Seen{Kind: Absent}
	case err != nil:
		return Seen{Kind: Unreadable, Error: Cause(err)}
	}
	seen := Seen{Mode: info.Mode().Perm()}
	seen.UID, seen.GID = OwnerOf(info)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		seen.Kind = Symlink
	case info.IsDir():
		return lookDir(path, seen)
	case info.Mode().IsRegular():
		return lookFile(path, seen)
	default:
		seen.Kind = Special
	}
	return seen
}

// OwnerOf is whom a file belongs to.
func OwnerOf(info fs.FileInfo) (uid, gid int64) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(st.Uid), int64(st.Gid)
	}
	return 0, 0
}

func lookDir(path string, seen Seen) Seen {
	seen.Kind = Directory
	entries, err := os.ReadDir(path)
	if err != nil {
		seen.Error = Cause(err) // it is a directory all the same
	} else {
		seen.Names = make([]string, 0, len(entries)) // not nil: that an empty directory is empty was seen
	}
	for _, e := range entries {
		seen.Names = append(seen.Names, e.Name())
	}
	slices.Sort(seen.Names)
	return seen
}

func lookFile(path string, seen Seen) Seen {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a file swapped for a pipe must not hang us
	if err == nil {
		defer f.Close()
		seen.Data, err = io.ReadAll(io.LimitReader(f, maxLook+1))
	}
	if err == nil && len(seen.Data) > maxLook {
		err = fmt.Errorf("larger than %d MiB", maxLook>>20)
	}
	if err != nil {
		seen.Kind, seen.Error, seen.Data = Unreadable, Cause(err), nil
		return seen
	}
	seen.Kind = Regular
	seen.SHA256 = Sum(seen.Data)
	return seen
}

// Cause is the error without the path: whoever prints it has named the path already.
func Cause(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// Sum returns the SHA-256 sum of data, in hex.
func Sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}
