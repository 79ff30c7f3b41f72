package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/runtime/supervisor"
)

// pods are static pods without a cluster, each one sleeping process, and their supervisor.
//
//	latencies:  one pod after the other is added, killed, changed and removed; the supervisor's own events say when it acted
//	each size:  the supervisor is ended and started again: it adopts them all; later, when nothing happens, it is watched
type pods struct {
	options
	root   string
	dir    string // of the manifests
	client *supervisor.Client
	cmd    *exec.Cmd // the supervisor
	number int       // of pods
}

// podFigures is what was measured.
type podFigures struct {
	added, exited, changed, restarted, removed []time.Duration
	sizes                                      []podSize
	stop                                       time.Duration // of all of the last size
}

// podSize is a supervisor with so many pods.
type podSize struct {
	pods  int
	tcp   bool // each with a readiness probe by TCP, every ten seconds
	adopt time.Duration
	idle  idle
}

const podManifest = `apiVersion: v1
kind: Pod
metadata:
  name: %s
  annotations: {bench: "%d"}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 5
  containers:
  - name: main
    image: none
    command: [sleep, infinity]
`

const podProbe = `    readinessProbe:
      tcpSocket: {host: 127.0.0.1, port: %d}
`

// samples is how often each latency is measured.
const samples = 20

// measurePods does all of it.
func measurePods(ctx context.Context, o options, base string) (f podFigures, err error) {
	p := &pods{options: o, root: filepath.Join(base, "pods"), dir: filepath.Join(base, "manifests")}
	p.client = supervisor.NewClient(config.PathsBelow(p.root).Socket)
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		return f, err
	}
	if err := p.start(ctx); err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.end(context.WithoutCancel(ctx), &f)) }()
	if err := p.latencies(ctx, &f); err != nil {
		return f, err
	}
	for _, n := range o.pods {
		size, err := p.size(ctx, n, "")
		if err != nil {
			return f, err
		}
		f.sizes = append(f.sizes, size)
	}
	size, err := p.withProbes(ctx)
	f.sizes = append(f.sizes, size)
	return f, err
}

// start starts the supervisor and waits until it answers.
func (p *pods) start(ctx context.Context) error {
	log, err := os.OpenFile(p.root+".log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the supervisor has its own
	p.cmd = exec.Command(p.program, "--root", p.root, "supervise", "--pod-manifest-path", p.dir)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return err
	}
	return p.until(ctx, "the supervisor answers", func(runtime.Status) error { return nil })
}

// until asks for the status until it is as wanted.
func (p *pods) until(ctx context.Context, what string, wanted func(runtime.Status) error) error {
	end := time.Now().Add(2 * patience)
	for {
		s, err := p.client.Status(ctx)
		if err == nil {
			err = wanted(s)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return fmt.Errorf("cannot wait until %s: %w; its log is %s.log", what, err, p.root)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// running waits until all pods run and are ready, and returns the processes.
func (p *pods) running(ctx context.Context) (pids map[string]int, err error) {
	err = p.until(ctx, "all pods are ready", func(s runtime.Status) error {
		pids = map[string]int{}
		for _, pod := range s.Pods {
			if pod.Ready && pod.PID != 0 {
				pids[pod.Name] = pod.PID
			}
		}
		if len(pids) != p.number || len(s.Pods) != p.number {
			return fmt.Errorf("%d of %d are", len(pids), p.number)
		}
		return nil
	})
	return pids, err
}

// put writes a manifest as careful programs do, and returns when it was there.
func (p *pods) put(name string, version int, probe string) (time.Time, error) {
	tmp := filepath.Join(p.dir, ".tmp")
	if err := os.WriteFile(tmp, fmt.Appendf(nil, podManifest+"%s", name, version, probe), 0o600); err != nil {
		return time.Time{}, err
	}
	now := time.Now()
	return now, os.Rename(tmp, filepath.Join(p.dir, name+".yaml"))
}

// size brings the number of pods to n, has a new supervisor adopt them, and watches it.
func (p *pods) size(ctx context.Context, n int, probe string) (size podSize, err error) {
	fmt.Fprintf(os.Stderr, "a supervisor with %d pods\n", n)
	for ; p.number < n; p.number++ {
		if _, err := p.put(fmt.Sprintf("pod-%04d", p.number), 1, probe); err != nil {
			return size, err
		}
	}
	before, err := p.running(ctx)
	if err != nil {
		return size, err
	}
	// Its records are written one after the other, and synced. What is not written is probed anew, at a random moment of the period.
	if err := wait(ctx, time.Second+time.Duration(n)*10*time.Millisecond); err != nil {
		return size, err
	}
	if err := p.cmd.Process.Kill(); err != nil {
		return size, err
	}
	_ = p.cmd.Wait() // it was killed
	began := time.Now()
	if err := p.start(ctx); err != nil {
		return size, err
	}
	after, err := p.running(ctx)
	if err != nil {
		return size, err
	}
	size = podSize{pods: n, tcp: probe != "", adopt: time.Since(began)}
	for name, pid := range before {
		if after[name] != pid {
			return size, fmt.Errorf("%s was restarted by the adoption", name)
		}
	}
	if err := wait(ctx, settled-time.Since(began)); err != nil {
		return size, err
	}
	size.idle, err = watchIdle(ctx, p.cmd.Process.Pid, p.idle/2)
	return size, err
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settled is when a supervisor has given back the memory of its start (runtime/supervisor/slim.go).
const settled = 17 * time.Second

// withProbes is the last size again, with a probe for each pod that somebody answers.
func (p *pods) withProbes(ctx context.Context) (podSize, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return podSize{}, err
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	files, err := filepath.Glob(filepath.Join(p.dir, "*.yaml"))
	if err != nil {
		return podSize{}, err
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			return podSize{}, err
		}
	}
	n := p.number
	p.number = 0
	if _, err := p.running(ctx); err != nil {
		return podSize{}, err
	}
	return p.size(ctx, n, fmt.Sprintf(podProbe, l.Addr().(*net.TCPAddr).Port))
}

// end stops the pods and their supervisor.
func (p *pods) end(ctx context.Context, f *podFigures) error {
	began := time.Now()
	if err := p.client.Stop(ctx, nil); err != nil {
		return err
	}
	f.stop = time.Since(began)
	return p.cmd.Wait()
}
