package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/cmd/hint"
	"github.com/kubecrank/kubecrank/cmd/launch"
	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/runtime/logs"
	"github.com/kubecrank/kubecrank/runtime/payload"
	"github.com/kubecrank/kubecrank/runtime/process"
	"github.com/kubecrank/kubecrank/runtime/source"
	"github.com/kubecrank/kubecrank/runtime/supervisor"
)

// superviseOptions is what supervise runs on.
type superviseOptions struct {
	manifestPath string
	manifestURL  string
	headers      []string // "Name: value", may hold secrets
	nodeName     string
	nodeIP       string
	metrics      string // address, "" for none
	adoptOnly    bool
}

func superviseVerb(a *app) verb {
	var opts superviseOptions
	return verb{
		use:   "supervise",
		short: "Run static pods in the foreground",
		group: groupLifecycle,
		long: `Run the static pods of a directory, a file or a URL, and keep them running, as a
kubelet does with its static pods. No cluster is needed. init leaves one of these
running in the background.

Manifests are JSON or YAML, one pod a file. Adding, changing or removing a file acts
at once; status says what is wrong with a file that cannot be used. How often a URL is
read, the back-off and the size of logs stand in /var/lib/kubecrank/supervisor.yaml,
below --root (kind SupervisorConfiguration), if the defaults will not do.

SIGTERM ends the supervisor and leaves the pods running; the next one adopts them
without a restart. Ctrl-C (SIGINT) stops the pods in order first; a second Ctrl-C
leaves the rest running.`,
		example: `  # The control plane that init made, for instance after a reboot
  kubecrank supervise

  # Any static pods, without a cluster; one file instead of a directory will do
  kubecrank supervise --root ~/state --pod-manifest-path ~/pods

  # Pods from a URL that asks for a token, which no argument should hold
  export KUBECRANK_MANIFEST_URL_HEADER='Authorization: Bearer TOKEN'
  kubecrank supervise --manifest-url https://config.example.com/pods.yaml`,
		flags: opts.add,
		run:   func(ctx context.Context, c call) error { return a.runSupervise(ctx, c.flags, opts) },
	}
}

func (o *superviseOptions) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.manifestPath, "pod-manifest-path", "",
		"Directory with static pods, or one `file`. Default: /etc/kubernetes/manifests, below --root.")
	flags.StringVar(&o.manifestURL, "manifest-url", "",
		"`URL` of a pod or a PodList; read beside the directory.")
	flags.StringArrayVar(&o.headers, "manifest-url-header", nil,
		"`Header` to send to the URL, as 'Name: value'; may be given several times. Other users can read arguments: "+
			"put a secret into KUBECRANK_MANIFEST_URL_HEADER or the settings file.")
	flags.StringVar(&o.nodeName, "node-name", "",
		"The node's name, which ends the names of the pods. Default: init's, or else the host name, in lower case.")
	flags.StringVar(&o.nodeIP, "node-ip", "",
		"The node's IP `address`, for pods that ask for status.hostIP. Default: init's.")
	flags.StringVar(&o.metrics, "metrics-address", "",
		"Loopback `address` and port for Prometheus metrics, such as 127.0.0.1:10260. Default: on the control socket alone.")
	flags.BoolVar(&o.adoptOnly, "adopt-only", false, "")
	_ = flags.MarkHidden("adopt-only") // an error means that there is no such flag
}

// wanted is launch.Wanted with this run's environment.
func (a *app) wanted() error { return launch.Wanted(a.stdio.getenv(launch.StartedBy)) }

