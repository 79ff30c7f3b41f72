package facts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/manifests/config/strictyaml"
)

// PatchesError says that the directory of the patches cannot be read (exit code 2).
type PatchesError struct {
	Path string
	Err  error
}

func (e *PatchesError) Error() string {
	return fmt.Sprintf("cannot read the patches in %s: %s", e.Path, reason(e.Err))
}
func (e *PatchesError) Unwrap() error { return e.Err }

// Hint is the remedy.
func (e *PatchesError) Hint() string {
	return "give a directory that this user can read, with files such as kube-apiserver0+merge.yaml"
}

// ReadPatches reads the files of a directory and of those below it, in the order of
// their names, as kubeadm does (getPatchSetsFromPath in cmd/kubeadm/app/util/patches). "" holds none.
func ReadPatches(dir string) ([]manifests.Patch, error) {
	if dir == "" {
		return nil, nil
	}
	info, err := os.Lstat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return nil, &PatchesError{Path: dir, Err: err}
	}
	var patches []manifests.Patch
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if len(patches) == maxEntries {
			return fmt.Errorf("it holds more than %d files", maxEntries)
		}
		data, err := readPatch(path)
		if err != nil {
			return fmt.Errorf("%s: %s", entry.Name(), reason(err))
		}
		patches = append(patches, manifests.Patch{Name: entry.Name(), Data: data})
		return nil
	})
	if err != nil {
		return nil, &PatchesError{Path: dir, Err: err}
	}
	return patches, nil
}

// readPatch reads no more than what makes a file too large for a patch. A pipe or a device would never end.
func readPatch(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, strictyaml.MaxSize+1))
}
