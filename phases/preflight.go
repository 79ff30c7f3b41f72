package phases

import (
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/ports"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// preflight runs all checks on the facts. Names and limits are kubeadm's where
// kubeadm has the check (cmd/kubeadm/app/preflight/checks.go of 1.36). What
// the journal says is ours is no obstacle: a run that was killed continues.
// docs/reference/preflight.md lists them, and those of kubeadm's that have no
// meaning here.
func preflight(s *State) ([]plan.Step, error) {
	var checks []plan.Check
	for _, check := range []func(*State) []plan.Check{
		privileged,          // IsPrivilegedUser
		numCPU,              // NumCPU
		memory,              // Mem
		kubernetesVersion,   // KubernetesVersion
		firewalld,           // Firewalld
		portsFree,           // Port-6443, ...
		manifestsFree,       // FileAvailable--etc-kubernetes-manifests-etcd.yaml, ...
		proxies,             // HTTPProxy, HTTPProxyCIDR
		swap,                // Swap
		kernel,              // SystemVerification
		hostname,            // Hostname
		noKubelet,           // Port-10250
		externalEtcdVersion, // ExternalEtcdVersion
		etcdDataFree,        // DirAvailable--var-lib-etcd
		externalEtcdFiles,   // ExternalEtcdClientCertificates
		addressPresent,      // AddressPresent (ours, like all that follow)
		passable,            // Passable--etc-kubernetes, ...
		readable,            // Readable--etc-etcd-client.key, ...
		writable,            // Writable--etc-kubernetes, ...
		componentsUsable,    // NoExec--var-lib-kubecrank
		diskSpace,           // DiskSpace--var-lib-etcd, ...
		fsyncLatency,        // FsyncLatency--var-lib-etcd
		clock,               // Clock
		openFiles,           // OpenFiles
		inotify,             // Inotify
		edited,              // Edited--etc-kubernetes-manifests-etcd.yaml, ...
		signingCA,           // SigningCA--etc-kubernetes-pki-ca.crt
		anonymousProbes,     // AnonymousProbes
		patches,             // Patches
		runnable,            // Runnable-etcd, ...
		volumesUsable,       // Volume--etc-audit, ...
	} {
		checks = append(checks, check(s)...)
	}
	return checkSteps(ignore(checks, s.Config.IgnorePreflightErrors)), nil
}

// patches passes on what is to be said about patches that have no effect.
func patches(s *State) []plan.Check {
	var out []plan.Check
	for _, text := range s.Remarks {
		out = append(out, warning("Patches", text, "")...)
	}
	return out
}

func checkSteps(checks []plan.Check) []plan.Step {
	out := make([]plan.Step, len(checks))
	for i, c := range checks {
		out[i] = c
	}
	return out
}

// ignore makes warnings of the errors that the user wants ignored: kubeadm's
// setHasItemOrAll, names in any case.
func ignore(checks []plan.Check, names []string) []plan.Check {
	for i, c := range checks {
		if c.Level == plan.Failed && (slices.Contains(names, "all") || slices.Contains(names, strings.ToLower(c.Name))) {
			checks[i].Level, checks[i].Ignored = plan.Warning, true
		}
	}
	return checks
}

func ok(name, text string) []plan.Check {
	return []plan.Check{{Name: name, Level: plan.OK, Text: text}}
}

func failed(name, text, remedy string) []plan.Check {
	return []plan.Check{{Name: name, Level: plan.Failed, Text: text, Remedy: remedy}}
}

func warning(name, text, remedy string) []plan.Check {
	return []plan.Check{{Name: name, Level: plan.Warning, Text: text, Remedy: remedy}}
}

// label is kubeadm's form of a path in a check's name. The root is left out, so that names are the same everywhere.
func (s *State) label(check, path string) string {
	return check + "-" + strings.ReplaceAll(strings.TrimPrefix(path, s.Config.Root), "/", "-")
}

func privileged(s *State) []plan.Check {
	const name = "IsPrivilegedUser"
	switch {
	case s.Config.Root != "" && s.Config.Rootless() && s.Facts.UID != 0:
		return failed(name, "user is not running as root, and RootlessControlPlane gives files to other users",
			"run it as root, or without the feature gate: as another user, all runs as that user")
	case s.Config.Root != "":
		return ok(name, "with --root no root rights are needed")
	case s.Facts.UID == 0:
		return ok(name, "")
	default:
		return failed(name, "user is not running as root", "run it as root, or with --root DIR for a control plane below a directory")
	}
}

// kubeadm's minimum for a control plane node (cmd/kubeadm/app/constants/constants.go).
const (
	minCPUs   = 2
	minMemory = 1700 // MB
)

func numCPU(s *State) []plan.Check {
	if s.Facts.CPUs < minCPUs {
		return failed("NumCPU", fmt.Sprintf("the number of available CPUs %d is less than the required %d", s.Facts.CPUs, minCPUs),
			"use a larger machine; a throw-away control plane runs on one CPU too: --ignore-preflight-errors=NumCPU")
	}
	return ok("NumCPU", "")
}

func memory(s *State) []plan.Check {
	if s.Facts.MemoryMiB < minMemory {
		return failed("Mem", fmt.Sprintf("the system RAM (%d MB) is less than the minimum %d MB", s.Facts.MemoryMiB, minMemory),
			"use a larger machine, or --ignore-preflight-errors=Mem")
	}
	return ok("Mem", "")
}

// portsFree is kubeadm's PortOpenCheck, for each port that a component listens
// on. It knows who holds a port without taking it.
func portsFree(s *State) []plan.Check {
	p := s.Config.Ports()
	ports := []int{p.APIServer, p.Scheduler, p.ControllerManager}
	if s.Config.Etcd.External == nil {
		ports = append(ports, p.EtcdClient, p.EtcdPeer, p.EtcdMetrics)
	}
	var checks []plan.Check
	for _, port := range ports {
		name := fmt.Sprintf("Port-%d", port)
		holder, taken := s.Facts.Ports[port]
		switch {
		case !taken:
			checks = append(checks, ok(name, "")...)
		case s.isOurs(holder):
			checks = append(checks, ok(name, fmt.Sprintf("our own %s has it (PID %d)", holder.Program, holder.PID))...)
		default:
			checks = append(checks, failed(name, fmt.Sprintf("port %d is in use by %s", port, holder), portRemedy(holder))...)
		}
	}
	return checks
}

func portRemedy(h ports.Holder) string {
	if h.PID == 0 {
		return "find it with 'ss -ltnp' as root and stop it, or use other ports with --port-offset"
	}
	return fmt.Sprintf("stop process %d, or use other ports with --port-offset", h.PID)
}

// isOurs says whether the process is a component of this control plane: one of
// its arguments names a file that the journal knows. It does not matter whether
// a supervisor runs: one that died left its pods running.
func (s *State) isOurs(h ports.Holder) bool {
	for _, arg := range h.Args {
		_, value, _ := strings.Cut(arg, "=")
		_, ours := s.Facts.History.At(value)
		_, used := s.Facts.History.Before[value]
		if ours || used {
			return true
		}
	}
	return false
}

// manifestsFree is kubeadm's FileAvailableCheck.
func manifestsFree(s *State) []plan.Check {
	var checks []plan.Check
	for _, f := range s.Manifests {
		path := filepath.Join(s.Paths.Manifests, f.Name)
		name := s.label("FileAvailable", path)
		_, ours := s.Facts.History.At(path)
		if kind := s.Facts.Look(path).Kind; ours || kind == resource.Absent || kind == resource.Unreadable {
			checks = append(checks, ok(name, "")...)
			continue
		}
		checks = append(checks, failed(name, path+" already exists, and kubecrank did not write it",
			"if another control plane runs here, leave it alone or remove it with the tool that made it; else move the file away")...)
	}
	return checks
}

// etcdDataFree is kubeadm's DirAvailableCheck. A file system of its own has a
// lost+found, which is no obstacle (kubeadm#2127).
func etcdDataFree(s *State) []plan.Check {
	dir := s.Paths.EtcdData
	name := s.label("DirAvailable", dir)
	if s.Config.Etcd.External != nil || s.etcdDataOurs() {
		return ok(name, "")
	}
	seen := s.Facts.Look(dir)
	others := slices.DeleteFunc(slices.Clone(seen.Names), func(n string) bool { return n == "lost+found" })
	switch {
	case seen.Kind == resource.Absent || seen.Kind == resource.Directory && len(others) == 0 && seen.Error == "":
		return ok(name, "")
	case seen.Error != "":
		return failed(name, fmt.Sprintf("unable to check if %s is empty: %s", dir, seen.Error), "run it as a user who can read it")
	case seen.Kind != resource.Directory:
		return failed(name, fmt.Sprintf("%s is not a directory", dir), "give another one (etcd.local.dataDir)")
	case slices.Contains(others, "member"):
		return failed(name, dir+" is not empty: it holds the data of an etcd member of another cluster",
			"move it away if nobody needs it, or give another directory")
	default:
		return failed(name, dir+" is not empty", "move away what is in it, or give another directory")
	}
}

func (s *State) etcdDataOurs() bool {
	dir := s.Paths.EtcdData
	if o, ours := s.Facts.History.At(dir); ours && o.Done {
		return true
	}
	o, ours := s.Facts.History.Claim(resource.EntriesOf(dir, "member"))
	return ours && o.Done && !slices.Contains(o.Except, "member")
}

// proxies are kubeadm's HTTPProxyCheck and HTTPProxyCIDRCheck: connections
// inside the cluster that would go through a proxy.
func proxies(s *State) []plan.Check {
	proxyFor := proxyFunc(s.Facts.ProxyEnv)
	var checks []plan.Check
	through := func(name, what string, addr netip.Addr) {
		u := &url.URL{Scheme: "https", Host: netip.AddrPortFrom(addr, 443).String()}
		if proxy, err := proxyFor(u); err == nil && proxy != nil {
			checks = append(checks, warning(name, fmt.Sprintf("connections to %s use the proxy %s", what, proxy.Redacted()),
				"add it to NO_PROXY if that is not intended")...)
		}
	}
	if addr := s.Config.Node.AdvertiseAddress; addr.IsValid() {
		through("HTTPProxy", addr.String(), addr)
	}
	for _, subnet := range slices.Concat(s.Config.Networking.ServiceSubnets, s.Config.Networking.PodSubnets) {
		through("HTTPProxyCIDR", subnet.String(), subnet.Masked().Addr().Next())
	}
	return checks
}

func proxyFunc(env []config.Env) func(*url.URL) (*url.URL, error) {
	get := func(name string) string {
		for _, e := range env {
			if strings.EqualFold(e.Name, name) {
				return e.Value
			}
		}
		return ""
	}
	c := httpproxy.Config{HTTPProxy: get("http_proxy"), HTTPSProxy: get("https_proxy"), NoProxy: get("no_proxy")}
	return c.ProxyFunc()
}
