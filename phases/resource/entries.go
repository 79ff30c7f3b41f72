package resource

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// EntriesOf are what components put into a directory under names that begin with prefix.
func EntriesOf(dir, prefix string) Resource {
	return Resource{Entries, strings.TrimSuffix(dir, "/") + "/" + prefix}
}

// entriesHandler removes what came into a directory after us. The directory was there before.
func entriesHandler() handler {
	return handler{
		describe: func(key string) string { return "remove " + key + "* with all that is in it" },
		check:    func(root string, c Claim) error { return checkPath(root, c.Key) },
		compare: func(c Claim, _ func(string) Seen) Finding {
			if !c.Done {
				return Finding{Missing, "nothing was put there"}
			}
			return Finding{Condition: Present}
		},
		undo: func(_ context.Context, root string, c Claim) error {
			return withRemover(root, func(r *Remover) error { return r.entries(c) })
		},
	}
}

func (r *Remover) entries(c Claim) error {
	dir, prefix := filepath.Split(c.Key)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return CannotRemove(c.Key+"*", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || slices.Contains(c.Except, e.Name()) {
			continue
		}
		if err := r.Tree(filepath.Join(dir, e.Name()), nil); err != nil {
			return err
		}
	}
	return nil
}
