package facts

import (
	"context"
	"net"
	"net/netip"
	goruntime "runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/procfs"
)

func bootID() string {
	id, _ := procfs.BootID() // "": not known
	return id
}

// cpus counts those that this process may use, as kubeadm's NumCPUCheck does.
func cpus() int { return goruntime.NumCPU() }

// memoryMiB is kubeadm's MemCheck.
func memoryMiB() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return info.Totalram * uint64(info.Unit) >> 20
}

func addresses() []netip.Addr {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var addrs []netip.Addr
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				addrs = append(addrs, addr.Unmap())
			}
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// defaultAddress asks the kernel which source address it would use for a host
// that is far away. Connecting a datagram socket sends nothing. The
// destinations are documentation addresses (RFC 5737, RFC 3849).
func defaultAddress(ctx context.Context) netip.Addr {
	for _, far := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		conn, err := (&net.Dialer{}).DialContext(ctx, "udp", far)
		if err != nil {
			continue
		}
		local, ok := conn.LocalAddr().(*net.UDPAddr)
		_ = conn.Close()
		if !ok {
			continue
		}
		addr := local.AddrPort().Addr().Unmap()
		if addr.IsGlobalUnicast() && !addr.IsLoopback() {
			return addr.WithZone("")
		}
	}
	return netip.Addr{}
}

// answers says whether something takes connections on a unix socket.
func answers(ctx context.Context, socket string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", socket)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// KubeletPort is where a kubelet listens.
const KubeletPort = 10250

// neededPorts are the ports that the components will listen on, and a kubelet's
// where one would have the same manifests before it.
func neededPorts(cfg config.Config) []int {
	p := cfg.Ports()
	needed := []int{p.APIServer, p.ControllerManager, p.Scheduler}
	if cfg.Etcd.External == nil {
		needed = append(needed, p.EtcdClient, p.EtcdPeer, p.EtcdMetrics)
	}
	if cfg.Root == "" {
		needed = append(needed, KubeletPort)
	}
	return needed
}
