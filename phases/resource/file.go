package resource

import (
	"path/filepath"

	"github.com/kubecrank/kubecrank/durable"
)

// WriteFiles writes files, after removing what an earlier write of them left when it was killed.
func WriteFiles(files []durable.File) error {
	names := make(map[string][]string)
	for _, f := range files {
		names[filepath.Dir(f.Path)] = append(names[filepath.Dir(f.Path)], filepath.Base(f.Path))
	}
	for dir, base := range names {
		if err := durable.SweepDir(dir, base...); err != nil {
			return err
		}
	}
	return durable.WriteFiles(files)
}
