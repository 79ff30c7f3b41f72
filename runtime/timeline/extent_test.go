package timeline

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/runtime"
)

// Which pods a bring-up is of, from when each is ready, and where it ends: also if a supervisor adopts what runs, and
// whatever happens later.
func TestExtent(t *testing.T) {
	t.Parallel()
	init := func(end int) func(*record) {
		return func(r *record) {
			r.phase("supervise", nil, 20, 25, 720)
			r.phase("wait-control-plane", []string{"supervise"}, 720, 721, end-5)
			r.line(end, RunEnded, "", "")
		}
	}
	alone := func(r *record) { r.lines = nil }
	for _, tt := range []struct {
		name   string
		lines  func(*record)
		events string // "ms pod[/container] reason": one each line, "ms pid" begins a session
		pods   string
		ready  float64
		end    float64
		row    string // of the text, a regular expression
		chain  string
	}{
		{"ready when adopted, restarted later", init(765), "-5000 7, -4900 etcd/etcd Started, -4800 etcd Ready, 700 8, 710 etcd/etcd Adopted, 710 etcd Ready, " +
			"20000 etcd/etcd Exited, 20001 etcd/etcd Started, 25200 etcd Ready", "etcd", 0.71, 0.765, `etcd +<1 ms +adopted +▒+█+`, "supervise wait-control-plane"},
		{"adopted, ready later", init(1600), "700 8, 710 etcd/etcd Adopted, 1500 etcd/etcd ReadinessSucceeded, 1500 etcd Ready",
			"etcd", 1.5, 1.6, `etcd +<1 ms +adopted +▒+█+`, "supervise etcd wait-control-plane"},
		{"adopted and replaced", init(2100), "700 8, 710 etcd/etcd Adopted, 710 etcd Ready, 720 etcd/etcd Killing, 800 etcd/etcd Exited, " +
			"801 etcd Stopped, 810 etcd/etcd Started, 2000 etcd/etcd ReadinessSucceeded, 2000 etcd Ready",
			"etcd", 2, 2.1, `etcd +<1 ms +adopted +▒+█+×▒+█+`, "supervise etcd wait-control-plane"},
		{"adopted and removed", init(1600), "700 8, 710 etcd/etcd Adopted, 710 old/old Adopted, 711 etcd Ready, 720 old/old Killing, " +
			"800 old/old Exited, 801 old Stopped", "etcd", 0.711, 1.6, `etcd +<1 ms +adopted +▒+█+`, "supervise wait-control-plane"},
		{"its supervisor was killed meanwhile", init(1600), "700 7, 710 etcd/etcd Started, 900 8, 910 etcd/etcd Adopted, 1500 etcd/etcd ReadinessSucceeded, 1500 etcd Ready",
			"etcd", 1.5, 1.6, `etcd +0.71 s +0.79 s {20,}▒+█+`, "supervise etcd wait-control-plane"},
		{"its supervisor was killed before it could tell", init(1600), "700 7, 710 etcd/etcd Started, 800 etcd/etcd Exited, 900 8, 910 etcd/etcd Adopted, 910 etcd Ready",
			"etcd", 0.91, 1.6, `etcd +0.71 s +0.20 s +▒+×▒+█+`, "supervise etcd wait-control-plane"},
		{"restarted and added to after init", init(765), "700 7, 710 etcd/etcd Started, 740 etcd Ready, 800 web/web Started, 900 web Ready, " +
			"25000 etcd/etcd Started, 25200 etcd Ready", "etcd", 0.74, 0.765, `etcd +0.71 s +<1 ms +█+`, "supervise etcd wait-control-plane"},
		{"alone, ready at once", alone, "700 7, 709 web/web Started, 709 web Ready", "web", 0.009, 0.009, `web +9 ms +<1 ms +█`, "web"},
		{"alone, another one added later", alone, "700 7, 709 web/web Started, 709 web Ready, 720 slow/slow Started, 800 slow/slow ReadinessSucceeded, 800 slow Ready, " +
			"220000 remote/remote Started, 220700 remote Ready, 230000 web/web Exited, 230001 web/web Started, 230002 web Ready",
			"web slow", 0.1, 0.1, `slow +20 ms +80 ms +▒+█`, "slow"},
	} {
		r := newRecord()
		tt.lines(r)
		for line := range strings.SplitSeq(tt.events, ", ") {
			var ms, pid int
			var who string
			var reason runtime.Reason
			if n, _ := fmt.Sscanf(line, "%d %s %s", &ms, &who, &reason); n == 3 {
				pod, container, _ := strings.Cut(who, "/")
				r.event(ms, pod, container, reason, "")
			} else if _, err := fmt.Sscanf(line, "%d %d", &ms, &pid); err == nil {
				r.sessionAt(ms, pid)
			} else {
				t.Fatalf("%s: %s: %v", tt.name, line, err)
			}
		}
		tl, _ := Build(r.lines, r.events)
		var pods, chain []string
		for _, p := range tl.Pods {
			pods = append(pods, p.Name)
		}
		for _, l := range tl.Critical {
			chain = append(chain, l.Name)
		}
		ready := -1.0
		if tl.Ready != nil {
			ready = *tl.Ready
		}
		if tl.Result != "ready" || ready != tt.ready || tl.End != tt.end || strings.Join(pods, " ") != tt.pods {
			t.Errorf("%s: %s, ready %v, end %v, pods %s; want ready %v, end %v, pods %s", tt.name, tl.Result, ready, tl.End, pods, tt.ready, tt.end, tt.pods)
		}
		if got := strings.Join(chain, " "); got != tt.chain {
			t.Errorf("%s: the chain is %s, want %s", tt.name, got, tt.chain)
		}
		var text, svg strings.Builder
		if err := errors.Join(Text(&text, tl, 110), SVG(&svg, tl)); err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`(?m)^` + tt.row + `$`).MatchString(text.String()) {
			t.Errorf("%s: no row is %s:\n%s", tt.name, tt.row, text.String())
		}
		if strings.Contains(tt.row, "adopted") != strings.Contains(svg.String(), ">adopted<") {
			t.Errorf("%s: the picture does not say what was adopted", tt.name)
		}
	}
}
