// Package ports says who listens on the TCP ports of this machine, as the
// kernel's tables have it: nothing is bound or connected to.
package ports

import (
	"fmt"
	"path/filepath"

	"github.com/kubecrank/kubecrank/procfs"
)

// Holder is a process that listens on a port.
type Holder struct {
	Address string   // "0.0.0.0", "127.0.0.1", ...
	PID     int      // 0: this user cannot know
	Program string   // the name of its executable
	Args    []string // its command line
}

// String is "nginx (PID 42), at 127.0.0.1".
func (h Holder) String() string {
	if h.PID == 0 {
		return "a program of another user, at " + h.Address
	}
	return fmt.Sprintf("%s (PID %d), at %s", h.Program, h.PID, h.Address)
}

// Listeners says which of the ports somebody listens on, at whatever address
// (kubeadm's PortOpenCheck tries the wildcard address), and who. Only if one
// is taken are the processes looked through. A program may end between the two
// looks: where nobody seems to hold a port, both are taken once more.
func Listeners(ports []int) map[int]Holder {
	taken := listeners(ports)
	for _, h := range taken {
		if h.PID == 0 {
			return listeners(ports)
		}
	}
	return taken
}

func listeners(ports []int) map[int]Holder {
	wanted := make(map[int]bool, len(ports))
	for _, p := range ports {
		wanted[p] = true
	}
	taken := make(map[int]Holder)
	sockets := make(map[string]int) // to ports
	for _, l := range procfs.Listeners() {
		port := int(l.Address.Port())
		if _, known := taken[port]; wanted[port] && !known {
			taken[port] = Holder{Address: l.Address.Addr().Unmap().String()}
			sockets[l.Socket] = port
		}
	}
	if len(sockets) > 0 {
		findHolders(sockets, taken)
	}
	return taken
}

// findHolders looks for the processes that have these sockets open. Those of
// other users are hidden from all but root.
func findHolders(sockets map[string]int, taken map[int]Holder) {
	pids, err := procfs.PIDs()
	if err != nil {
		return
	}
	for _, pid := range pids {
		files, err := procfs.Files(pid)
		if err != nil {
			continue
		}
		for _, file := range files {
			port, ours := sockets[file]
			if !ours {
				continue
			}
			delete(sockets, file)
			h := taken[port]
			h.PID, h.Program = pid, program(pid)
			h.Args, _ = procfs.Args(pid) // it may just have ended
			taken[port] = h
			if len(sockets) == 0 {
				return
			}
		}
	}
}

// program is the name a user knows: the kernel's own is cut after 15 bytes.
func program(pid int) string {
	if args, err := procfs.Args(pid); err == nil && args[0] != "" {
		return filepath.Base(args[0])
	}
	name, _ := procfs.Comm(pid) // it may just have ended
	return name
}
