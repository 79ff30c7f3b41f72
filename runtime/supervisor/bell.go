package supervisor

import (
	"context"
	"time"
)

// bell tells a goroutine that there is something to do. Rings that nobody has answered yet are one.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// answer calls do some time after a ring, so that several in a row are answered once, until ctx ends.
func (b bell) answer(ctx context.Context, delay time.Duration, do func()) {
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
