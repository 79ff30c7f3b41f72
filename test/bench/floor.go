package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/procfs"
)

// floor is the fastest way to the same control plane: no staging, no
// certificates to make, nothing but the processes in their best order.
type floor struct {
	root     string // its /etc/kubernetes is prepared
	bin      string // the components, one symlink each
	offset   int
	commands map[string][]string // as in the manifests
}

// floorRun is one run of the floor.
type floorRun struct {
	ready time.Duration // until all four are
	at    map[string]time.Duration
	cpu   map[string]time.Duration // what each had used when all were ready
	stop  time.Duration
}

// prepareFloor lets kubecrank make certificates and manifests for root, resets,
// and puts those files back: the floor then runs with the very same flags.
func prepareFloor(ctx context.Context, o options, root string) (*floor, error) {
	p := &product{options: o, root: root}
	f := &floor{root: root, bin: root + "-bin", offset: o.offset, commands: map[string][]string{}}
	if _, err := p.kubecrank(ctx, p.init()...); err != nil {
		return nil, err
	}
	kept := root + "-etc"
	copied := exec.CommandContext(ctx, "cp", "-a", filepath.Join(root, "etc"), kept)
	if out, err := copied.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cp: %w: %s", err, out)
	}
	if _, err := p.kubecrank(ctx, "reset", "--force"); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	if err := os.Rename(kept, filepath.Join(root, "etc")); err != nil {
		return nil, err
	}
	if err := f.readManifests(); err != nil {
		return nil, err
	}
	return f, f.link(o.components)
}

func (f *floor) readManifests() error {
	files, err := filepath.Glob(filepath.Join(f.root, "etc/kubernetes/manifests/*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var pod corev1.Pod
		if err := yaml.UnmarshalStrict(data, &pod); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		f.commands[pod.Name] = pod.Spec.Containers[0].Command
	}
	if len(f.commands) != 4 {
		return fmt.Errorf("there are %d manifests, not 4", len(f.commands))
	}
	return nil
}

// link copies the binary, as staging does, and makes a symlink for each program.
func (f *floor) link(components string) error {
	if err := os.MkdirAll(f.bin, 0o755); err != nil {
		return err
	}
	in, err := os.Open(components)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(f.bin, "components"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, copyErr := io.Copy(out, in)
	errs := []error{copyErr, out.Close()}
	for name := range f.commands {
		errs = append(errs, os.Symlink("components", filepath.Join(f.bin, name)))
	}
	return errors.Join(errs...)
}

// run starts everything from an empty etcd, waits until all is ready, and stops it again.
func (f *floor) run(ctx context.Context) (r floorRun, err error) {
	data := filepath.Join(f.root, "var/lib/etcd")
	if err := errors.Join(os.RemoveAll(data), os.MkdirAll(data, 0o700)); err != nil {
		return r, err
	}
	procs := map[string]*exec.Cmd{}
	defer func() {
		for _, cmd := range procs {
			_ = cmd.Process.Kill() // those that are left after an error
			_ = cmd.Wait()
		}
	}()
	start := time.Now()
	ready := make(chan error, 1)
	go func() {
		var err error
		r.at, err = waitReady(ctx, start, endpoints(f.offset)...)
		ready <- err
	}()
	if err := f.start(procs, "etcd", "kube-apiserver"); err != nil {
		return r, err
	}
	if _, err := waitReady(ctx, start, livez(f.offset)); err != nil {
		return r, err
	}
	if err := f.start(procs, "kube-controller-manager", "kube-scheduler"); err != nil {
		return r, err
	}
	if err := <-ready; err != nil {
		return r, err
	}
	r.ready = last(r.at)
	r.cpu = map[string]time.Duration{}
	for name, cmd := range procs {
		stat, err := procfs.ReadStat(cmd.Process.Pid)
		if err != nil {
			return r, err
		}
		r.cpu[name] = stat.CPU
	}
	r.stop = f.stop(procs)
	return r, nil
}

func (f *floor) start(procs map[string]*exec.Cmd, names ...string) error {
	for _, name := range names {
		argv := f.commands[name]
		log, err := os.Create(filepath.Join(f.bin, name+".log"))
		if err != nil {
			return err
		}
		cmd := exec.Command(filepath.Join(f.bin, argv[0]), argv[1:]...)
		cmd.Stdout, cmd.Stderr = log, log
		cmd.Env = []string{"PATH=/usr/bin:/bin"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		err = cmd.Start()
		log.Close() // the child has its own
		if err != nil {
			return fmt.Errorf("cannot start %s: %w", strings.Join(argv, " "), err)
		}
		procs[name] = cmd
	}
	return nil
}

// stop stops everything in the best order: etcd last.
func (f *floor) stop(procs map[string]*exec.Cmd) time.Duration {
	start := time.Now()
	for _, names := range [][]string{{"kube-scheduler", "kube-controller-manager", "kube-apiserver"}, {"etcd"}} {
		for _, name := range names {
			_ = procs[name].Process.Signal(syscall.SIGTERM) // it may have ended: Wait tells
		}
		for _, name := range names {
			_ = procs[name].Wait() // how it ends does not matter here
			delete(procs, name)
		}
	}
	return time.Since(start)
}
