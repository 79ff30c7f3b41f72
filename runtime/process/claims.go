package process

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/procfs"
)

// rootID names an installation in markers and cgroups.
func rootID(root string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(root)))
	return hex.EncodeToString(sum[:8])
}

// Claim is a process whose environment says that it belongs to a container.
type Claim struct {
	PID, UID       int
	Pod, Container string
}

// Claims lists the processes that say they belong to containers of a root, "" for the host. Any user can write that
// into an environment, so it proves nothing: it is for a person to read. Nothing ever gets a signal because of it.
func Claims(root string) ([]Claim, error) {
	if root == "" {
		root = "/"
	}
	pids, err := procfs.PIDs()
	if err != nil {
		return nil, err
	}
	prefix := rootID(root) + "/"
	var found []Claim
	for _, pid := range pids {
		text, err := procfs.Getenv(pid, markerVar)
		rest, ours := strings.CutPrefix(text, prefix)
		if err != nil || !ours || pid == os.Getpid() {
			continue
		}
		f := strings.Split(rest, "/") // namespace, pod, UID, container, ...
		if len(f) < 4 {
			continue
		}
		status, err := procfs.ReadStatus(pid)
		if err != nil {
			continue
		}
		uids, err := status.UIDs()
		if err != nil {
			continue
		}
		found = append(found, Claim{PID: pid, UID: uids[1], Pod: f[1], Container: f[3]})
	}
	slices.SortFunc(found, func(a, b Claim) int { return a.PID - b.PID })
	return found, nil
}
