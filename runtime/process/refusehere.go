package process

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/process/cgroup"
)

// RefuseAnywhere returns what Refuse has against the pod on every machine, whoever runs the supervisor.
func RefuseAnywhere(pod *runtime.Pod) error { return Refuse(pod, func() error { return nil }) }

// RefuseHere returns what this machine or this user cannot give to a pod that RefuseAnywhere takes: mounts, another user,
// capabilities, limits. It asks what OpenPod will ask, and changes nothing.
func RefuseHere(pod *runtime.Pod) error {
	errs := []error{Refuse(pod, mountable), refuseRights(pod)}
	tree := cgroup.NewTree("")
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		l := cgroup.Of(pod.Pod, &c)
		if l.None() {
			continue
		}
		if err := tree.Possible(cgroup.OfPod(pod.Pod), l); err != nil {
			errs = append(errs, limitsError(c.Name, err))
		}
	}
	return errors.Join(errs...)
}

// refuseRights returns why a container cannot run as its user or with its capabilities.
func refuseRights(pod *runtime.Pod) error {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		_, err := userOf(pod.Spec.SecurityContext, c.SecurityContext)
		if err == nil {
			err = checkCapabilities(c.SecurityContext)
		}
		if err != nil {
			return fmt.Errorf("cannot open pod %s: container %s: %w", pod.Name, c.Name, err)
		}
	}
	return nil
}

func limitsError(container string, err error) error {
	return hinted{
		error: fmt.Errorf("container %s: resources.limits: %w", container, err),
		hint:  "run the supervisor as root with a writable cgroup file system, or leave the limits out of the manifest",
	}
}
