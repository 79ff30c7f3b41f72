package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime/expand"
)

// command runs a command in the container: exit code 0 is healthy (pkg/probe/exec). $(NAME) stands for variables
// whose values are written in the manifest, and only for those (container/helpers.go: ExpandContainerCommandOnlyStatic).
func command(action *corev1.ExecAction, target Target) (Check, error) {
	if target.Exec == nil {
		return nil, errors.New("commands cannot be run in this container")
	}
	vars := make(map[string]string)
	if target.Container != nil {
		for _, e := range target.Container.Env {
			vars[e.Name] = e.Value
		}
	}
	argv, err := expand.All("exec.command", action.Command, vars)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		begin := time.Now()
		output, code, err := target.Exec.Exec(ctx, argv)
		switch {
		case err == nil && code == 0:
			return nil
		case err == nil:
			return &Failure{Message: string(output)}
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return &Failure{
				Message: fmt.Sprintf("command timed out: %q timed out after %s", strings.Join(argv, " "), timeout(ctx, begin)),
				Detail:  string(output),
			}
		}
		return err
	}, nil
}

// timeout is what the caller must have set, to the millisecond, when the check began.
func timeout(ctx context.Context, begin time.Time) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return deadline.Sub(begin).Round(10 * time.Millisecond)
}
