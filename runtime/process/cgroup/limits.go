package cgroup

import (
	"fmt"
	"math"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// Limits are those of one container, or of a whole pod.
type Limits struct {
	Memory   int64  // bytes; 0 for no limit
	MilliCPU int64  // thousandths of a CPU; 0 for no limit
	Shares   uint64 // weight against others, in the unit of cgroup v1; 0 leaves the kernel's
	Whole    bool   // when memory runs out, all of it is killed and not one process (cgroup v2)
}

// None holds when nothing is limited. The weight is none: it only means something beside others that have one.
func (l Limits) None() bool { return l.Memory == 0 && l.MilliCPU == 0 }

// Of is what a container gets: its own limits, those of the pod where it has none, and a weight
// by its CPU request (pkg/kubelet/kuberuntime/kuberuntime_container_linux.go: calculateLinuxResources).
func Of(pod *corev1.Pod, c *corev1.Container) Limits {
	l := limits(c.Resources.Limits)
	if p := pod.Spec.Resources; p != nil {
		of := limits(p.Limits)
		if l.Memory == 0 {
			l.Memory = of.Memory
		}
		if l.MilliCPU == 0 {
			l.MilliCPU = of.MilliCPU
		}
	}
	l.Shares = shares(request(c, l.MilliCPU))
	l.Whole = true // memory.oom.group, the kubelet's default (singleProcessOOMKill: false)
	return l
}

// OfPod is what all containers of a pod get together: limits only if the pod itself has some
// (pkg/kubelet/cm/helpers_linux.go: ResourceConfigForPod).
func OfPod(pod *corev1.Pod) Limits {
	var l Limits
	if pod.Spec.Resources != nil {
		l = limits(pod.Spec.Resources.Limits)
	}
	l.Shares = shares(podRequest(pod))
	return l
}

func limits(list corev1.ResourceList) Limits {
	return Limits{Memory: list.Memory().Value(), MilliCPU: list.Cpu().MilliValue()}
}

// request is a container's CPU request; the limit stands in for one that is not given.
func request(c *corev1.Container, limit int64) int64 {
	if q, ok := c.Resources.Requests[corev1.ResourceCPU]; ok {
		return q.MilliValue()
	}
	return limit
}

// podRequest is the CPU that a pod asks for: its own word, or that of its containers: what runs together is added up, and
// init containers run one after the other, beside the sidecars before them (component-helpers/resource: PodRequests).
func podRequest(pod *corev1.Pod) int64 {
	if pod.Spec.Resources != nil {
		if q, ok := pod.Spec.Resources.Requests[corev1.ResourceCPU]; ok {
			return q.MilliValue()
		}
		if q, ok := pod.Spec.Resources.Limits[corev1.ResourceCPU]; ok {
			return q.MilliValue()
		}
	}
	of := func(c *corev1.Container) int64 { return request(c, c.Resources.Limits.Cpu().MilliValue()) }
	var sidecars, peak, sum int64
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sidecars += of(c)
			peak = max(peak, sidecars)
		} else {
			peak = max(peak, sidecars+of(c))
		}
	}
	for i := range pod.Spec.Containers {
		sum += of(&pod.Spec.Containers[i])
	}
	return max(peak, sidecars+sum)
}

// The kubelet's numbers (pkg/kubelet/cm/helpers_linux.go).
const (
	minShares    = 2
	maxShares    = 262144
	sharesPerCPU = 1024
	period       = 100_000 // microseconds
	minQuota     = 1000
)

func shares(milliCPU int64) uint64 {
	return uint64(min(max(milliCPU*sharesPerCPU/1000, minShares), maxShares))
}

func quota(milliCPU int64) int64 { return max(milliCPU*period/1000, minQuota) }

// weight is what cgroup v2 has for shares, as container engines convert it (opencontainers/cgroups:
// ConvertCPUSharesToCgroupV2Value): 2 is 1, 1024 is 100, 262144 is 10000.
func weight(shares uint64) uint64 {
	switch {
	case shares <= minShares:
		return 1
	case shares >= maxShares:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

// setting is a file in a cgroup and what is written to it.
type setting struct {
	file, value string
	optional    bool // a kernel without swap accounting does not have the file
}

// settings are what the limits are for one controller, in the order in which they are written.
func (l Limits) settings(controller string, v2 bool) []setting {
	var all []setting
	set := func(wanted bool, file string, value any) {
		if wanted {
			all = append(all, setting{file: file, value: fmt.Sprint(value), optional: file == memsw || file == swapMax})
		}
	}
	switch {
	case controller == memory && v2:
		set(l.Memory > 0, "memory.max", l.Memory)
		set(l.Memory > 0, swapMax, 0) // static pods never get swap (kuberuntime: GetContainerSwapBehavior)
		set(l.Memory > 0 && l.Whole, "memory.oom.group", 1)
	case controller == memory:
		set(l.Memory > 0, "memory.limit_in_bytes", l.Memory)
		set(l.Memory > 0, memsw, l.Memory)
	case v2:
		set(l.Shares > 0, "cpu.weight", weight(l.Shares))
		set(l.MilliCPU > 0, "cpu.max", strconv.FormatInt(quota(l.MilliCPU), 10)+" "+strconv.Itoa(period))
	default:
		set(l.Shares > 0, "cpu.shares", l.Shares)
		set(l.MilliCPU > 0, "cpu.cfs_period_us", period)
		set(l.MilliCPU > 0, "cpu.cfs_quota_us", quota(l.MilliCPU))
	}
	return all
}

const (
	memsw   = "memory.memsw.limit_in_bytes"
	swapMax = "memory.swap.max"
)
