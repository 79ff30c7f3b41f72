package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
	"github.com/kubecrank/kubecrank/runtime"
	"github.com/kubecrank/kubecrank/test/largest"
)

// product is kubecrank as a user runs it.
type product struct {
	options
	root string // does not exist before init
}

// productRun is one run of init and reset.
type productRun struct {
	ready   time.Duration            // from the start of init until all four answer
	at      map[string]time.Duration // when each answered
	started map[string]time.Duration // when each process was started
	cpu     map[string]time.Duration // what each process had used when all were ready; the supervisor's too
	phases  map[string]time.Duration // how long each phase took; they overlap
	total   time.Duration            // until init returned
	reset   time.Duration
}

// init are the arguments of init.
func (p *product) init() []string {
	return []string{"init", "--apiserver-advertise-address", "127.0.0.1", "-o", "json"}
}

func (p *product) command(ctx context.Context, args ...string) *exec.Cmd {
	all := append([]string{"--root", p.root, "--port-offset", strconv.Itoa(p.offset)}, args...)
	cmd := exec.CommandContext(ctx, p.program, all...)
	cmd.WaitDelay = time.Second
	return cmd
}

// kubecrank runs the program and returns its output.
func (p *product) kubecrank(ctx context.Context, args ...string) ([]byte, error) {
	cmd := p.command(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("kubecrank %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

// run brings a control plane up from nothing, and resets it.
func (p *product) run(ctx context.Context) (r productRun, err error) {
	if r, err = p.up(ctx); err != nil {
		return r, errors.Join(err, p.down(context.WithoutCancel(ctx)))
	}
	start := time.Now()
	if err := p.down(ctx); err != nil {
		return r, err
	}
	r.reset = time.Since(start)
	if _, err := os.Lstat(p.root); !errors.Is(err, os.ErrNotExist) {
		return r, fmt.Errorf("reset leaves %s: %w", p.root, err)
	}
	return r, nil
}

func (p *product) down(ctx context.Context) error {
	_, err := p.kubecrank(ctx, "reset", "--force")
	return err
}

func (p *product) up(ctx context.Context) (r productRun, err error) {
	start := time.Now()
	ready := make(chan error, 1)
	go func() {
		var err error
		r.at, err = waitReady(ctx, start, endpoints(p.offset)...)
		ready <- err
	}()
	out, err := p.kubecrank(ctx, p.init()...)
	if err != nil {
		return r, err
	}
	r.total = time.Since(start)
	if err := <-ready; err != nil {
		return r, err
	}
	r.ready = last(r.at)
	var summary struct {
		Phases []struct {
			Name    string
			Seconds float64
		}
	}
	if err := json.Unmarshal(out, &summary); err != nil {
		return r, fmt.Errorf("init -o json: %w", err)
	}
	r.phases = map[string]time.Duration{}
	for _, ph := range summary.Phases {
		r.phases[ph.Name] = time.Duration(ph.Seconds * float64(time.Second))
	}
	status, err := p.status(ctx)
	if err != nil {
		return r, err
	}
	r.started, r.cpu = map[string]time.Duration{}, map[string]time.Duration{}
	for _, pod := range status.Pods {
		if pod.StartedAt != nil {
			r.started[pod.Name] = pod.StartedAt.Sub(start)
		}
		stat, err := procfs.ReadStat(pod.PID)
		if err != nil {
			return r, err
		}
		r.cpu[pod.Name] = stat.CPU
	}
	stat, err := procfs.ReadStat(status.Supervisor.PID)
	r.cpu["supervisor"] = stat.CPU
	return r, err
}

// status is what the supervisor says. While a pod is not ready the exit code is
// not 0, and the answer is an answer all the same.
func (p *product) status(ctx context.Context) (s runtime.Status, err error) {
	out, exit := p.command(ctx, "status", "-o", "json").Output()
	if err := json.Unmarshal(out, &s); err != nil {
		return s, errors.Join(exit, fmt.Errorf("status -o json: %w", err))
	}
	return s, nil
}

// dryRun is the time of one init --dry-run with these arguments.
func (p *product) dryRun(ctx context.Context, args ...string) (time.Duration, error) {
	start := time.Now()
	_, err := p.kubecrank(ctx, append([]string{"init", "--dry-run"}, args...)...)
	return time.Since(start), err
}

// largestFile writes a kubeadm file with every field in it, and n items in each list.
func (p *product) largestFile(n int) (string, error) {
	return largest.Write(fmt.Sprintf("%s-largest-%d", p.root, n), n)
}

// again is the time of an init on a healthy node.
func (p *product) again(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	_, err := p.kubecrank(ctx, p.init()...)
	return time.Since(start), err
}

// restart kills one component, and returns how long it took until it was
// started again, and until it was ready again.
func (p *product) restart(ctx context.Context, name string) (started, ready time.Duration, err error) {
	before, err := p.pod(ctx, name)
	if err != nil {
		return 0, 0, err
	}
	killed := time.Now()
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		return 0, 0, err
	}
	for {
		after, err := p.pod(ctx, name)
		if err != nil {
			return 0, 0, err
		}
		if after.PID != 0 && after.PID != before.PID && after.StartedAt != nil {
			started = after.StartedAt.Sub(killed)
			break
		}
		if time.Since(killed) > patience {
			return 0, 0, fmt.Errorf("%s is not started again", name)
		}
	}
	at, err := waitReady(ctx, killed, endpoints(p.offset)...)
	if err != nil {
		return 0, 0, err
	}
	return started, at[name], p.settle(ctx)
}

// settle waits until the supervisor counts all pods as ready.
func (p *product) settle(ctx context.Context) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if s, err := p.status(ctx); err == nil && s.Ready {
			return nil
		}
	}
	return errors.New("the pods do not become ready again")
}

func (p *product) pod(ctx context.Context, name string) (runtime.PodStatus, error) {
	s, err := p.status(ctx)
	for _, pod := range s.Pods {
		if pod.Name == name {
			return pod, err
		}
	}
	return runtime.PodStatus{}, errors.Join(err, fmt.Errorf("status knows no %s", name))
}
