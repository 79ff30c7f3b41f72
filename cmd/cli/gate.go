package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/trust"
)

// trustOwner is the flag that widens the gate. It is taken from the command line and the environment alone.
const trustOwner = "trust-owner"

// nodeless is the annotation of a verb that reads nothing of a node.
const nodeless = "kubecrank.dev/nodeless"

func nodelessVerb() map[string]string { return map[string]string{nodeless: "true"} }

func isNodeless(cmd *cobra.Command) bool {
	return cmd.Annotations[nodeless] != "" || cmd.Name() == "help"
}

// owners are the users whose files this run believes.
func (a *app) owners() trust.Owners {
	var also []uint32
	for _, uid := range a.global.trustOwners {
		also = append(also, uint32(uid))
	}
	return trust.Caller(also...)
}

// gate refuses a node on which another user than root and the caller could have
// written what a verb is going to believe. It runs before any verb reads
// anything, and again where a verb begins to act on what it read.
func (a *app) gate() error {
	owners, paths := a.owners(), config.PathsBelow(a.global.root)
	a.fresh = false
	if a.global.root != "" {
		place, err := owners.Open(a.global.root)
		if err != nil {
			return err
		}
		a.fresh = place.Open
		_ = place.File.Close() // opened for its path alone
	}
	for _, path := range []string{
		paths.State, paths.Journal, paths.SupervisorConfig, paths.PodState, paths.Components,
		paths.Run, paths.Manifests, paths.PKI,
	} {
		if err := owners.Check(path); err != nil {
			return err
		}
	}
	check := owners.Check
	if a.global.root == "" {
		check = owners.CheckShared
	}
	if err := check(paths.PodLogs); err != nil {
		return err
	}
	return a.gateEntries(paths.Manifests, paths.Components)
}

// gateEntries checks each entry of a directory: a manifest that was moved there still belongs to the user who wrote it.
func (a *app) gateEntries(dirs ...string) error {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // it is missing, or closed to the caller: there is nothing to believe
		}
		for _, e := range entries {
			err := a.owners().Check(filepath.Join(dir, e.Name()))
			if errors.As(err, new(*trust.Error)) {
				return err // what else is wrong with an entry, its reader reports
			}
		}
	}
	return nil
}

// gateAgain is the gate under the lock. A root that was missing from a directory such as /tmp can have been made by
// another user since, so what was seen of it must be nothing.
func (a *app) gateAgain(seen facts.Facts) error {
	fresh := a.fresh
	if err := a.gate(); err != nil {
		return err
	}
	if !fresh {
		return nil
	}
	for path, s := range seen.Files {
		if s.Kind != resource.Absent && strings.HasPrefix(path, a.global.root+"/") {
			err := fmt.Errorf("cannot trust %s: %s appeared while this run began: %w", a.global.root, path, fs.ErrExist)
			return hint.With(&refusedError{err: err}, "look at who made it, and run this again")
		}
	}
	return nil
}
