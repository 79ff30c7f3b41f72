package procfs

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Listener is a TCP socket that listens, see proc_net_tcp(5).
type Listener struct {
	Address netip.AddrPort
	Socket  string // what a descriptor of it links to: "socket:[INODE]"
}

// Listeners returns the TCP sockets that listen in this network namespace. A
// table that cannot be read is empty: that of IPv6 need not exist.
func Listeners() []Listener {
	var all []Listener
	for _, table := range []string{"tcp", "tcp6"} {
		for _, f := range rows(table) {
			const listening = "0A" // TCP_LISTEN
			if len(f) < 10 || f[3] != listening {
				continue
			}
			if addr, ok := parseAddress(f[1]); ok {
				all = append(all, Listener{Address: addr, Socket: "socket:[" + f[9] + "]"})
			}
		}
	}
	return all
}

// UnixSockets returns the paths of the unix sockets of this network namespace.
func UnixSockets() []string {
	var paths []string
	for _, f := range rows("unix") {
		if path := f[len(f)-1]; len(f) > 7 {
			paths = append(paths, path)
		}
	}
	return paths
}

// rows reads a table of /proc/net without its heading.
func rows(table string) [][]string {
	data, err := os.ReadFile("/proc/net/" + table)
	if err != nil {
		return nil
	}
	var all [][]string
	_, body, _ := strings.Cut(string(data), "\n")
	for line := range strings.Lines(body) {
		if f := strings.Fields(line); len(f) > 0 {
			all = append(all, f)
		}
	}
	return all
}

// parseAddress reads "0100007F:192B": the address as 32-bit words in the byte
// order of the machine, the port as a number.
func parseAddress(s string) (netip.AddrPort, bool) {
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
