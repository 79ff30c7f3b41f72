// Package resource knows what kubecrank puts on a machine: what each kind of
// thing looks like there (Look), and how each is taken away again.
//
//	steps make it --> journal records it --> reset undoes it through this package
//
// Nothing here leaves the root directory it is given, follows a symbolic link
// below it, or crosses into a file system that is mounted there.
package resource

import (
	"io/fs"
	"slices"
)

// Owned is a path of ours.
type Owned struct {
	Made
	// Sums are all SHA-256 sums that we ever meant to write there.
	Sums []string
	// Done is true once the journal knows that it was made, not just intended.
	Done bool
	// Order counts up in the order in which paths were first intended.
	Order int
}

// Wrote says whether bytes with this sum are ours.
func (o Owned) Wrote(sum string) bool { return slices.Contains(o.Sums, sum) }

// Edited says whether bytes with this sum are the edit that a run has kept of what we wrote.
func (o Owned) Edited(sum, wrote string) bool { return o.Edits == wrote && o.SHA256 == sum }

// Made is what a step put on the machine, as the journal remembers it, and what reset removes.
type Made struct {
	Kind    MadeKind    `json:"kind"`
	Path    string      `json:"path"`
	SHA256  string      `json:"sha256,omitempty"` // of a file's bytes: another sum at reset means it was changed by hand
	Mode    fs.FileMode `json:"mode,omitempty"`
	Existed bool        `json:"existed,omitempty"` // it was there before us; reset leaves it
	// Edits is the sum of what we wrote, if SHA256 is that of a user's edit of it.
	Edits string `json:"edits,omitempty"`
	// Except are names that were there before us (MadeEntries).
	Except []string `json:"except,omitempty"`
	// UID and GID are whom it belonged to (MadeOwner, and Mode with them).
	UID int64 `json:"uid,omitempty"`
	GID int64 `json:"gid,omitempty"`
}

// MadeKind says how reset treats a Made.
type MadeKind string

// The kinds of Made.
const (
	MadeFile MadeKind = "file" // removed if its bytes are still ours
	MadeDir  MadeKind = "dir"  // removed if empty
	MadeTree MadeKind = "tree" // a directory whose content is the components' (etcd's data, logs): removed whole
	// MadeEntries are what components put into a directory that was there
	// before us: Path is "dir/prefix*", Except those names that are not ours.
	MadeEntries MadeKind = "entries"
	// MadeLine is a line of /etc/passwd or /etc/group: Path is "FILE:NAME". Removed if it is still as we wrote it.
	MadeLine MadeKind = "line"
	// MadeOwner is somebody else's file that we gave to a user of ours: Path is "FILE@owner". Given back.
	MadeOwner MadeKind = "owner"
	MadeProc  MadeKind = "process" // the supervisor: stopped, pods in reverse start order
)
