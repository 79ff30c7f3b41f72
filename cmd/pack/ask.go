package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubecrank/kubecrank/runtime/flagcheck"
)

// askLimit bounds all questions to the components. They take a second together.
const askLimit = 2 * time.Minute

// ask starts the components, all at once, and returns what flags they have. Nothing else in kubecrank starts a component to
// learn something of it.
func ask(path string) (flagcheck.Set, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	names := []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
	found := make([]flagcheck.Component, len(names))
	group, ctx := errgroup.WithContext(ctx)
	for i, name := range names {
		group.Go(func() (err error) {
			if found[i], err = (program{ctx, name, path}).describe(); err != nil {
				err = fmt.Errorf("cannot ask %s for its flags: %w", name, err)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	set := flagcheck.Set{}
	for i, name := range names {
		set[name] = found[i]
	}
	return set, nil
}

// program is one program of the multi-call binary.
type program struct {
	ctx        context.Context
	name, path string
}

func (p program) describe() (flagcheck.Component, error) {
	stdout, stderr, err := p.run("--help")
	if err != nil {
		return flagcheck.Component{}, err
	}
	c := flagcheck.ReadHelp(stdout + stderr)
	var hidden []string
	if strings.HasPrefix(p.name, "kube-") {
		// It logs all its flags, hidden ones too, and then refuses these values, before it has done anything.
		refused := []string{"--v=1", "--secure-port=99999"}
		if p.name == "kube-apiserver" {
			refused = append(refused, "--service-cluster-ip-range=none")
		}
		_, log, err := p.run(refused...)
		if err == nil {
			return c, errors.New("it did not refuse --secure-port=99999")
		}
		hidden = c.ReadAll(log)
	}
	stdout, stderr, err = p.run(append(hidden, "--version=true")...)
	if err != nil {
		return c, fmt.Errorf("%w: %s", err, stderr)
	}
	c.ReadVersion(stdout, stderr)
	if c.Version == "" || len(c.Flags) == 0 {
		return c, errors.New("it tells no version or no flags")
	}
	return c, nil
}

// run starts the program without an environment; the error is also that of its exit code.
func (p program) run(args ...string) (stdout, stderr string, err error) {
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(p.ctx, p.path)
	cmd.Args = append([]string{p.name}, args...)
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = cmd.Run()
	return out.String(), problems.String(), err
}
