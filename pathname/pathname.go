// Package pathname compares absolute paths by their text. It never looks at a
// file system, so it knows no symbolic links: package trust does that.
package pathname

import (
	"path"
	"strings"
)

// Below reports whether p is dir, or lies in dir at any depth. Both are absolute and clean.
func Below(dir, p string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

// Rebase returns p moved below root, or p as it is if it lies there already.
// An empty root moves nothing. A relative p stays, so that a check can refuse it.
func Rebase(root, p string) string {
	if root == "" || !path.IsAbs(p) || Below(root, path.Clean(p)) {
		return p
	}
	return path.Join(root, path.Clean(p)) // Clean keeps .. from leaving the root
}
