package supervisor

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/redact"
	"github.com/kubecrank/kubecrank/runtime"
)

// decision is what follows the end of a container.
type decision string

const (
	restartNone decision = "none"
	restartOne  decision = "one"
	restartAll  decision = "all"
)

// decide applies the container's restart rules, then its own policy, then the pod's
// (pkg/api/v1/pod ContainerShouldRestart). What a probe or hook killed is started again unless the
// policy is Never, whatever it exited with (pkg/kubelet/kuberuntime/kuberuntime_manager.go computePodActions).
func decide(pod *runtime.Pod, c *container) decision {
	exit := c.exit
	if exit == nil {
		exit = &runtime.Exit{Code: -1}
	}
	if c.spec.RestartPolicy != nil && !c.killed {
		switch rule := matchingRule(c.spec.RestartPolicyRules, int32(exit.Code)); rule {
		case corev1.ContainerRestartRuleActionRestart:
			return restartOne
		case corev1.ContainerRestartRuleActionRestartAllContainers:
			return restartAll
		default: // no rule, or one that this version does not know
		}
	}
	if c.sidecar {
		return restartOne // whatever the pod's policy (statement 58)
	}
	policy := policyOf(pod, c)
	if c.init && c.spec.RestartPolicy == nil && policy == string(corev1.RestartPolicyAlways) {
		policy = string(corev1.RestartPolicyOnFailure) // done is done for an init container
	}
	failed := exit.Code != 0 || c.killed || c.init && exit.OOMKilled
	switch policy {
	case string(corev1.RestartPolicyNever):
		return restartNone
	case string(corev1.RestartPolicyOnFailure):
		if !failed {
			return restartNone
		}
		return restartOne
	default:
		return restartOne
	}
}

// policyOf is the container's own policy, or else the pod's.
func policyOf(pod *runtime.Pod, c *container) string {
	if c.spec.RestartPolicy != nil {
		return string(*c.spec.RestartPolicy)
	}
	return string(pod.Spec.RestartPolicy)
}

func matchingRule(rules []corev1.ContainerRestartRule, code int32) corev1.ContainerRestartRuleAction {
	for _, rule := range rules {
		if rule.ExitCodes == nil {
			continue
		}
		in := slices.Contains(rule.ExitCodes.Values, code)
		if in == (rule.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
			return rule.Action
		}
	}
	return ""
}

// tellExit records how a container ended, and with what last words when nobody asked for it.
func (p *pod) tellExit(c *container, wanted bool) {
	e := c.exit
	how := fmt.Sprintf("exit code %d", e.Code)
	switch {
	case e.Signal != "":
		how = "signal " + e.Signal
	case e.Code < 0:
		how = "an exit code that nobody saw"
	}
	c.reason = runtime.ReasonError
	switch {
	case e.OOMKilled:
		c.reason = runtime.ReasonOOMKilled
		how += ", out of memory"
	case e.Code == 0:
		c.reason = runtime.ReasonCompleted
	}
	c.message = e.Message
	text := fmt.Sprintf("Container %s ended with %s", c.spec.Name, how)
	if wanted && !c.killed {
		p.event(c, runtime.Normal, runtime.ReasonExited, text)
		return
	}
	kind := runtime.Warning
	if e.Code == 0 && !e.OOMKilled {
		kind = runtime.Normal
	}
	p.event(c, kind, runtime.ReasonExited, text)
	if c.init && !initFailed(e) && !c.sidecar {
		return // it did its work
	}
	p.lastExit = fmt.Sprintf("container %s ended with %s", c.spec.Name, how)
	if c.killed && c.probe != "" {
		p.lastExit += " after " + c.probe
	}
	if words := p.lastWords(c); words != "" {
		p.lastExit += ":\n" + words
	}
}

// lastWords is the termination message, or else the end of the log, without what the manifest says is a credential.
func (p *pod) lastWords(c *container) string {
	words := c.exit.Message
	if words == "" && p.tail != nil && c.info.LogPath != "" {
		words = p.tail(c.info.LogPath, lastLines)
	}
	if words == "" {
		return ""
	}
	var spec strings.Builder // as a manifest says it
	for _, word := range slices.Concat(c.spec.Command, c.spec.Args) {
		fmt.Fprintf(&spec, "- %s\n", word)
	}
	for _, e := range c.spec.Env {
		fmt.Fprintf(&spec, "- name: %s\n  value: %s\n", e.Name, e.Value)
	}
	return redact.Known(words, redact.Values(spec.String()))
}

const lastLines = 10
