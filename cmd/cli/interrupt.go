package cli

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/kubecrank/kubecrank/cmd/launch"
	"github.com/kubecrank/kubecrank/runtime"
)

// interruptedError is a run that a signal ended.
type interruptedError struct {
	verb string
	goOn []goesOn // the supervisor first; none if no supervisor answers
}

// goesOn is a process that keeps running after a verb was interrupted.
type goesOn struct {
	Name  string           `json:"name"`            // "supervisor", or of a pod
	PID   int              `json:"pid,omitempty"`   // none while nothing of it runs
	State runtime.PodState `json:"state,omitempty"` // of a pod
}

func (e *interruptedError) Error() string {
	text := "cannot finish " + e.verb + ": it was interrupted"
	if len(e.goOn) == 0 {
		return text + "; no supervisor answers"
	}
	var names []string
	for _, p := range e.goOn[1:] {
		pid := ""
		if p.PID != 0 {
			pid = fmt.Sprintf("PID %d, ", p.PID)
		}
		names = append(names, fmt.Sprintf("%s (%s%s)", p.Name, pid, p.State))
	}
	text += fmt.Sprintf("\n  what goes on: the supervisor (PID %d)", e.goOn[0].PID)
	if len(names) == 0 {
		return text + ", which has no pods"
	}
	return text + " and its pods " + strings.Join(names, ", ")
}

// Hint says how to stop what goes on without a reset.
func (e *interruptedError) Hint() string {
	if len(e.goOn) == 0 {
		return ""
	}
	return fmt.Sprintf("'kill -INT %d' stops the pods and then the supervisor, and keeps all data", e.goOn[0].PID)
}

// interruptible returns a context that the first SIGINT or SIGTERM ends. The second one ends this program at once.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// untilInterrupted runs a verb that changes the machine. If a signal ends it, the error says what goes on running.
func (a *app) untilInterrupted(ctx context.Context, verb string, do func(context.Context) error) error {
	live, stop := interruptible(ctx)
	defer stop()
	told := context.AfterFunc(live, func() {
		if !a.global.quiet && a.stdio.isTerminal(a.stdio.Err) {
			fmt.Fprint(a.stdio.Err, clearLine+"Interrupted; Ctrl-C again ends at once."+showCursor+"\n")
		}
	})
	defer told()
	err := do(live)
	if err == nil || live.Err() == nil {
		return err
	}
	e := &interruptedError{}
	if !errors.As(err, &e) {
		*e = interruptedError{verb: verb}
		err = e
	}
	e.goOn = a.whatGoesOn(ctx)
	return err
}

// answerPoll is how often a supervisor is asked that does not answer yet.
const answerPoll = 50 * time.Millisecond

// whatGoesOn asks the supervisor. One that has only just been started needs a moment to answer.
func (a *app) whatGoesOn(ctx context.Context) []goesOn {
	ctx, cancel := context.WithTimeout(ctx, launch.AnswerTimeout)
	defer cancel()
	st, err := a.client().Status(ctx)
	for errors.Is(err, runtime.ErrNotRunning) && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(answerPoll):
		}
		st, err = a.client().Status(ctx)
	}
	if err != nil {
		return nil
	}
	all := []goesOn{{Name: "supervisor", PID: st.Supervisor.PID}}
	for _, p := range st.Pods {
		all = append(all, goesOn{p.Name, p.PID, p.State})
	}
	return all
}
