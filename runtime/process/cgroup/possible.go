package cgroup

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Possible tells why this user cannot limit a pod's container here, as far as that can be known without making a group.
func (t *Tree) Possible(pod Limits, l Limits) error {
	needed := map[string]bool{memory: l.Memory > 0 || pod.Memory > 0, cpu: l.MilliCPU > 0 || pod.MilliCPU > 0}
	for _, c := range []string{cpu, memory} {
		if !needed[c] {
			continue
		}
		found := false
		var first error
		for _, h := range t.hierarchies() {
			if !slices.Contains(h.controllers, c) {
				continue
			}
			for _, base := range h.bases {
				err := unix.Faccessat(unix.AT_FDCWD, base, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
				found = found || err == nil
				if err != nil && first == nil {
					first = fmt.Errorf("%s: %w", base, err)
				}
			}
		}
		switch {
		case found:
		case first != nil:
			return fmt.Errorf("cannot limit %s: %w", c, first)
		default:
			return fmt.Errorf("cannot limit %s: this machine has no cgroups for it", c)
		}
	}
	return nil
}
