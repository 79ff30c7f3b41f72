package supervisor

import (
	"context"
	"time"
)

// notifier wakes a goroutine that has something to do. Several notifications before it wakes count as one.
type notifier chan struct{}

func newNotifier() notifier { return make(notifier, 1) }

func (b notifier) notify() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// serve calls do a delay after each notification, so that several in a row are handled once, until ctx ends.
func (b notifier) serve(ctx context.Context, delay time.Duration, do func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b:
		}
		sleepUntil(ctx, time.Now().Add(delay))
		do()
	}
}
