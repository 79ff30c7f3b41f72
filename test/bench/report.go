package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kubecrank/kubecrank/test/largest"
)

// report is all that was measured.
type report struct {
	pairs    []pair
	dryRuns  []time.Duration
	every    []time.Duration // dry-runs of a file with every field in it
	largest  []time.Duration // and of the largest one
	again    []time.Duration
	idle     idle
	restarts []restart
	size     int64
}

// restart is what happened after the kill of one component.
type restart struct {
	name           string
	started, ready time.Duration
}

// dryRuns is how often the dry-run and the second init are measured.
const repeats = 10

// single measures what the floor has no like of, on one control plane.
func (r *report) single(ctx context.Context, p *product) (err error) {
	info, err := os.Stat(p.program)
	if err != nil {
		return err
	}
	r.size = info.Size()
	if err := r.measureDryRuns(ctx, p); err != nil {
		return err
	}
	if _, err := p.up(ctx); err != nil {
		return err
	}
	defer func() {
		if downErr := p.down(context.WithoutCancel(ctx)); err == nil {
			err = downErr
		}
	}()
	for range repeats {
		t, err := p.again(ctx)
		if err != nil {
			return err
		}
		r.again = append(r.again, t)
	}
	status, err := p.status(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "watching the idle supervisor for %s\n", p.idle)
	if r.idle, err = watchIdle(ctx, status.Supervisor.PID, p.idle); err != nil {
		return err
	}
	// The API server comes last: when it is gone, the controller manager may end by
	// itself, and its next restart would have to wait for the back-off.
	for _, name := range []string{"kube-scheduler", "kube-controller-manager", "etcd", "kube-apiserver"} {
		started, ready, err := p.restart(ctx, name)
		if err != nil {
			return err
		}
		r.restarts = append(r.restarts, restart{name, started, ready})
	}
	return nil
}

func (r *report) measureDryRuns(ctx context.Context, p *product) error {
	every, err := p.largestFile(2)
	if err != nil {
		return err
	}
	most, err := p.largestFile(largest.Most)
	if err != nil {
		return err
	}
	for _, m := range []struct {
		into *[]time.Duration
		args []string
	}{
		{&r.dryRuns, []string{"--apiserver-advertise-address", "127.0.0.1"}},
		{&r.every, []string{"--config", every}},
		{&r.largest, []string{"--config", most}},
	} {
		for range repeats {
			t, err := p.dryRun(ctx, m.args...)
			if err != nil {
				return err
			}
			*m.into = append(*m.into, t)
		}
	}
	return nil
}

