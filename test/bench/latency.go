package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kubecrank/kubecrank/runtime"
)

// latencies measures how soon a supervisor with no other pods acts on a change of a file, and on an exit. The times
// are those of its events: they are of the same clock.
func (p *pods) latencies(ctx context.Context, f *podFigures) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := make(chan runtime.Event, 1024)
	ended := make(chan error, 1)
	go func() { ended <- p.client.Events(ctx, true, func(e runtime.Event) { events <- e }) }()
	// await returns how long after a moment the event came.
	await := func(pod string, reason runtime.Reason, since time.Time) (time.Duration, error) {
		limit := time.After(patience)
		for {
			select {
			case e := <-events:
				if e.Pod == pod && e.Reason == reason && e.Time.After(since) {
					return e.Time.Sub(since), nil
				}
			case err := <-ended:
				return 0, errors.Join(errors.New("the events have ended"), err)
			case <-limit:
				return 0, fmt.Errorf("%s: no event %s", pod, reason)
			}
		}
	}
	for i := range samples {
		if err := p.latency(ctx, fmt.Sprintf("once-%02d", i), f, await); err != nil {
			return err
		}
	}
	return nil
}

// latency is the life of one pod.
func (p *pods) latency(ctx context.Context, name string, f *podFigures,
	await func(pod string, reason runtime.Reason, since time.Time) (time.Duration, error)) error {
	sample := func(to *[]time.Duration, reason runtime.Reason, since time.Time) error {
		took, err := await(name, reason, since)
		*to = append(*to, took)
		return err
	}
	at, err := p.put(name, 1, "")
	if err == nil {
		err = sample(&f.added, "Started", at)
	}
	if err != nil {
		return err
	}
	p.number = 1
	pids, err := p.running(ctx)
	if err != nil {
		return err
	}
	at = time.Now()
	if err := syscall.Kill(pids[name], syscall.SIGKILL); err != nil {
		return err
	}
	if err := sample(&f.exited, "Started", at); err != nil {
		return err
	}
	if at, err = p.put(name, 2, ""); err != nil {
		return err
	}
	if err := errors.Join(sample(&f.changed, "Killing", at), sample(&f.restarted, "Started", at)); err != nil {
		return err
	}
	at = time.Now()
	if err := os.Remove(filepath.Join(p.dir, name+".yaml")); err != nil {
		return err
	}
	if err := sample(&f.removed, "Killing", at); err != nil {
		return err
	}
	p.number = 0
	_, err = p.running(ctx)
	return err
}
