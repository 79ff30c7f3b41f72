// Package steps has the kinds of steps: each is a struct of comparable data
// that implements plan.Step. Compare says what is left to do; the Work that it
// returns does it.
package steps

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/redact"
)

// missingDirs returns path and those of its parents that h does not have, outermost first.
func missingDirs(h plan.Host, path string) []string {
	var dirs []string
	for p := filepath.Clean(path); p != "/" && h.Look(p).Kind == resource.Absent; p = filepath.Dir(p) {
		dirs = append(dirs, p)
	}
	slices.Reverse(dirs)
	return dirs
}

// MakeDir makes a directory with its missing parents (mode 0755).
type MakeDir struct {
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode"`
	// Tree says that what will be in it is the components', so that reset
	// removes it whole. If the directory is there already, only entries that
	// start with one of Entries and come later are.
	Tree    bool     `json:"tree,omitempty"`
	Entries []string `json:"entries,omitempty"`
}

// Kind implements Step.
func (MakeDir) Kind() string { return "MakeDir" }

// Describe implements Step.
func (s MakeDir) Describe() string { return fmt.Sprintf("make directory %s (%04o)", s.Path, s.Mode) }

// Where is the path.
func (s MakeDir) Where() string { return s.Path }

// Compare implements Step.
func (s MakeDir) Compare(h plan.Host) plan.Work {
	switch seen := h.Look(s.Path); seen.Kind {
	case resource.Absent:
		return s.make(missingDirs(h, s.Path))
	case resource.Directory:
		return s.keep(h, seen)
	case resource.Unreadable:
		return plan.Work{State: plan.Unknown, Detail: seen.Error}
	default:
		return plan.Work{State: plan.Conflict, Refused: plan.NotOurs, Detail: fmt.Sprintf("it is a %s, not a directory", seen.Kind)}
	}
}

func (s MakeDir) make(dirs []string) plan.Work {
	w := plan.Work{State: plan.New, Do: func(context.Context, *plan.Node) (plan.Outcome, error) {
		return plan.Outcome{}, makeDirs(dirs, s.Mode)
	}}
	for _, dir := range dirs {
		made := resource.Claim{Resource: resource.Resource{Kind: resource.Dir, Key: dir}, Mode: 0o755}
		if dir == s.Path {
			made.Mode = s.Mode
			if s.Tree {
				made.Kind = resource.Tree
			}
		}
		w.Makes = append(w.Makes, made)
	}
	return w
}

// keep records whose a directory is that is there.
func (s MakeDir) keep(h plan.Host, seen resource.Seen) plan.Work {
	w := plan.Work{State: plan.Unchanged}
	o, ours := h.At(s.Path)
	switch {
	case ours && o.Done:
		return w
	case ours && (!s.Tree || len(seen.Names) == 0): // we were killed after making it
		w.Makes = []resource.Claim{o}
		return w
	}
	// A tree with something in it is not ours if the journal does not know that we had made it:
	// nothing is put there before it does.
	if _, known := h.History.Before[s.Path]; !known {
		w.Makes = []resource.Claim{{Resource: resource.Resource{Kind: resource.Dir, Key: s.Path}, Existed: true}}
	}
	for _, prefix := range s.Entries {
		made := resource.Claim{Resource: resource.EntriesOf(s.Path, prefix)}
		// If that was only meant, nothing of ours is there yet, and what is there now is not ours.
		if o, ours := h.Claim(made.Resource); ours && o.Done {
			continue
		}
		for _, name := range seen.Names {
			if strings.HasPrefix(name, prefix) {
				made.Except = append(made.Except, name)
			}
		}
		w.Makes = append(w.Makes, made)
	}
	return w
}

