package manifests

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
)

func etcdPod(cfg config.Config, host Host) pod {
	metrics := cfg.EtcdMetrics()
	p := base(cfg, Etcd)
	p.Address = url("https", cfg.Node.AdvertiseAddress.String(), cfg.Ports().EtcdClient)
	p.Command = command(Etcd, etcdArgs(cfg), cfg.Etcd.ExtraArgs)
	p.Env = mergeEnvs(cfg.Etcd.ExtraEnvs)
	p.Image = cfg.EtcdImage()
	p.Port, p.ProbeHost, p.ProbeScheme = int32(metrics.Port), metrics.Host, strings.ToUpper(metrics.Scheme)
	p.Mounts = etcdMounts(cfg)
	p.Volumes = byName(p.Mounts)
	if host.Users != nil {
		p.User = &user{User: host.Users.Etcd}
	}
	return p
}

func apiServerPod(cfg config.Config, host Host) pod {
	p := base(cfg, APIServer)
	p.Address = config.JoinHostPort(cfg.Node.AdvertiseAddress.String(), cfg.Ports().APIServer)
	if cfg.Etcd.External == nil {
		p.StopBefore = Etcd // an API server that loses etcd first hangs in its own shutdown
	}
	p.Command = command(APIServer, apiServerArgs(cfg), cfg.APIServer.ExtraArgs)
	p.Env = mergeEnvs(host.ProxyEnv, cfg.APIServer.ExtraEnvs)
	p.Port, p.ProbeHost = int32(cfg.Ports().APIServer), probeHost(cfg.Node.AdvertiseAddress.String())
	p.Mounts = apiServerMounts(cfg, host)
	p.Volumes = p.Mounts
	if host.Users != nil {
		p.User = &user{User: host.Users.APIServer, SupplementalGroups: []int64{host.Users.KeyReaders}, BindsLowPorts: true}
	}
	return p
}

func controllerManagerPod(cfg config.Config, host Host) pod {
	p := base(cfg, ControllerManager)
	p.Command = command(ControllerManager, controllerManagerArgs(cfg, host), cfg.ControllerManager.ExtraArgs)
	p.Env = mergeEnvs(host.ProxyEnv, cfg.ControllerManager.ExtraEnvs)
	p.Port, p.ProbeHost = int32(cfg.Ports().ControllerManager), boundTo(cfg.ControllerManager.ExtraArgs)
	p.Mounts = controllerManagerMounts(cfg, host)
	p.Volumes = p.Mounts
	if host.Users != nil {
		p.User = &user{User: host.Users.ControllerManager, SupplementalGroups: []int64{host.Users.KeyReaders}}
	}
	return p
}

func schedulerPod(cfg config.Config, host Host) pod {
	p := base(cfg, Scheduler)
	p.Command = command(Scheduler, schedulerArgs(cfg), cfg.Scheduler.ExtraArgs)
	p.Env = mergeEnvs(host.ProxyEnv, cfg.Scheduler.ExtraEnvs)
	p.Port, p.ProbeHost = int32(cfg.Ports().Scheduler), boundTo(cfg.Scheduler.ExtraArgs)
	p.Mounts = schedulerMounts(cfg)
	p.Volumes = p.Mounts
	if host.Users != nil {
		p.User = &user{User: host.Users.Scheduler}
	}
	return p
}

func base(cfg config.Config, name string) pod {
	const period = 10 * time.Second
	return pod{
		Name:            name,
		Image:           cfg.Image(name),
		ProbeScheme:     "HTTPS",
		StartupFailures: int32((cfg.Timeouts.ControlPlaneComponentHealthCheck + period - 1) / period),
	}
}

// boundTo is the host to probe of a component that listens on the loopback
// address unless an extra argument says otherwise.
func boundTo(extra []config.Arg) string {
	if address, ok := config.ArgValue(extra, "bind-address"); ok {
		return probeHost(address)
	}
	return "127.0.0.1"
}

// probeHost is "", the pod's own IP, for an address that stands for all (kubernetes/kubernetes#86504).
func probeHost(address string) string {
	if address == "0.0.0.0" || address == "::" {
		return ""
	}
	return address
}

// mergeEnvs sorts by name; of two variables with one name the later counts.
func mergeEnvs(lists ...[]config.Env) []config.Env {
	merged := map[string]config.Env{}
	for _, e := range slices.Concat(lists...) {
		if from := e.ValueFrom; from != nil && from.FieldRef != nil && from.FieldRef.APIVersion == "" {
			e.ValueFrom = from.DeepCopy()
			e.ValueFrom.FieldRef.APIVersion = "v1" // kubeadm writes this default out
		}
		merged[e.Name] = e
	}
	return slices.SortedFunc(maps.Values(merged), func(a, b config.Env) int { return cmp.Compare(a.Name, b.Name) })
}
