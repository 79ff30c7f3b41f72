package supervisor

import "time"

// backOff is a container's crash-loop back-off, with the kubelet's rules (client-go flowcontrol.Backoff,
// pkg/kubelet/kuberuntime/kuberuntime_manager.go doBackOff): the first restart is immediate, the next ones wait 10, 20, 40 ...
// 300 s from the moment the container ended, and ten minutes of running start it over.
type backOff struct {
	Wait    time.Duration `json:"wait"`    // what the next restart has to wait
	Updated time.Time     `json:"updated"` // when the container was started last
}

// BackOffLimits are the figures of the back-off.
type BackOffLimits struct {
	Initial time.Duration // 10 s
	Max     time.Duration // 300 s; the kubelet's crashLoopBackOff.maxContainerRestartPeriod allows 1 s to 300 s
	Reset   time.Duration // 10 min
}

// withDefaults fills in the kubelet's figures; a limit below the initial wait lowers that too (statement 55).
func (l BackOffLimits) withDefaults() BackOffLimits {
	if l.Initial == 0 {
		l.Initial = 10 * time.Second
	}
	if l.Max == 0 {
		l.Max = 300 * time.Second
	}
	if l.Reset == 0 {
		l.Reset = 10 * time.Minute
	}
	l.Initial = min(l.Initial, l.Max)
	return l
}

// expired says whether a container that ended at this time starts with a clean slate.
func (b *backOff) expired(finished time.Time, l BackOffLimits) bool {
	return b.Updated.IsZero() || finished.Sub(b.Updated) > l.Reset
}

// left is how long from now the restart of a container that ended at this time has to wait. It is
// never more than the limit, whatever the machine's clock did in between.
func (b *backOff) left(finished, now time.Time, l BackOffLimits) time.Duration {
	if b.expired(finished, l) {
		return 0
	}
	return min(max(b.Wait-now.Sub(finished), 0), b.Wait, l.Max)
}

// restarted moves on: the container that ended at this time is started again now.
func (b *backOff) restarted(finished, now time.Time, l BackOffLimits) {
	if b.expired(finished, l) {
		b.Wait = l.Initial
	} else {
		b.Wait = min(2*b.Wait, l.Max)
	}
	b.Updated = now
}
