//go:build oracle

package kubeadm

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// side is what one of the two programs has written, by absolute path.
type side struct {
	started time.Time
	pki     string // the certificates' directory
	files   map[string]written
	dirs    map[string]fs.FileMode // nil: directories are not compared
}

type written struct {
	data []byte
	mode fs.FileMode
}

// read adds all that is below dir, under the names that rename gives.
func (s *side) read(t *testing.T, dir string, rename func(name string) string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if s.dirs != nil {
				s.dirs[rename(name)] = info.Mode().Perm()
			}
			return nil
		}
		data, err := os.ReadFile(path)
		s.files[rename(name)] = written{data: data, mode: info.Mode().Perm()}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// inPKI is the name of a file in the certificates' directory, or "".
func (s *side) inPKI(path string) string {
	name, ok := strings.CutPrefix(path, s.pki+"/")
	if !ok {
		return ""
	}
	return name
}

func (s *side) isManifest(path string) bool { return filepath.Dir(path)+"/" == manifestsDir }
