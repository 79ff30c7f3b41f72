package supervisor

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// anchorPeriod is how often the lock file is looked at. An unlink of an open file has no event on its directory once
// that is gone too, and a look costs a microsecond.
const anchorPeriod = time.Second

// watchAnchor stops all pods in order once the lock file is not the one that this supervisor holds: somebody removed
// the root, or put another one in its place. Without it no verb finds this supervisor, and a second one can start.
func (s *supervisor) watchAnchor(ctx context.Context, lock *os.File) {
	for sleepUntil(ctx, time.Now().Add(anchorPeriod)) {
		if heldAt(lock, s.opts.LockPath) {
			continue
		}
		s.history.add("", runtime.Event{Type: runtime.Warning, Reason: runtime.ReasonKilling,
			Message: fmt.Sprintf("The lock %s is gone: its directory was removed", s.opts.LockPath)})
		s.requestStop()
		return
	}
}

// heldAt says whether the open file is the one at path. A path that cannot be looked at counts as the same.
func heldAt(f *os.File, path string) bool {
	held, err := f.Stat()
	if err != nil {
		return true
	}
	there, err := os.Lstat(path)
	if err != nil {
		return !gone(err)
	}
	return os.SameFile(held, there)
}

// awaitStop passes on a stop that is asked for from within the process, as a signal does: it needs no socket.
func (s *supervisor) awaitStop(ctx context.Context) {
	select {
	case <-s.opts.Stop:
		s.requestStop()
	case <-ctx.Done():
	}
}
