package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// MakeVolume makes the directory or the empty file that a hostPath volume wants to be there (DirectoryOrCreate, FileOrCreate).
// What is there already is used as it is: the runtime compares it with the volume's type. Reset removes a directory that is empty, and
// a file that still is.
type MakeVolume struct {
	Path string `json:"path"`
	File bool   `json:"file,omitempty"`
	// For are the pods that mount it.
	For []string `json:"for"`
}

// Kind implements Step.
func (MakeVolume) Kind() string { return "MakeVolume" }

// Describe implements Step.
func (s MakeVolume) Describe() string {
	if s.File {
		return fmt.Sprintf("make the empty file %s for a volume (%04o)", s.Path, volumeFileMode)
	}
	return fmt.Sprintf("make directory %s for a volume (%04o)", s.Path, volumeDirMode)
}

// Where is the path.
func (s MakeVolume) Where() string { return s.Path }

// The modes are those of the kubelet (pkg/volume/hostpath).
const (
	volumeDirMode  fs.FileMode = 0o755
	volumeFileMode fs.FileMode = 0o644
)

// Compare implements Step.
func (s MakeVolume) Compare(h plan.Host) plan.Work {
	switch seen := h.Look(s.Path); seen.Kind {
	case resource.Absent:
	case resource.Unreadable:
		return plan.Work{State: plan.Unknown, Detail: seen.Error}
	default:
		w := plan.Work{State: plan.Unchanged}
		if o, ours := h.At(s.Path); ours && !o.Done { // we were killed after making it
			w.Makes = []resource.Claim{o}
		}
		return w
	}
	dirs := missingDirs(h, s.Path)
	if s.File {
		dirs = missingDirs(h, filepath.Dir(s.Path))
	}
	w := plan.Work{State: plan.New}
	for _, dir := range dirs {
		w.Makes = append(w.Makes, resource.Claim{Resource: resource.Resource{Kind: resource.Dir, Key: dir}, Mode: volumeDirMode})
	}
	if s.File {
		file := resource.Resource{Kind: resource.File, Key: s.Path}
		w.Makes = append(w.Makes, resource.Claim{Resource: file, Mode: volumeFileMode, SHA256: resource.Sum(nil)})
	}
	w.Do = func(context.Context, *plan.Node) (plan.Outcome, error) {
		if err := makeDirs(dirs, volumeDirMode); err != nil || !s.File {
			return plan.Outcome{}, err
		}
		return plan.Outcome{}, makeEmptyFile(s.Path)
	}
	return w
}

func makeEmptyFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, volumeFileMode)
	if errors.Is(err, fs.ErrExist) {
		return nil // by a supervisor that has seen the manifest
	}
	if err == nil {
		err = errors.Join(f.Chmod(volumeFileMode), f.Close())
	}
	if err != nil {
		return fmt.Errorf("cannot make %s: %s", path, resource.Cause(err))
	}
	return durable.SyncDir(filepath.Dir(path))
}
