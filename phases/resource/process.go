package resource

import (
	"context"
	"errors"
)

// processHandler is for the supervisor. reset stops it before it removes anything, with the step StopSupervisor,
// which knows how to ask it.
func processHandler() handler {
	return handler{
		describe: func(string) string { return "stop all pods in reverse start order, then the supervisor" },
		check:    func(root string, c Claim) error { return checkPath(root, c.Key) },
		compare:  func(Claim, func(string) Seen) Finding { return Finding{Condition: Present} },
		undo: func(context.Context, string, Claim) error {
			return errors.New("cannot stop the supervisor: only the step StopSupervisor can")
		},
	}
}
