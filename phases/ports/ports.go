// Package ports says who listens on the TCP ports of this machine, as the
// kernel's tables have it: nothing is bound or connected to.
package ports

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
// is taken are the processes looked through.
func Listeners(ports []int) map[int]Holder {
	wanted := make(map[int]bool, len(ports))
	for _, p := range ports {
		wanted[p] = true
	}
	taken := make(map[int]Holder)
	inodes := make(map[string]int) // of sockets, to ports
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		scanListeners(file, func(addr netip.AddrPort, inode string) {
			port := int(addr.Port())
			if _, known := taken[port]; wanted[port] && !known {
				taken[port] = Holder{Address: addr.Addr().Unmap().String()}
				inodes["socket:["+inode+"]"] = port
			}
		})
	}
	if len(inodes) > 0 {
		findHolders(inodes, taken)
	}
	return taken
}

// scanListeners reads a table of the kernel (proc_net(5)). What cannot be read is left out.
func scanListeners(file string, found func(addr netip.AddrPort, inode string)) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer f.Close()
	const listening = "0A" // TCP_LISTEN
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 10 || fields[3] != listening {
			continue
		}
		if addr, ok := parseSocket(fields[1]); ok {
			found(addr, fields[9])
		}
	}
}

// parseSocket reads "0100007F:192B": the address as 32-bit words in the byte
// order of the machine, the port as a number.
func parseSocket(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	raw, err2 := hex.DecodeString(host)
	if !ok || err != nil || err2 != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr, uint16(n)), ok
}

// findHolders looks for the processes that have these sockets open. Those of
// other users are hidden from all but root.
func findHolders(inodes map[string]int, taken map[int]Holder) {
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, proc := range procs {
		pid, err := strconv.Atoi(proc.Name())
		if err != nil {
			continue
		}
		fds := filepath.Join("/proc", proc.Name(), "fd")
		entries, err := os.ReadDir(fds)
		if err != nil {
			continue
		}
		for _, e := range entries {
			link, err := os.Readlink(filepath.Join(fds, e.Name()))
			if err != nil {
				continue
			}
			port, ours := inodes[link]
			if !ours {
				continue
			}
			delete(inodes, link)
			h := taken[port]
			h.PID, h.Args = pid, commandLine(pid)
			h.Program = program(pid, h.Args)
			taken[port] = h
			if len(inodes) == 0 {
				return
			}
		}
	}
}

// program is the name a user knows: the kernel's own is cut after 15 bytes.
func program(pid int, args []string) string {
	if len(args) > 0 && args[0] != "" {
		return filepath.Base(args[0])
	}
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func commandLine(pid int) []string {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
}