func (a *app) runSupervise(ctx context.Context, set *pflag.FlagSet, opts superviseOptions) error {
	if err := a.wanted(); err != nil {
		return err
	}
	known, err := a.remember()
	if err != nil && !opts.adoptOnly { // pods are stopped whatever the journal says
		return err
	}
	if !opts.adoptOnly {
		if err := a.samePorts("supervise", set, known); err != nil {
			return err
		}
	}
	cfg, err := opts.config(known)
	if err != nil {
		return err
	}
	sources, err := opts.sources(cfg)
	if err != nil {
		return err
	}
	rt, err := a.processRuntime(ctx, cfg)
	if err != nil {
		return err
	}
	paths := cfg.Paths()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	a.onSignals(ctx, cancel, sync.OnceFunc(func() { close(stop) }))
	if os.Getpid() == 1 { // the first process of a container: every orphan is ours
		go rt.Reap(ctx)
	}
	return supervisor.Run(ctx, supervisor.Options{
		Runtime:        rt,
		RuntimeName:    config.RuntimeProcess,
		Sources:        sources,
		SocketPath:     paths.Socket,
		LockPath:       paths.SupervisorLock,
		StateDir:       paths.PodState,
		EventsPath:     paths.Events,
		Version:        buildVersion().Version,
		Log:            a.stdio.Err,
		LogPath:        a.ownLog(paths.SupervisorLog),
		LogPolicy:      logs.Policy{MaxBytes: cfg.Supervisor.LogMaxSize, MaxFiles: cfg.Supervisor.LogMaxFiles},
		MetricsAddress: cfg.Supervisor.MetricsAddress,
		Certificates:   a.expiryMetrics,
		BackOff:        supervisor.BackOffLimits{Initial: cfg.Supervisor.BackOffInitial, Max: cfg.Supervisor.BackOffMax},
		Locked:         a.wanted,
		Stop:           stop,
	})
}

// config is what the flags say, on top of what init settled on. Another name
// or address than init's would restart every pod, as another node's.
func (o superviseOptions) config(known remembered) (config.Config, error) {
	cfg := known.cfg
	if o.nodeName != "" {
		name := strings.ToLower(strings.TrimSpace(o.nodeName))
		if err := sameAs("supervise", "node-name", cfg.Node.Name, name); err != nil {
			return cfg, err
		}
		cfg.Node.Name = name
	}
	if o.nodeIP != "" {
		addr, err := config.ParseAddr(o.nodeIP)
		if err != nil {
			return cfg, usage("cannot use --node-ip: %w", err)
		}
		if was := cfg.Node.AdvertiseAddress; was.IsValid() {
			if err := sameAs("supervise", "node-ip", was.String(), addr.Unmap().String()); err != nil {
				return cfg, err
			}
		}
		cfg.Node.AdvertiseAddress = addr
	}
	hostname, _ := os.Hostname() // without one, --node-name is needed
	cfg = cfg.Complete(config.HostFacts{Hostname: hostname})
	if cfg.Node.Name == "" {
		return cfg, hint.With(usage("cannot supervise: the machine has no host name"), "give one with --node-name")
	}
	if !o.adoptOnly { // pods are stopped whatever the file says
		var err error
		if cfg, err = withSupervisorFile(cfg); err != nil {
			return cfg, err
		}
	}
	if o.metrics != "" {
		if err := config.CheckMetricsAddress(o.metrics); err != nil {
			return cfg, hint.With(usage("cannot use --metrics-address %s: %w", o.metrics, err), "such as 127.0.0.1:10260")
		}
		cfg.Supervisor.MetricsAddress = o.metrics
	}
	return cfg, nil
}