// makeDirs makes directories, outermost first; the last gets mode. One that was made meanwhile is kept.
func makeDirs(dirs []string, mode fs.FileMode) error {
	for i, dir := range dirs {
		m := fs.FileMode(0o755)
		if i == len(dirs)-1 {
			m = mode
		}
		err := durable.Mkdir(dir, m)
		if errors.Is(err, fs.ErrExist) {
			continue // by a phase that runs beside this one, whose intent is as good as ours
		}
		if err != nil {
			return fmt.Errorf("cannot make %s: %s", dir, resource.Cause(err))
		}
		if err := durable.SyncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// WriteFile writes a file whose bytes are known when the plan is made.
type WriteFile struct {
	Path   string      `json:"path"`
	Mode   fs.FileMode `json:"mode"`
	Data   []byte      `json:"-"`
	Secret bool        `json:"secret,omitempty"` // never print Data
	// Editable says that a user may mend the file by hand while the node is not set up: what
	// diagnoses of failures advise. The edit is kept and becomes ours, as long as Data is what it was.
	Editable bool `json:"editable,omitempty"`
}

// Kind implements Step.
func (WriteFile) Kind() string { return "WriteFile" }

// Describe implements Step.
func (s WriteFile) Describe() string {
	return fmt.Sprintf("write %s (%04o, %d bytes)", s.Path, s.Mode, len(s.Data))
}

// Where is the path.
func (s WriteFile) Where() string { return s.Path }

// Public is the file, unless it is a secret.
func (s WriteFile) Public() (plan.File, bool) {
	return plan.File{Path: s.Path, Data: s.Data}, !s.Secret
}

// MarshalJSON writes the content as text, unless it is a secret.
func (s WriteFile) MarshalJSON() ([]byte, error) {
	type plain WriteFile
	content := redact.Mark
	if !s.Secret {
		content = redact.Text(string(s.Data))
	}
	return json.Marshal(struct {
		plain
		Content string `json:"content"`
	}{plain(s), content})
}

// Compare implements Step.
func (s WriteFile) Compare(h plan.Host) plan.Work {
	seen := h.Look(s.Path)
	switch seen.Kind {
	case resource.Absent:
		return s.write(plan.New)
	case resource.Unreadable:
		return plan.Work{State: plan.Unknown, Detail: seen.Error}
	case resource.Regular:
	default:
		return plan.Work{State: plan.Conflict, Refused: plan.NotOurs, Detail: fmt.Sprintf("it is a %s, not a file", seen.Kind)}
	}
	o, ours := h.At(s.Path)
	switch {
	case bytes.Equal(seen.Data, s.Data) && ours && o.Done && seen.Mode != s.Mode:
		w := s.write(plan.Changed)
		w.Detail = fmt.Sprintf("mode %04o, wanted %04o", seen.Mode, s.Mode)
		return w
	case bytes.Equal(seen.Data, s.Data):
		return found(h, s.Path, seen)
	}
	w := plan.Work{State: plan.Conflict, Diff: s.diff(seen.Data)}
	switch {
	case ours && s.Editable && o.Edited(seen.SHA256, resource.Sum(s.Data)):
		return plan.Work{State: plan.Unchanged, Detail: "it was edited by hand, and stays as it is"}
	case ours && s.Editable && !h.History.SetUp && !o.Wrote(seen.SHA256) && cmp.Or(o.Edits, o.SHA256) == resource.Sum(s.Data):
		file := resource.Resource{Kind: resource.File, Key: s.Path}
		made := resource.Claim{Resource: file, SHA256: seen.SHA256, Mode: seen.Mode, Edits: resource.Sum(s.Data)}
		return plan.Work{State: plan.Unchanged, Detail: "it was edited by hand, and stays as it is", Makes: []resource.Claim{made}}
	case !ours:
		w.Refused, w.Detail = plan.NotOurs, "it is there already, with other content, and kubecrank did not write it"
	case !o.Wrote(seen.SHA256):
		w.Refused, w.Detail = plan.NotOurs, "it was changed by hand since kubecrank wrote it"
	case h.History.SetUp:
		w.Refused, w.Detail = plan.OtherConfig, "it would change"
	default:
		changed := s.write(plan.Changed)
		changed.Diff = w.Diff
		return changed
	}
	return w
}

func (s WriteFile) write(state plan.State) plan.Work {
	return plan.Work{State: state, Files: func(plan.Host) ([]durable.File, error) {
		return []durable.File{{Path: s.Path, Data: s.Data, Mode: s.Mode}}, nil
	}}
}

func (s WriteFile) diff(old []byte) string {
	if s.Secret {
		return ""
	}
	before, after := redact.Pair(string(old), string(s.Data))
	return string(diff.Diff(s.Path+" (on this machine)", []byte(before), s.Path+" (planned)", []byte(after)))
}

// found is the Work of files that are there and good: ours, or somebody else's
// that we use and that reset leaves.
func found(h plan.Host, path string, seen resource.Seen) plan.Work {
	w := plan.Work{State: plan.Unchanged}
	o, ours := h.At(path)
	_, known := h.History.Before[path]
	switch {
	case ours && o.Wrote(seen.SHA256):
		if !o.Done { // we were killed after writing it
			w.Makes = []resource.Claim{o}
		}
	case !known && !ours:
		w.Makes = []resource.Claim{{Resource: resource.Resource{Kind: resource.File, Key: path}, SHA256: seen.SHA256, Existed: true}}
	}
	return w
}

// modifiable says whether a file may be replaced: it is ours, as we wrote it,
// and the node is not set up yet.
func modifiable(h plan.Host, path string, seen resource.Seen) bool {
	o, ours := h.At(path)
	return ours && !h.History.SetUp && o.Wrote(seen.SHA256)
}
