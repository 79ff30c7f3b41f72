package process

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/procfs"
)

// capabilityNames are the names of capabilities(7), without CAP_, at their numbers.
func capabilityNames() []string {
	return []string{
		"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
		"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
		"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
		"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
		"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
		"CHECKPOINT_RESTORE",
	}
}

// capability is the number of a capability as pods name it, with or without CAP_.
func capability(name corev1.Capability) (int, bool) {
	short := strings.TrimPrefix(strings.ToUpper(string(name)), "CAP_")
	n := slices.Index(capabilityNames(), short)
	return n, n >= 0
}

// defaultCapabilities is what container engines leave to a container that asks for nothing (containerd:
// pkg/oci/spec.go, defaultUnixCaps).
func defaultCapabilities() []corev1.Capability {
	return []corev1.Capability{
		"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
		"NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
	}
}

func isAll(name corev1.Capability) bool { return strings.EqualFold(string(name), "ALL") }

// privilegesOf is what the container keeps of the supervisor's capabilities, as container engines work it out (containerd:
// internal/cri/opts, WithCapabilities): the default ones, all of them or none; and then those that are named.
//
// What is added becomes ambient too, for a user other than root. Images give such a program file capabilities instead
// (kube-apiserver's has NET_BIND_SERVICE); programs of a host have none.
func privilegesOf(sc *corev1.SecurityContext) privileges {
	if sc == nil {
		sc = &corev1.SecurityContext{}
	}
	p := privileges{NoNew: sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation}
	if sc.Privileged != nil && *sc.Privileged {
		return p
	}
	changes := sc.Capabilities
	if changes == nil {
		changes = &corev1.Capabilities{}
	}
	keep := make(map[int]bool)
	for n, name := range capabilityNames() {
		keep[n] = !slices.ContainsFunc(changes.Drop, isAll) &&
			(slices.ContainsFunc(changes.Add, isAll) || slices.Contains(defaultCapabilities(), corev1.Capability(name)))
	}
	for _, name := range changes.Add {
		if n, ok := capability(name); ok {
			keep[n] = true
		}
	}
	for _, name := range changes.Drop {
		if n, ok := capability(name); ok {
			keep[n] = false
		}
	}
	p.Drop = true
	own := ownCapabilities()
	for n := range capabilityNames() {
		added := slices.ContainsFunc(changes.Add, func(name corev1.Capability) bool {
			number, known := capability(name)
			return isAll(name) || known && number == n
		})
		if keep[n] {
			p.Keep = append(p.Keep, n)
		}
		if keep[n] && added && own&(1<<n) != 0 {
			p.Ambient = append(p.Ambient, n)
		}
	}
	return p
}

// checkCapabilities refuses what the supervisor cannot give because it does not have it. "ALL" is all that it has.
func checkCapabilities(sc *corev1.SecurityContext) error {
	if sc == nil {
		return nil
	}
	const hint = "run the supervisor with that capability (as root, outside of a container), or leave it out of the manifest"
	if sc.Privileged != nil && *sc.Privileged && os.Geteuid() != 0 {
		return hinted{error: errors.New("cannot run privileged: the supervisor is not root"), hint: hint}
	}
	if sc.Capabilities == nil {
		return nil
	}
	for _, name := range sc.Capabilities.Add {
		if n, ok := capability(name); ok && ownCapabilities()&(1<<n) == 0 && !slices.Contains(sc.Capabilities.Drop, name) {
			return hinted{error: fmt.Errorf("cannot add capability %s: the supervisor does not have it itself", name), hint: hint}
		}
	}
	return nil
}

// ownCapabilities are those that the supervisor can pass on.
func ownCapabilities() uint64 {
	status, err := procfs.ReadStatus(os.Getpid())
	if err != nil {
		return 0
	}
	return capabilitySet(status["CapPrm"]) & capabilitySet(status["CapBnd"])
}

// capabilitySet reads a set of proc_pid_status(5), none if it is not there.
func capabilitySet(field string) uint64 {
	set, _ := strconv.ParseUint(field, 16, 64)
	return set
}

// dropCapabilities leaves only those in the bounding set of the thread, and those at most that are inherited. An
// unprivileged supervisor may not change the former, but what it cannot inherit it cannot pass on either.
func dropCapabilities(keep []int) error {
	var kept uint64
	for _, c := range keep {
		kept |= 1 << c
	}
	for c := 0; c <= 63; c++ {
		if kept&(1<<c) != 0 {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0)
		if errors.Is(err, unix.EINVAL) { // beyond the last one that this kernel knows
			break
		}
		if err != nil && (!errors.Is(err, unix.EPERM) || os.Geteuid() == 0) {
			return fmt.Errorf("cannot drop capabilities: %w", err)
		}
	}
	// Root has after an exec what is inheritable, whatever the bounding set is; and what is not inheritable is not ambient.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	err := unix.Capget(&header, &sets[0])
	if err == nil {
		sets[0].Inheritable &= uint32(kept)
		sets[1].Inheritable &= uint32(kept >> 32)
		err = unix.Capset(&header, &sets[0])
	}
	if err != nil {
		return fmt.Errorf("cannot drop capabilities: %w", err)
	}
	return nil
}

// runsAs reads what a process runs as, for a container whose record is lost.
func runsAs(pid int) (*user, privileges) {
	status, err := procfs.ReadStatus(pid)
	if err != nil {
		return nil, privileges{}
	}
	p := privileges{NoNew: status["NoNewPrivs"] == "1", Drop: true}
	for c := range 64 {
		if capabilitySet(status["CapBnd"])&(1<<c) != 0 {
			p.Keep = append(p.Keep, c)
		}
		if capabilitySet(status["CapAmb"])&(1<<c) != 0 {
			p.Ambient = append(p.Ambient, c)
		}
	}
	uids, err := status.UIDs()
	gids, gidErr := status.GIDs()
	if err != nil || gidErr != nil {
		return nil, p
	}
	u := user{UID: uint32(uids[1]), GID: uint32(gids[1])} // effective
	for _, g := range strings.Fields(status["Groups"]) {
		if n, err := strconv.ParseUint(g, 10, 32); err == nil {
			u.Groups = append(u.Groups, uint32(n))
		}
	}
	if os.Geteuid() != 0 {
		return nil, p // it is our own
	}
	return &u, p
}
