package cli

import (
	"errors"
	"fmt"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/phases"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
	"github.com/kubecrank/kubecrank/trust"
)

// ExitCode is how the program ends. Scripts rely on the numbers.
type ExitCode int

// The exit codes.
const (
	ExitDone      ExitCode = 0 // done
	ExitFailed    ExitCode = 1 // failed
	ExitUsage     ExitCode = 2 // wrong usage or configuration
	ExitPreflight ExitCode = 3 // a preflight check failed
	ExitUnhealthy ExitCode = 4 // a component did not become healthy
	ExitRefused   ExitCode = 5 // it would destroy, overwrite or trust something that is not ours
	// ExitInterrupted is 128 + SIGINT, as a shell says it.
	ExitInterrupted ExitCode = 130
)

// exitError ends the program with a code and prints nothing: the result on stdout has told the user already
// (status of a node that is not ready).
type exitError struct{ code ExitCode }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// refusedError is what kubecrank does only if the user insists (--force), or not at all.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// exitCode is the one place where an error becomes an exit code.
func exitCode(err error) ExitCode {
	var (
		quiet   *exitError
		refused *refusedError
		notOurs *plan.RefusedError
		suspect *trust.Error
		usage   *usageError
		noPhase *phases.UnknownPhaseError
		noCert  *phases.UnknownCertificateError
		patch   *manifests.PatchError
		patches *facts.PatchesError
		pod     *phases.ManifestError
		checks  *plan.PreflightError
		sick    *steps.NotHealthyError
		stopped *interruptedError
	)
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &quiet):
		return quiet.code
	case errors.As(err, &stopped):
		return ExitInterrupted
	case errors.As(err, &refused), errors.As(err, &notOurs), errors.As(err, &suspect):
		return ExitRefused
	case errors.As(err, &usage), errors.As(err, &noPhase), errors.As(err, &noCert),
		errors.As(err, &patch), errors.As(err, &patches), errors.As(err, &pod):
		return ExitUsage
	case errors.As(err, &checks):
		return ExitPreflight
	case errors.As(err, &sick):
		return ExitUnhealthy
	}
	return ExitFailed
}