// print writes the table.
func (r *report) print(w io.Writer) {
	var ratios []float64
	for _, p := range r.pairs {
		ratios = append(ratios, p.ratio())
	}
	slices.Sort(ratios)
	fmt.Fprintf(w, "\nfrom nothing to all four ready, %d pairs, seconds: median (min - max)\n", len(r.pairs))
	fmt.Fprintf(w, "  floor           %s\n", r.spread(func(p pair) time.Duration { return p.floor.ready }))
	fmt.Fprintf(w, "  kubecrank init  %s\n", r.spread(func(p pair) time.Duration { return p.product.ready }))
	fmt.Fprintf(w, "  ratio           %.2f (%.2f - %.2f)   aim 1.10\n", ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
	r.printParts(w)
	fmt.Fprintf(w, "\n  init returns    %s\n", r.spread(func(p pair) time.Duration { return p.product.total }))
	fmt.Fprintf(w, "  reset           %s\n", r.spread(func(p pair) time.Duration { return p.product.reset }))
	fmt.Fprintf(w, "  floor's stop    %s\n", r.spread(func(p pair) time.Duration { return p.floor.stop }))
	fmt.Fprintf(w, "  dry-run         %s   aim under 0.050\n", spread(r.dryRuns))
	fmt.Fprintf(w, "    every field   %s   aim under 0.050\n", spread(r.every))
	fmt.Fprintf(w, "    largest file  %s   aim under 0.050\n", spread(r.largest))
	fmt.Fprintf(w, "  init again      %s   aim under 1\n", spread(r.again))
	fmt.Fprintf(w, "\nidle supervisor: %.2f %% of a core (aim 0.2), %.1f MiB resident (aim 25), %.1f MiB of it its own\n",
		r.idle.cpu, float64(r.idle.rss)/1024, float64(r.idle.rssOwned)/1024)
	fmt.Fprintf(w, "\nafter kill -9:            started again   ready again   (aim: started within 0.100)\n")
	for _, s := range r.restarts {
		fmt.Fprintf(w, "  %-24s %.3f           %.2f\n", s.name, s.started.Seconds(), s.ready.Seconds())
	}
	fmt.Fprintf(w, "\nsize of the file: %.1f MB (aim under 75)\n", float64(r.size)/1e6)
}

// printParts says where the time of init goes. The first rows overlap; the
// later ones are moments after the start, and the same for the floor.
func (r *report) printParts(w io.Writer) {
	fmt.Fprintf(w, "\n  parts of init (those above the line overlap)\n")
	for _, row := range []struct{ name, phases string }{
		{"preflight", "preflight"}, {"staging", "components"}, {"PKI", "certs kubeconfig"},
		{"manifests", "etcd control-plane"}, {"supervisor", "supervise"},
	} {
		fmt.Fprintf(w, "    %-34s %s\n", row.name, r.spread(func(p pair) (t time.Duration) {
			for _, phase := range strings.Fields(row.phases) {
				t += p.product.phases[phase]
			}
			return t
		}))
	}
	fmt.Fprintf(w, "    %-34s kubecrank                 floor\n", strings.Repeat("-", 34))
	for _, e := range endpoints(0) {
		if e.name == "etcd" || e.name == "kube-controller-manager" {
			fmt.Fprintf(w, "    %-34s %s\n", e.name+" process started after",
				r.spread(func(p pair) time.Duration { return p.product.started[e.name] }))
		}
		fmt.Fprintf(w, "    %-34s %s     %s\n", e.name+" ready after",
			r.spread(func(p pair) time.Duration { return p.product.at[e.name] }),
			r.spread(func(p pair) time.Duration { return p.floor.at[e.name] }))
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "supervisor"} {
		fmt.Fprintf(w, "    %-34s %s     %s\n", name+" CPU time",
			r.spread(func(p pair) time.Duration { return p.product.cpu[name] }),
			r.spread(func(p pair) time.Duration { return p.floor.cpu[name] }))
	}
}

func (r *report) spread(of func(pair) time.Duration) string {
	var times []time.Duration
	for _, p := range r.pairs {
		times = append(times, of(p))
	}
	return spread(times)
}

// spread prints median, minimum and maximum in seconds.
func spread(times []time.Duration) string {
	times = slices.Sorted(slices.Values(times))
	return fmt.Sprintf("%.3f (%.3f - %.3f)", times[len(times)/2].Seconds(), times[0].Seconds(), times[len(times)-1].Seconds())
}

// print writes the figures of a supervisor without a cluster.
func (f *podFigures) print(w io.Writer) {
	fmt.Fprintf(w, "\nstatic pods without a cluster, each one sleeping process; %d samples, seconds: median (min - max)\n", samples)
	for _, row := range []struct {
		name  string
		times []time.Duration
	}{
		{"manifest added -> started", f.added}, {"killed -> started again", f.exited},
		{"manifest changed -> being stopped", f.changed}, {"manifest changed -> started anew", f.restarted},
		{"manifest removed -> being stopped", f.removed},
	} {
		fmt.Fprintf(w, "  %-34s %s   aim under 0.100\n", row.name, spread(row.times))
	}
	fmt.Fprintf(w, "\n  supervisor with          adopted after   idle CPU   resident   of it its own   (aim: 25 MiB at 4 pods, linear)\n")
	for _, s := range f.sizes {
		what := fmt.Sprintf("%d pods", s.pods)
		if s.tcp {
			what += ", TCP probes"
		}
		fmt.Fprintf(w, "  %-24s %6.3f s       %6.3f %%   %5.1f MiB  %5.1f MiB\n", what,
			s.adopt.Seconds(), s.idle.cpu, float64(s.idle.rss)/1024, float64(s.idle.rssOwned)/1024)
	}
	fmt.Fprintf(w, "  all of the last are stopped after %.3f s\n", f.stop.Seconds())
}
