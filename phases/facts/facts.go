// Package facts looks at the machine once and says what it saw, as a value:
// phases compute a plan from it, a dry-run compares the plan with it, and tests
// write it by hand. It is the only reader of the machine before apply.Run.
//
//	Config (paths, ports) --Gather--> Facts --HostFacts--> Config.Complete
//	          |                         ^ |--ManifestsHost--> manifests.Render
//	          +--Probe (a run only)-----+ +--Host--> plan.Diff
//
// Gather changes nothing, needs no rights, sends nothing and takes
// milliseconds. What it cannot read becomes a fact (resource.Unreadable, an empty
// value), not a failure. With a root, it reads nothing outside but what the
// kernel says of itself. Probe is for the rest: it writes, asks and waits, and
// so belongs to a run and not to a dry-run.
package facts

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubecrank/kubecrank/manifests"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/accounts"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/phases/ports"
	"github.com/kubecrank/kubecrank/phases/resource"
)

// Facts is the machine, seen once.
type Facts struct {
	Now            time.Time
	UID            int // effective
	Hostname       string
	BootID         string
	KernelRelease  string // "6.1.0-13-amd64"
	CPUs           int
	MemoryMiB      uint64
	Swap           bool // some of it is in use or can be
	Limits         Limits
	Firewalld      bool         // it runs
	Addresses      []netip.Addr // of all interfaces, sorted
	DefaultAddress netip.Addr   // the source address of the default route; zero when there is none
	ProxyEnv       []config.Env // the non-empty *_proxy variables, sorted by name
	CADirs         []string     // the CA directories that exist, of those kubeadm mounts; none with a root

	// ClockUnsynchronized: no time server has told the kernel what time it is.
	ClockUnsynchronized bool

	// Files is what is at each path the plan may touch, and at their parents.
	Files map[string]resource.Seen
	// Places is what writing below each directory of ours would meet.
	Places map[string]Place
	// Ports are those of the components and of a kubelet that something listens on.
	Ports map[int]ports.Holder
	// SupervisorRuns is true when a supervisor of this root takes connections.
	SupervisorRuns bool

	// Unrecorded is true when something of this root runs, as far as can be told without the journal. cmd/cli looks.
	Unrecorded bool

	// Accounts are whom the components run as; the zero value is root.
	Accounts accounts.Set
	// AccountsError is why there can be none.
	AccountsError error

	// Patches are the files of Config.Patches, in kubeadm's order.
	Patches []manifests.Patch
	// PatchesError is why they could not be read.
	PatchesError error

	History journal.History
	// JournalError is why History could not be read.
	JournalError error

	// Probed is what Probe found out, in a run.
	Probed Probed
}

// Place is the file system that a directory is in, or will be in.
type Place struct {
	Existing  string // the nearest directory that exists
	Writable  bool   // by this user
	Problem   string // why it is not writable
	NoExec    bool
	FreeBytes uint64 // for this user
}

// Gather looks at the machine. The error is that of ctx.
func Gather(ctx context.Context, cfg config.Config) (Facts, error) {
	paths := cfg.Paths()
	f := Facts{Now: time.Now(), UID: os.Geteuid()}
	var all sync.WaitGroup
	all.Go(func() { f.gatherMachine(cfg) })
	all.Go(func() { f.Ports = ports.Listeners(neededPorts(cfg)) })
	all.Go(func() {
		f.Addresses, f.DefaultAddress = addresses(), defaultAddress(ctx)
		f.SupervisorRuns = answers(ctx, paths.Socket)
	})
	all.Go(func() {
		f.History, f.JournalError = journal.Load(cfg.Root, paths)
		f.Files = lookAt(cfg, f.History)
	})
	all.Go(func() {
		f.Places = places(cfg.Root, paths)
		f.Accounts, f.AccountsError = chooseAccounts(cfg)
		f.Patches, f.PatchesError = ReadPatches(cfg.Patches)
	})
	all.Wait()
	f.lookAtVolumes(cfg)
	return f, ctx.Err()
}

