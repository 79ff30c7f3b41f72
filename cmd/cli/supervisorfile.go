package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/manifests/config/strictyaml"
)

// withSupervisorFile puts into cfg what init has left for the supervisor
// (Paths.SupervisorConfig). Without that file cfg stays as it is.
func withSupervisorFile(cfg config.Config) (config.Config, error) {
	path := cfg.Paths().SupervisorConfig
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) // a pipe must not hang us
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return cfg, nil
	}
	if err != nil {
		return cfg, fmt.Errorf("cannot read the supervisor's configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, strictyaml.MaxSize+1))
	if err != nil {
		return cfg, fmt.Errorf("cannot read the supervisor's configuration: %w", err)
	}
	d, errs := config.Parse(path, data)
	cfg, more := d.ApplySupervisor(cfg)
	if err := errors.Join(append(errs, more...)...); err != nil {
		return cfg, &usageError{err: err}
	}
	return cfg, nil
}
