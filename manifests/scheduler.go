package manifests

import (
	"strconv"

	"github.com/kubecrank/kubecrank/manifests/config"
)

func schedulerPod(cfg config.Config, host Host) pod {
	args := clientArgs(cfg, "scheduler")
	if cfg.PortOffset != 0 {
		args = append(args, arg("secure-port", strconv.Itoa(cfg.Ports().Scheduler)))
	}
	mounts := withExtra([]config.HostPathMount{kubeconfigMount(cfg, "scheduler")}, cfg.Scheduler.ExtraVolumes)
	return pod{
		Name:            Scheduler,
		Image:           cfg.Image(Scheduler),
		Command:         command(Scheduler, args, cfg.Scheduler.ExtraArgs),
		Env:             envVars(host.ProxyEnv, cfg.Scheduler.ExtraEnvs),
		Port:            int32(cfg.Ports().Scheduler),
		ProbeHost:       boundTo(cfg.Scheduler.ExtraArgs),
		StartupFailures: startupFailures(cfg),
		VolumeMounts:    volumeMounts(mounts),
		Volumes:         volumes(mounts),
		Users:           host.Users,
	}
}
