// Command bench measures kubecrank against the floor: the same four binaries,
// started by hand in the best order with prepared certificates. Both are
// measured in one run, alternating, and compared as ratios of neighbors, so
// that a machine that gets slower for a minute slows both.
//
//	prepare: kubecrank init once; its manifests and certificates are the floor's
//	pairs:   floor, kubecrank, floor, kubecrank ...   each from nothing to all four ready
//	then:    dry-run, idle cost, restart after kill -9, size
//	pods:    a supervisor without a cluster: how soon it acts, and what it costs with 4, 100 and 1,000 pods
//
// Readiness is seen from outside: the four components' own endpoints are asked
// every 5 ms. make bench runs it; the documentation quotes what it prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kubecrank/kubecrank/test/guardian"
)

// options are the flags.
type options struct {
	program    string        // the kubecrank under test
	components string        // the multi-call binary that the floor runs
	pairs      int           // of floor and kubecrank
	idle       time.Duration // how long the idle supervisor is watched
	offset     int           // of all ports
	pods       []int         // sizes of a supervisor without a cluster, rising
}

func main() {
	var o options
	flag.StringVar(&o.program, "kubecrank", "bin/kubecrank", "the program to measure")
	flag.StringVar(&o.components, "components", "bin/components", "the multi-call binary, for the floor")
	flag.IntVar(&o.pairs, "pairs", 7, "how many pairs of floor and kubecrank to measure; 0 to measure no control plane")
	flag.DurationVar(&o.idle, "idle", 20*time.Second, "how long to watch the idle supervisor")
	flag.IntVar(&o.offset, "port-offset", 30000, "added to all ports")
	o.pods = []int{4, 100, 1000}
	flag.Func("pods", "how many pods to give a supervisor without a cluster, rising; 0 for none (default 4,100,1000)", func(list string) error {
		o.pods = nil
		for word := range strings.SplitSeq(list, ",") {
			n, err := strconv.Atoi(word)
			if err != nil || n > 9999 {
				return errors.New("it is no list of numbers such as 4,100,1000")
			}
			if n > 0 {
				o.pods = append(o.pods, n)
			}
		}
		return nil
	})
	flag.Parse()
	guardian.Guard()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	base, err := os.MkdirTemp("", "kubecrank-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	for _, path := range []*string{&o.program, &o.components} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if o.pairs > 0 {
		if err := measureControlPlane(ctx, o, base); err != nil {
			return err
		}
	}
	if len(o.pods) > 0 {
		f, err := measurePods(ctx, o, base)
		if err != nil {
			return err
		}
		f.print(os.Stdout)
	}
	return nil
}

func measureControlPlane(ctx context.Context, o options, base string) error {
	floor, err := prepareFloor(ctx, o, filepath.Join(base, "floor"))
	if err != nil {
		return fmt.Errorf("cannot prepare the floor: %w", err)
	}
	product := &product{options: o, root: filepath.Join(base, "kubecrank")}
	var rep report
	for i := range o.pairs {
		p, err := measurePair(ctx, floor, product)
		if err != nil {
			return err
		}
		rep.pairs = append(rep.pairs, p)
		fmt.Fprintf(os.Stderr, "pair %d of %d: floor %.2f s, kubecrank %.2f s, ratio %.2f\n",
			i+1, o.pairs, p.floor.ready.Seconds(), p.product.ready.Seconds(), p.ratio())
	}
	if err := rep.single(ctx, product); err != nil {
		return err
	}
	rep.print(os.Stdout)
	return nil
}

// pair is one measurement of each, one right after the other.
type pair struct {
	floor   floorRun
	product productRun
}

func (p pair) ratio() float64 { return p.product.ready.Seconds() / p.floor.ready.Seconds() }

func measurePair(ctx context.Context, f *floor, p *product) (pair, error) {
	var (
		pr  pair
		err error
	)
	if pr.floor, err = f.run(ctx); err != nil {
		return pr, fmt.Errorf("floor: %w", err)
	}
	if pr.product, err = p.run(ctx); err != nil {
		return pr, fmt.Errorf("kubecrank: %w", err)
	}
	return pr, nil
}
