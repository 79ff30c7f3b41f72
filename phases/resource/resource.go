// Package resource knows what kubecrank puts on a machine: what each kind of
// resource looks like there, and how it is taken away again.
//
//	a step makes a Resource --> the journal keeps the Claim to it --> reset undoes it: Describe, Compare, Undo
//
// A kind is one handler in one file (file.go, owner.go, ...) and a line in
// handlerOf. Nothing here leaves the root directory it is given, follows a
// symbolic link below it, or crosses into a file system that is mounted there.
package resource

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Kind says what a resource is. It selects the handler.
type Kind string

// The kinds.
const (
	File    Kind = "file"    // Key is its path
	Dir     Kind = "dir"     // Key is its path
	Tree    Kind = "tree"    // a directory whose content the components write: Key is its path
	Entries Kind = "entries" // what components put into somebody else's directory: Key is the directory, a slash, and how names begin
	Line    Kind = "line"    // a user or group: Key is "/etc/passwd:NAME" or "/etc/group:NAME"
	Owner   Kind = "owner"   // uid, gid and mode of somebody else's file: Key is its path
	Process Kind = "process" // a supervisor: Key is its socket's path
)

// Resource names one thing on the machine.
type Resource struct {
	Kind Kind   `json:"kind"`
	Key  string `json:"key"`
}

// Claim is what the journal says of a resource that a step made or used.
type Claim struct {
	Resource
	SHA256  string      `json:"sha256,omitempty"` // of a file's bytes: another sum at reset means that somebody changed it
	Mode    fs.FileMode `json:"mode,omitempty"`
	Existed bool        `json:"existed,omitempty"` // it was there before us; reset leaves it
	// Edits is the sum of what we wrote, if SHA256 is that of a user's edit of it.
	Edits string `json:"edits,omitempty"`
	// Except are the names that were there before us (Entries).
	Except []string `json:"except,omitempty"`
	// UID and GID are the owner before us (Owner, with Mode).
	UID int64 `json:"uid,omitempty"`
	GID int64 `json:"gid,omitempty"`

	// Sums are all SHA-256 sums that a run ever meant to write there.
	Sums []string `json:"-"`
	// Done is true once the journal knows that it was made, not just intended.
	Done bool `json:"-"`
	// Order counts up in the order of the first intents.
	Order int `json:"-"`
}

// Wrote says whether bytes with this sum are ours.
func (c Claim) Wrote(sum string) bool { return slices.Contains(c.Sums, sum) }

// Edited says whether bytes with this sum are the edit that a run has kept of what we wrote.
func (c Claim) Edited(sum, wrote string) bool { return c.Edits == wrote && c.SHA256 == sum }

// handler is what a kind can do.
type handler struct {
	// describe says in one line what undo does.
	describe func(key string) string
	// check refuses a claim that kubecrank, run for root, would not have made.
	check func(root string, c Claim) error
	// compare looks for what is left to undo.
	compare func(c Claim, look func(string) Seen) Finding
	// undo takes the resource away. A *LeftError says what stays.
	undo func(ctx context.Context, root string, c Claim) error
}

// Finding is what compare found.
type Finding struct {
	Condition Condition
	Why       string
}

// Condition says what there is to undo.
type Condition string

// The conditions.
const (
	Present Condition = "present" // it is there, or something of it may be
	Missing Condition = "missing"
	Foreign Condition = "foreign" // somebody changed it: it stays
	Unseen  Condition = "unseen"  // this user cannot look
)

func handlerOf(k Kind) (h handler, known bool) {
	switch k {
	case File:
		return fileHandler(), true
	case Dir:
		return dirHandler(), true
	case Tree:
		return treeHandler(), true
	case Entries:
		return entriesHandler(), true
	case Line:
		return lineHandler(), true
	case Owner:
		return ownerHandler(), true
	case Process:
		return processHandler(), true
	}
	return handler{}, false
}

// IsPath says whether the key is the path of the resource.
func (r Resource) IsPath() bool { return r.Kind == File || r.Kind == Dir || r.Kind == Tree }

// Clean returns the resource with its key as filepath.Clean leaves it.
func (r Resource) Clean() Resource {
	r.Key = strings.TrimSuffix(filepath.Clean(r.Key+"*"), "*") // a slash at the end means something in the key of Entries
	if r.IsPath() {
		r.Key = filepath.Clean(r.Key)
	}
	return r
}

// Describe says in one line what Undo does.
func (r Resource) Describe() string {
	if h, known := handlerOf(r.Kind); known {
		return h.describe(r.Key)
	}
	return "remove " + r.Key
}

// Check refuses a claim of a journal that kubecrank, run for root, would not have made.
func (c Claim) Check(root string) error {
	h, known := handlerOf(c.Kind)
	if !known {
		return fmt.Errorf("kind %q is not known", c.Kind)
	}
	return h.check(root, c)
}

// Compare looks for what is left to undo.
func (c Claim) Compare(look func(path string) Seen) Finding {
	h, known := handlerOf(c.Kind)
	if !known {
		return Finding{Unseen, fmt.Sprintf("kind %q is not known", c.Kind)}
	}
	return h.compare(c, look)
}

// Undo takes the resource away, if it is as we made it. A *LeftError says what stays, and why.
func (c Claim) Undo(ctx context.Context, root string) error {
	h, known := handlerOf(c.Kind)
	if !known {
		return fmt.Errorf("cannot undo %s: kind %q is not known", c.Key, c.Kind)
	}
	return h.undo(ctx, root, c)
}

// At returns the claim to the file or directory at path.
func At(path string, claim func(Resource) (Claim, bool)) (Claim, bool) {
	for _, kind := range []Kind{File, Dir, Tree} {
		if c, ours := claim(Resource{kind, path}); ours {
			return c, true
		}
	}
	return Claim{}, false
}
