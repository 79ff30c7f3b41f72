package resource

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/kubecrank/kubecrank/durable"
	"github.com/kubecrank/kubecrank/pathname"
)

// fileHandler removes a file whose bytes are still ours, and what a killed write of it left.
func fileHandler() handler {
	return handler{
		describe: func(path string) string { return "remove " + path },
		check: func(root string, c Claim) error {
			if c.SHA256 == Sum(nil) { // what a volume wants elsewhere; it goes only if it is empty still
				root = ""
			}
			return checkPath(root, c.Key)
		},
		compare: func(c Claim, look func(string) Seen) Finding {
			switch seen := look(c.Key); {
			case seen.Kind == Unreadable:
				return Finding{Unseen, seen.Error}
			case seen.Kind == Regular && !c.Wrote(seen.SHA256):
				return Finding{Foreign, ChangedByHand}
			}
			return Finding{Condition: Present} // one that is gone may have left the beginnings of a write
		},
		undo: func(_ context.Context, root string, c Claim) error {
			return withRemover(root, func(r *Remover) error { return r.File(c.Key, c.Wrote) })
		},
	}
}

// checkPath keeps a journal that somebody else could write from making reset, run as root, remove anything outside
// the root it is run for.
func checkPath(root, path string) error {
	switch clean := filepath.Clean(path); {
	case !filepath.IsAbs(path) || strings.ContainsRune(path, 0):
		return fmt.Errorf("path %q is not absolute", path)
	case clean == "/":
		return errors.New("it claims the root directory")
	case root != "" && !pathname.Below(root, clean):
		return fmt.Errorf("path %q is outside %s", path, root)
	}
	return nil
}

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
