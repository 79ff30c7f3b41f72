package supervisor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
)

// The machine's clock was set, by a year, either way, while no supervisor ran: nothing is restarted for it, what
// fails its probes is noticed as soon as ever, and no back-off is longer than it was.
func TestAdoptAfterClockJump(t *testing.T) {
	for name, jump := range map[string]time.Duration{"forward": -365 * 24 * time.Hour, "back": 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &fakeRuntime{}, inState(dir))
				pods := []*runtime.Pod{newPod("a", withLiveness(func(p *corev1.Probe) { p.InitialDelaySeconds = 5 })), newPod("b")}
				b.set(pods...)
				b.sleep(time.Minute)
				for range 2 {
					b.rt.end(t, "b/main", 1)
				}
				b.sleep(time.Second) // its record is written
				b.end()
				// What an earlier supervisor and the runtime wrote down is off by the jump.
				b.rt.get("a/main").info.StartedAt = time.Now().Add(jump)
				path := filepath.Join(dir, "b-node1_default.json")
				rec, err := readRecord(path)
				if err != nil {
					t.Fatal(err)
				}
				c := rec.Containers["main"]
				c.FailedAt, c.BackOff.Updated, c.Exit.FinishedAt = c.FailedAt.Add(jump), c.BackOff.Updated.Add(jump), c.Exit.FinishedAt.Add(jump)
				rec.Containers["main"] = c
				data, err := json.Marshal(rec)
				if err == nil {
					err = os.WriteFile(path, data, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range b.rt.all {
					if c.hasEnded() {
						c.exit.FinishedAt = c.exit.FinishedAt.Add(jump)
					}
				}
				b = b.succeed(inState(dir))
				b.probes["a/main Liveness"] = func() (outcome, string) { return failed, "hung" }
				b.set(pods...)
				b.sleep(10 * time.Second)
				for _, line := range b.rt.did() {
					if line != "start b/main 2" {
						t.Errorf("the runtime was told: %s", line)
					}
				}
				if b.rt.get("b/main") == nil {
					t.Error("the back-off is longer than it was")
				}
				b.sleep(25 * time.Second) // three failures, at most a period after the start
				b.did("stop a/main 30s", "gone a/main", "start a/main 1")
			})
		})
	}
}
