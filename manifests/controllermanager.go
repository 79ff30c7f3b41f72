package manifests

import (
	"path"
	"strconv"

	"github.com/kubecrank/kubecrank/manifests/config"
)

func controllerManagerPod(cfg config.Config, host Host) pod {
	mounts := controllerManagerMounts(cfg, host)
	return pod{
		Name:            ControllerManager,
		Image:           cfg.Image(ControllerManager),
		Command:         command(ControllerManager, controllerManagerArgs(cfg, host), cfg.ControllerManager.ExtraArgs),
		Env:             envVars(host.ProxyEnv, cfg.ControllerManager.ExtraEnvs),
		Port:            int32(cfg.Ports().ControllerManager),
		ProbeHost:       boundTo(cfg.ControllerManager.ExtraArgs),
		StartupFailures: startupFailures(cfg),
		VolumeMounts:    volumeMounts(mounts),
		Volumes:         volumes(mounts),
		Users:           host.Users,
	}
}

func controllerManagerArgs(cfg config.Config, host Host) []config.Arg {
	pki := func(name string) string { return path.Join(cfg.CertificatesDir, name) }
	signingCert, signingKey := pki("ca.crt"), pki("ca.key")
	if host.ExternalCA { // then the controller that signs CSRs does not start
		signingCert, signingKey = "", ""
	}
	args := append(clientArgs(cfg, "controller-manager"),
		arg("client-ca-file", pki("ca.crt")),
		arg("cluster-signing-cert-file", signingCert),
		arg("cluster-signing-key-file", signingKey),
		arg("controllers", "*,bootstrapsigner,tokencleaner"),
		arg("requestheader-client-ca-file", pki("front-proxy-ca.crt")),
		arg("root-ca-file", pki("ca.crt")),
		arg("service-account-private-key-file", pki("sa.key")),
		arg("use-service-account-credentials", "true"),
	)
	if cfg.ClusterName != "" {
		args = append(args, arg("cluster-name", cfg.ClusterName))
	}
	if len(cfg.Networking.PodSubnets) > 0 {
		args = append(args,
			arg("allocate-node-cidrs", "true"),
			arg("cluster-cidr", config.JoinSubnets(cfg.Networking.PodSubnets)),
			arg("service-cluster-ip-range", config.JoinSubnets(cfg.Networking.ServiceSubnets)))
	}
	if cfg.PortOffset != 0 {
		args = append(args, arg("secure-port", strconv.Itoa(cfg.Ports().ControllerManager)))
	}
	if ownFlexVolumes(cfg) {
		args = append(args, arg(flexVolumeFlag, cfg.Paths().FlexVolumes))
	}
	return args
}

func controllerManagerMounts(cfg config.Config, host Host) []config.HostPathMount {
	mounts := append(certificateMounts(cfg, host), kubeconfigMount(cfg, "controller-manager"))
	if cfg.Minor() < 36 { // kubeadm 1.36 has dropped it
		dir, ok := config.ArgValue(cfg.ControllerManager.ExtraArgs, flexVolumeFlag)
		if !ok {
			dir = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec"
			if ownFlexVolumes(cfg) {
				dir = cfg.Paths().FlexVolumes
			}
		}
		mounts = append(mounts, samePath("flexvolume-dir", dir, false, dirOrCreate))
	}
	return withExtra(mounts, cfg.ControllerManager.ExtraVolumes)
}

const flexVolumeFlag = "flex-volume-plugin-dir"

// ownFlexVolumes reports whether the controller manager gets a directory of
// ours for its FlexVolume drivers. At its start it makes a missing directory,
// and exits if it cannot (pkg/volume/flexvolume/probe.go). In a container that
// directory stays in the container; a host process would make it on the host.
func ownFlexVolumes(cfg config.Config) bool {
	return cfg.Runtime == config.RuntimeProcess || cfg.Root != ""
}
