// Package precheck asks, before anything is written, whether the components and the runtime take what a configuration says.
// It reads data alone: no program is started.
package precheck

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/manifests/config/strictyaml"
	"github.com/kubecrank/kubecrank/runtime/flagcheck"
)

// checkedArgs are the extraArgs of one component.
type checkedArgs struct {
	name    string // "kube-apiserver"
	field   string // "apiServer.extraArgs"
	version string // of the component that the configuration wants: "1.36.3"
	args    []config.Arg
}

// Args checks extraArgs against the flags that are known of the components. errs are
// those of the configuration found so far: an argument with an error is not
// checked. Whatever could not be checked is a warning.
func Args(cfg config.Config, known flagcheck.Set, errs []error) (problems []error, warnings []string) {
	bad := map[string]bool{}
	for _, err := range errs {
		if field := (*config.FieldError)(nil); errors.As(err, &field) {
			bad[field.Field] = true
		}
	}
	for _, c := range extraArgs(cfg) {
		if len(c.args) == 0 {
			continue
		}
		found, more := c.check(known, bad)
		problems, warnings = append(problems, found...), append(warnings, more...)
	}
	return problems, warnings
}

// extraArgs are the arguments of all components that a configuration runs.
func extraArgs(cfg config.Config) []checkedArgs {
	version := strings.TrimPrefix(cfg.KubernetesVersion, "v")
	all := []checkedArgs{
		{manifests.APIServer, "apiServer.extraArgs", version, cfg.APIServer.ExtraArgs},
		{manifests.ControllerManager, "controllerManager.extraArgs", version, cfg.ControllerManager.ExtraArgs},
		{manifests.Scheduler, "scheduler.extraArgs", version, cfg.Scheduler.ExtraArgs},
	}
	if cfg.Etcd.External == nil {
		etcd := checkedArgs{manifests.Etcd, "etcd.local.extraArgs", cfg.EtcdImageTag(), cfg.Etcd.ExtraArgs}
		all = append([]checkedArgs{etcd}, all...)
	}
	return all
}

// check returns what one component refuses.
func (c checkedArgs) check(known flagcheck.Set, bad map[string]bool) (problems []error, warnings []string) {
	component, ok := known[c.name]
	if !ok {
		return nil, []string{c.field + " was not checked: this build of kubecrank has no components inside, and does not know their flags"}
	}
	if minor(component.Version) != minor(c.version) {
		return nil, []string{fmt.Sprintf("%s was not checked: the flags of %s %s are known here, and the configuration is for %s",
			c.field, c.name, component.Version, c.version)}
	}
	var args []string
	var indexes []int // of the arguments in extraArgs
	for i, arg := range c.args {
		if !bad[c.at(i)] {
			args, indexes = append(args, "--"+arg.Name+"="+arg.Value), append(indexes, i)
		}
	}
	answer := component.Check(args)
	for _, text := range answer.Deprecated {
		warnings = append(warnings, c.field+": "+text)
	}
	for _, gate := range answer.Gates {
		warnings = append(warnings, c.field+": "+unlistedGate(c.name, gate, component))
	}
	for _, refused := range answer.Refused {
		problems = append(problems, c.problem(indexes[refused.Index], refused, component))
	}
	return problems, warnings
}

// unlistedGate is the warning about a feature gate that may have had its time.
func unlistedGate(name, gate string, component flagcheck.Component) string {
	text := fmt.Sprintf("%s %s does not list feature gate %s: it does not exist, or it can no longer be changed",
		name, component.Version, gate)
	if near := strictyaml.Nearest(gate, component.Gates); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return text
}

func (c checkedArgs) at(i int) string { return fmt.Sprintf("%s[%d]", c.field, i) }

// problem says what a component has against an argument.
func (c checkedArgs) problem(i int, refused flagcheck.Refusal, component flagcheck.Component) error {
	arg := c.args[i]
	if !refused.Unknown {
		return &config.FieldError{Field: c.at(i), Value: arg.Name + "=" + arg.Value,
			Problem: fmt.Sprintf("%s %s does not take it: %s", c.name, component.Version, refused.Problem), Remedy: "Correct the value."}
	}
	remedy := fmt.Sprintf("Take it out: %s --help lists the flags.", c.name)
	if near := strictyaml.Nearest(arg.Name, component.FlagNames()); near != "" {
		remedy = fmt.Sprintf("Did you mean %q?", near)
	}
	return &config.FieldError{Field: c.at(i), Value: arg.Name,
		Problem: fmt.Sprintf("%s %s has no such flag", c.name, component.Version), Remedy: remedy}
}

// minor is the part of a version that decides on flags: "1.36" of 1.36.3.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