// gatherMachine asks the kernel.
func (f *Facts) gatherMachine(cfg config.Config) {
	f.BootID, f.KernelRelease = bootID(), kernelRelease()
	f.CPUs, f.MemoryMiB, f.Swap, f.Limits = cpus(), memoryMiB(), swapOn(), limits()
	f.ClockUnsynchronized = clockUnsynchronized()
	f.ProxyEnv = ProxyEnv(os.Environ())
	f.Hostname, _ = os.Hostname() // "": Validate asks for a node name
	if cfg.Root == "" {
		f.CADirs = existing(manifests.OptionalCADirs())
		f.Firewalld = firewalldRuns()
	}
}

// HostFacts is what Config.Complete needs. A run that continues another takes
// what that one had settled on, even if the default route has moved since. With
// a root and no default route, the control plane is one for this machine alone.
func (f Facts) HostFacts(cfg config.Config) config.HostFacts {
	h := config.HostFacts{Hostname: f.Hostname, DefaultAddress: f.DefaultAddress}
	if !h.DefaultAddress.IsValid() && cfg.Root != "" {
		h.DefaultAddress = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if f.History.Node.Name != "" {
		h.Hostname = f.History.Node.Name
	}
	if addr, err := netip.ParseAddr(f.History.Node.AdvertiseAddress); err == nil {
		h.DefaultAddress = addr
	}
	return h
}

// ManifestsHost is what rendering needs.
func (f Facts) ManifestsHost(cfg config.Config) manifests.Host {
	return manifests.Host{CADirs: f.CADirs, ProxyEnv: f.ProxyEnv, ExternalCA: f.externalCA(cfg.Paths().PKI),
		Users: f.Accounts.Manifests()}
}

// externalCA says whether the cluster's CA is here without its key. One whose
// key an earlier run meant to write and did not is none: it is made anew.
func (f Facts) externalCA(pkiDir string) bool {
	key := filepath.Join(pkiDir, "ca.key")
	_, ours := f.History.At(key)
	return f.Look(filepath.Join(pkiDir, "ca.crt")).Kind == resource.Regular && f.Look(key).Kind == resource.Absent &&
		(!ours || f.History.SetUp)
}

// Host is the machine as steps see it in a dry-run.
func (f Facts) Host() plan.Host {
	return plan.Host{
		Now:            f.Now,
		History:        f.History,
		SupervisorRuns: func() bool { return f.SupervisorRuns },
		Look:           f.Look,
		Claim:          f.History.Claim,
	}
}

// Look says what is at a path. What follows from a parent that was looked at is
// known too: nothing is in a directory that is not there, or that does not list it.
func (f Facts) Look(path string) resource.Seen {
	if seen, ok := f.Files[path]; ok {
		return seen
	}
	for child, dir := path, filepath.Dir(path); child != dir; child, dir = dir, filepath.Dir(dir) {
		seen, ok := f.Files[dir]
		if !ok {
			continue
		}
		switch {
		case seen.Kind == resource.Absent:
			return seen
		case seen.Kind == resource.Directory && seen.Error == "" && seen.Names != nil && !slices.Contains(seen.Names, filepath.Base(child)):
			return resource.Seen{Kind: resource.Absent}
		case seen.Error != "":
			return resource.Seen{Kind: resource.Unreadable, Error: seen.Error}
		}
		break
	}
	return resource.Seen{Kind: resource.Unreadable, Error: "nobody looked at it"}
}

// ProxyEnv are the proxy variables of an environment, sorted by name: kubeadm's
// GetProxyEnvVars (cmd/kubeadm/app/util/env.go).
func ProxyEnv(environ []string) []config.Env {
	var envs []config.Env
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if strings.HasSuffix(strings.ToLower(name), "_proxy") && value != "" {
			envs = append(envs, config.Env{Name: name, Value: value})
		}
	}
	slices.SortFunc(envs, func(a, b config.Env) int { return strings.Compare(a.Name, b.Name) })
	return envs
}

func existing(dirs []string) []string {
	return slices.DeleteFunc(dirs, func(dir string) bool {
		_, err := os.Stat(dir)
		return err != nil
	})
}
