package cli

import (
	"strconv"

	"github.com/kubecrank/kubecrank/cmd/launch"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/runtime/supervisor"
)

// background returns the supervisor of a configuration, which runs or can be started.
func (a *app) background(cfg config.Config) *launch.Supervisor {
	args := []string{"supervise"}
	if a.global.root != "" {
		args = append(args, "--root", a.global.root)
	}
	for _, uid := range a.global.trustOwners {
		args = append(args, "--"+trustOwner, strconv.FormatUint(uint64(uid), 10))
	}
	if dir := a.componentsFor(cfg); dir != "" {
		args = append(args, "--components-dir", dir)
	}
	if cfg.Node.Name != "" {
		args = append(args, "--node-name", cfg.Node.Name)
	}
	if cfg.Node.AdvertiseAddress.IsValid() {
		args = append(args, "--node-ip", cfg.Node.AdvertiseAddress.String())
	}
	return &launch.Supervisor{
		Client:     a.client(),
		Executable: a.stdio.Executable,
		Args:       args,
		Path:       a.stdio.getenv("PATH"),
		Log:        cfg.Paths().SupervisorLog,
		Lock:       cfg.Paths().SupervisorLock,
	}
}

// client talks to the supervisor of this root.
func (a *app) client() *supervisor.Client {
	return supervisor.NewClient(config.PathsBelow(a.global.root).Socket)
}
