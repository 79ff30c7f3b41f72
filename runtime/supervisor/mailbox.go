package supervisor

import "sync"

// mailbox is a queue without a limit, so that no goroutine ever waits for another one to read: pods
// report to the supervisor while it tells them what it wants.
type mailbox[T any] struct {
	mu    sync.Mutex
	queue []T
	ready notifier // holds one token while the queue may not be empty
}

func newMailbox[T any]() *mailbox[T] { return &mailbox[T]{ready: newNotifier()} }

func (m *mailbox[T]) put(v T) {
	m.mu.Lock()
	m.queue = append(m.queue, v)
	m.mu.Unlock()
	m.ready.notify()
}

// take returns all that came since the last call.
func (m *mailbox[T]) take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.queue
	m.queue = nil
	return all
}
