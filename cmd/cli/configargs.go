package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/manifests/config/strictyaml"
	"github.com/kubecrank/kubecrank/runtime/flagcheck"
	"github.com/kubecrank/kubecrank/runtime/payload"
)

// askLimit bounds all questions to the components together. They take 0.1 s each.
const askLimit = 10 * time.Second

// asked is a component that has extra arguments.
type asked struct {
	name    string // "kube-apiserver"
	field   string // "apiServer.extraArgs"
	version string // of the component that the configuration wants: "1.36.3"
	args    []config.Arg
}

// argProblems asks the components that init would run whether they take their
// extraArgs. errs are those of the configuration found so far: an argument with
// an error is not asked about. Whatever could not be asked is a warning.
func (a *app) argProblems(ctx context.Context, cfg config.Config, errs []error) (problems []error, warnings []string) {
	bad := map[string]bool{}
	for _, err := range errs {
		if field := (*config.FieldError)(nil); errors.As(err, &field) {
			bad[field.Field] = true
		}
	}
	var all []asked
	for _, c := range extraArgs(cfg) {
		if len(c.args) > 0 {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	find, done, err := a.programs(ctx, cfg)
	if err != nil {
		return nil, []string{notAsked("extraArgs", err)}
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	found := make([]struct {
		problems []error
		warnings []string
	}, len(all))
	var group errgroup.Group
	for i, c := range all {
		group.Go(func() error {
			found[i].problems, found[i].warnings = c.ask(ctx, flagcheck.Program{Name: c.name, Path: find(c.name)}, bad)
			return nil
		})
	}
	_ = group.Wait() // no function returns an error
	for _, f := range found {
		problems, warnings = append(problems, f.problems...), append(warnings, f.warnings...)
	}
	return problems, warnings
}

// extraArgs are the arguments of all components that a configuration runs.
func extraArgs(cfg config.Config) []asked {
	version := strings.TrimPrefix(cfg.KubernetesVersion, "v")
	all := []asked{
		{manifests.APIServer, "apiServer.extraArgs", version, cfg.APIServer.ExtraArgs},
		{manifests.ControllerManager, "controllerManager.extraArgs", version, cfg.ControllerManager.ExtraArgs},
		{manifests.Scheduler, "scheduler.extraArgs", version, cfg.Scheduler.ExtraArgs},
	}
	if cfg.Etcd.External == nil {
		etcd := asked{manifests.Etcd, "etcd.local.extraArgs", cfg.EtcdImageTag(), cfg.Etcd.ExtraArgs}
		all = append([]asked{etcd}, all...)
	}
	return all
}

// programs tells the path of each component, as init would run it: of
// --components-dir, of the payload (as it is staged, or else unpacked into
// memory until done is called), or in the lean build of PATH.
func (a *app) programs(ctx context.Context, cfg config.Config) (find func(name string) string, done func(), err error) {
	nothing := func() {}
	p, embedded := payload.Embedded()
	if a.global.componentsDir != "" || !embedded {
		located, err := payload.Locate(a.global.componentsDir)
		return func(name string) string { return located[name] }, nothing, err
	}
	staged, err := payload.Locate(filepath.Join(cfg.Paths().Components, p.Digest()))
	if err == nil {
		return func(name string) string { return staged[name] }, nothing, nil
	}
	file, err := p.Memory(ctx)
	if err != nil {
		return nil, nothing, err
	}
	path := "/proc/self/fd/" + strconv.Itoa(int(file.Fd()))
	return func(string) string { return path }, func() { _ = file.Close() }, nil // it was only read
}

// ask returns what one component refuses.
func (c asked) ask(ctx context.Context, program flagcheck.Program, bad map[string]bool) (problems []error, warnings []string) {
	var args []string
	var indexes []int // of the arguments in extraArgs
	for i, arg := range c.args {
		if !bad[c.at(i)] {
			args, indexes = append(args, "--"+arg.Name+"="+arg.Value), append(indexes, i)
		}
	}
	answer, err := program.Check(ctx, args)
	if err != nil {
		return nil, []string{notAsked(c.field, err)}
	}
	if minor(answer.Version) != minor(c.version) {
		return nil, []string{fmt.Sprintf("%s was not checked: the %s here is %s, the configuration is for %s",
			c.field, c.name, answer.Version, c.version)}
	}
	for _, text := range answer.Deprecated {
		warnings = append(warnings, c.field+": "+text)
	}
	for _, refused := range answer.Refused {
		i := indexes[refused.Index]
		problems = append(problems, c.problem(i, refused, answer))
	}
	return problems, warnings
}

func (c asked) at(i int) string { return fmt.Sprintf("%s[%d]", c.field, i) }

// problem says what a component has against an argument.
func (c asked) problem(i int, refused flagcheck.Refusal, answer flagcheck.Answer) error {
	arg := c.args[i]
	if !refused.Unknown {
		return &config.FieldError{Field: c.at(i), Value: arg.Name + "=" + arg.Value,
			Problem: fmt.Sprintf("%s %s does not take it: %s", c.name, answer.Version, refused.Problem), Remedy: "Correct the value."}
	}
	remedy := fmt.Sprintf("Take it out: %s --help lists the flags.", c.name)
	if near := strictyaml.Nearest(arg.Name, answer.Flags); near != "" {
		remedy = fmt.Sprintf("Did you mean %q?", near)
	}
	return &config.FieldError{Field: c.at(i), Value: arg.Name,
		Problem: fmt.Sprintf("%s %s has no such flag", c.name, answer.Version), Remedy: remedy}
}

// notAsked is the warning for what could not be found out.
func notAsked(field string, err error) string {
	return fmt.Sprintf("%s was not checked, no component was asked: %v", field, err)
}

// minor is the part of a version that decides on flags: "1.36" of 1.36.3.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
