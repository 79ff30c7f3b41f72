package phases

import (
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/phases/cluster"
	"github.com/kubecrank/kubecrank/phases/pki"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/steps"
)

func waitControlPlane(s *State) ([]plan.Step, error) {
	proofs := steps.Proofs{Server: localServer(s.Config), Kubeconfigs: []string{
		path.Join(s.Paths.Kubernetes, pki.SuperAdminConf), s.Paths.Kubeconfig("admin"),
	}}
	pods := make([]string, len(s.Manifests))
	for i, f := range s.Manifests {
		pods[i] = f.Pod.Name
		if p, ok := proofOf(s.pod(f.Pod.Name)); ok {
			proofs.Of = append(proofs.Of, p)
		}
	}
	return []plan.Step{steps.WaitHealthy{
		Pods: pods, Timeout: steps.Span(s.Config.Timeouts.ControlPlaneComponentHealthCheck), Log: s.Paths.SupervisorLog, Proofs: proofs,
	}}, nil
}

// proofOf is what shows that a component works. Its manifest says what to look for: flags and patches choose
// whether it elects a leader, and which controllers it has.
func proofOf(pod *corev1.Pod) (proof steps.Proof, ok bool) {
	if pod.Name != manifests.ControllerManager && pod.Name != manifests.Scheduler {
		return steps.Proof{}, false
	}
	p := steps.Proof{Pod: pod.Name, Lease: leaseOf(pod)}
	if pod.Name == manifests.ControllerManager {
		controllers := flagOf(pod, "controllers", "*")
		if !strings.Contains(","+controllers+",", ",-*,") {
			p.Healthz = healthzOf(pod)
		}
		if isEnabled(controllers, "serviceaccount-controller", "serviceaccount") {
			p.Objects = []cluster.Object{cluster.DefaultServiceAccount()}
		}
	}
	return p, p.Lease != "" || p.Healthz != "" || len(p.Objects) > 0
}

// leaseOf is the lease by which a component's instances elect a leader, "" if that cannot be known: a
// --config of the scheduler overrides the flags.
func leaseOf(pod *corev1.Pod) string {
	elects, err := strconv.ParseBool(flagOf(pod, "leader-elect", "true"))
	namespace := flagOf(pod, "leader-elect-resource-namespace", "kube-system")
	if err != nil || !elects || namespace != "kube-system" || flagOf(pod, "config", "") != "" {
		return ""
	}
	return flagOf(pod, "leader-elect-resource-name", pod.Name)
}

// isEnabled is IsControllerEnabled of k8s.io/controller-manager, for a controller that is on by default.
func isEnabled(controllers string, names ...string) bool {
	on := false
	for name := range strings.SplitSeq(controllers, ",") {
		switch off, isOff := strings.CutPrefix(name, "-"); {
		case isOff && slices.Contains(names, off):
			return false
		case slices.Contains(names, name), name == "*":
			on = true
		}
	}
	return on
}

// healthzOf is the URL of a container's startup probe, "" without one.
func healthzOf(pod *corev1.Pod) string {
	c := pod.Spec.Containers[0]
	if c.StartupProbe == nil || c.StartupProbe.HTTPGet == nil {
		return ""
	}
	get := c.StartupProbe.HTTPGet
	port := get.Port.String()
	for _, p := range c.Ports {
		if p.Name == port {
			port = strconv.Itoa(int(p.ContainerPort))
		}
	}
	host := get.Host
	if host == "" {
		host = "127.0.0.1" // it listens on all addresses
	}
	u := url.URL{Scheme: strings.ToLower(string(get.Scheme)), Host: net.JoinHostPort(host, port), Path: get.Path}
	return u.String()
}

// flagOf is the last value that a pod's first container gives a flag.
func flagOf(pod *corev1.Pod, name, otherwise string) string {
	for _, word := range slices.Backward(slices.Concat(pod.Spec.Containers[0].Command, pod.Spec.Containers[0].Args)) {
		if value, ok := strings.CutPrefix(word, "--"+name+"="); ok {
			return value
		}
		if word == "--"+name {
			return "true"
		}
	}
	return otherwise
}