// ownLog is the log file of a supervisor in the background, if that is where our output goes, for append; else "".
func (a *app) ownLog(path string) string {
	out, ok := a.stdio.Err.(*os.File)
	if !ok {
		return ""
	}
	at, err := out.Stat()
	if err != nil {
		return ""
	}
	file, err := os.Lstat(path)
	if err != nil || !file.Mode().IsRegular() || !os.SameFile(at, file) {
		return ""
	}
	flags, err := unix.FcntlInt(out.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_APPEND == 0 {
		return ""
	}
	return path
}

// processRuntime is the runtime on host processes. It keeps its own records
// beside the supervisor's.
func (a *app) processRuntime(ctx context.Context, cfg config.Config) (*process.Runtime, error) {
	paths := cfg.Paths()
	components, err := a.verifiedComponents(ctx, paths)
	if err != nil {
		return nil, err
	}
	hostIP := ""
	if cfg.Node.AdvertiseAddress.IsValid() {
		hostIP = cfg.Node.AdvertiseAddress.String()
	}
	return process.New(process.Options{
		Root:          cfg.Root,
		ComponentsDir: components,
		LogDir:        paths.PodLogs,
		StateDir:      filepath.Join(paths.PodState, "processes"),
		HostIP:        hostIP,
		LogMaxBytes:   cfg.Supervisor.LogMaxSize,
		LogMaxFiles:   cfg.Supervisor.LogMaxFiles,
	})
}

// verifiedComponents is the directory of the components. init, which has just
// staged them, names it; a supervisor that starts at boot checks and repairs
// what is staged, because the machine may have lost power.
func (a *app) verifiedComponents(ctx context.Context, paths config.Paths) (string, error) {
	if a.global.componentsDir != "" {
		return a.global.componentsDir, nil
	}
	p, ok := payload.Embedded()
	if !ok {
		return "", nil
	}
	dir := filepath.Join(paths.Components, p.Digest())
	if _, err := os.Lstat(dir); err != nil {
		return a.stagedBefore(paths), nil
	}
	return dir, p.Stage(ctx, dir)
}

// stagedBefore is the directory that another version of this program has staged, "" for none.
func (a *app) stagedBefore(paths config.Paths) string {
	if all := stagedBinaries(paths, "kube-apiserver"); len(all) > 1 {
		return filepath.Dir(all[len(all)-1])
	}
	return ""
}

// sources are where the static pods come from: none when running pods are only to be adopted and stopped.
func (o superviseOptions) sources(cfg config.Config) ([]source.Source, error) {
	if o.adoptOnly {
		return nil, nil
	}
	path := o.manifestPath
	if path == "" {
		path = cfg.Paths().Manifests
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot use --pod-manifest-path: %w", err)
	}
	told := cfg.Supervisor
	sources := []source.Source{&source.Directory{Path: path, NodeName: cfg.Node.Name, Period: told.FileCheckFrequency}}
	if o.manifestURL == "" {
		if len(o.headers) > 0 {
			return nil, usage("cannot use --manifest-url-header: there is no --manifest-url")
		}
		if told.ManifestURL != "" { // its form was checked when the file was read
			sources = append(sources, &source.URL{Address: told.ManifestURL, Header: told.ManifestURLHeader,
				NodeName: cfg.Node.Name, Period: told.HTTPCheckFrequency})
		}
		return sources, nil
	}
	u, err := url.Parse(o.manifestURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		err := usage("cannot use --manifest-url: it is no http or https URL")
		return nil, hint.With(err, "such as https://config.example.com/pods.yaml")
	}
	header := http.Header{}
	for _, h := range o.headers {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, hint.With(usage("cannot use --manifest-url-header: it is no 'Name: value'"),
				"such as --manifest-url-header 'Authorization: Bearer TOKEN'")
		}
		header.Add(name, strings.TrimSpace(value))
	}
	return append(sources, &source.URL{Address: o.manifestURL, Header: header, NodeName: cfg.Node.Name,
		Period: told.HTTPCheckFrequency}), nil
}

// onSignals makes SIGTERM and SIGHUP leave the pods running, and SIGINT stop
// them first; a second SIGINT leaves the rest. Neither needs the control socket.
func (a *app) onSignals(ctx context.Context, leave context.CancelFunc, stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	log := slog.New(slog.NewTextHandler(a.stdio.Err, nil))
	go func() {
		defer signal.Stop(signals)
		stopping := false
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				if s != syscall.SIGINT || stopping {
					log.Info("leaving the pods running", "signal", s.String())
					leave()
					return
				}
				stopping = true
				log.Info("stopping the pods; Ctrl-C again leaves them running")
				stop()
			}
		}
	}()
}

// expiryMetrics is what the supervisor serves of the certificates.
func (a *app) expiryMetrics() []supervisor.Certificate {
	var all []supervisor.Certificate
	for _, c := range a.certificates(time.Now()) {
		all = append(all, supervisor.Certificate{Name: c.Name, Path: c.Path, Expires: c.Expires})
	}
	return all
}
