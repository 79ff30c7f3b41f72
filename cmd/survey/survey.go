// Package survey finds what runs of a root without its journal, which may be lost or damaged, or removed by hand.
package survey

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/runtime/process"
	"github.com/kubecrank/kubecrank/runtime/supervisor"
)

// Found is what runs of a root.
type Found struct {
	answers     int   // PID of the supervisor behind the socket; 0 for none
	supervisors []int // that hold the lock, or held it until it was removed
	// Claims are processes whose environment names this root. Another user can forge that, so only a supervisor that
	// finds their records stops them.
	Claims []process.Claim
}

// Look looks at the socket and at all processes. It changes nothing.
func Look(ctx context.Context, root string) (Found, error) {
	var f Found
	paths := config.PathsBelow(root)
	st, err := supervisor.NewClient(paths.Socket).Status(ctx)
	if silent := (*supervisor.SilentError)(nil); errors.As(err, &silent) {
		f.answers = silent.PID
	} else if err == nil {
		f.answers = st.Supervisor.PID
	}
	if f.supervisors, err = supervisor.Find(paths.SupervisorLock); err != nil {
		return f, err
	}
	f.Claims, err = process.Claims(root)
	return f, err
}

// Runs says whether anything runs. A claim counts only if the process is this user's: otherwise another user could stop
// every init and reset with a forged claim.
func (f Found) Runs() bool {
	return f.answers != 0 || len(f.supervisors) > 0 ||
		slices.ContainsFunc(f.Claims, func(c process.Claim) bool { return c.UID == os.Geteuid() })
}

// Lines names what runs, a line each.
func (f Found) Lines() []string {
	var lines []string
	for _, pid := range f.All() {
		lines = append(lines, fmt.Sprintf("a supervisor of this root (PID %d)", pid))
	}
	pids := map[string][]string{} // by container
	var order []string
	for _, c := range f.Claims {
		name := fmt.Sprintf("container %s of pod %s", c.Container, c.Pod)
		if pids[name] == nil {
			order = append(order, name)
		}
		pids[name] = append(pids[name], fmt.Sprint(c.PID))
	}
	for _, name := range order {
		lines = append(lines, fmt.Sprintf("what says that it is %s (PID %s)", name, strings.Join(pids[name], ", ")))
	}
	return lines
}

// All returns the PIDs of the supervisors, each once.
func (f Found) All() []int {
	all := slices.Clone(f.supervisors)
	if f.answers != 0 && !slices.Contains(all, f.answers) {
		all = append(all, f.answers)
	}
	return all
}
