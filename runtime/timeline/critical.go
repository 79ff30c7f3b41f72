package timeline

import (
	"math"
	"slices"
	"strings"
)

// link is a part of the chain with its place on the axis.
type link struct {
	Link
	start, end float64
}

// critical walks back from what ended last: from a phase to that one, of those it came after, which ended last; from
// a pod to the one that it waited for. A phase in which the last pod became ready has waited for it.
func critical(t Timeline) []Link {
	chain := t.backFromPhase(lastPhase(t.Phases))
	if len(t.Phases) == 0 {
		chain = t.backFromPod(t.lastPod(math.Inf(-1), math.Inf(1)), math.Inf(-1), t.End)
	}
	slices.Reverse(chain)
	links := []Link{}
	before := 0.0
	for _, l := range chain {
		l.Took = math.Round(max(0, l.end-max(before, l.start))*1e4) / 1e4
		before = max(before, l.end)
		links = append(links, l.Link)
	}
	return links
}

func (t Timeline) backFromPhase(p *Phase) []link {
	var chain []link
	seen := map[string]bool{}
	for p != nil && !seen[p.Name] {
		seen[p.Name] = true
		end := min(endOf(*p), t.End)
		chain = append(chain, link{Link{Kind: "phase", Name: p.Name}, p.Start, end})
		chain = append(chain, t.backFromPod(t.awaited(p, end), p.Start, end)...)
		after := p.After
		p = lastPhase(slices.DeleteFunc(slices.Clone(t.Phases), func(o Phase) bool { return !slices.Contains(after, o.Name) }))
	}
	return chain
}

// awaited is the pod for which a phase waited: the last one that became ready in it or, if the phase failed or did not
// end, the first one that was started and did not.
func (t Timeline) awaited(p *Phase, end float64) *Pod {
	if p.Error != "" || p.End == nil {
		for i := range t.Pods { // in the order of their start
			if pod := &t.Pods[i]; pod.Ready == nil && pod.begin() >= p.Start && pod.begin() <= end {
				return pod
			}
		}
	}
	return t.lastPod(p.Start, end)
}

// lastPhase is the one that ended last; nil if there is none.
func lastPhase(phases []Phase) *Phase {
	var last *Phase
	for i := range phases {
		if last == nil || endOf(phases[i]) >= endOf(*last) {
			last = &phases[i]
		}
	}
	return last
}

func endOf(p Phase) float64 {
	if p.End == nil {
		return math.Inf(1)
	}
	return *p.End
}

// lastPod is the one that became ready last, between two moments. One that was ready when it was adopted did not become so.
func (t Timeline) lastPod(from, to float64) *Pod {
	var last *Pod
	for i := range t.Pods {
		p := &t.Pods[i]
		if p.Ready == nil || *p.Ready <= from || *p.Ready > to || p.foundReady() {
			continue
		}
		if last == nil || *p.Ready > *last.Ready {
			last = p
		}
	}
	return last
}

// foundReady says that the pod was ready when it was adopted: no probe had to tell, and nothing was started.
func (p *Pod) foundReady() bool {
	return !slices.ContainsFunc(p.Containers, func(c Container) bool {
		return len(c.Probes) > 0 || len(c.Runs) != 1 || !c.Runs[0].Adopted
	})
}

// backFromPod follows the pods that were waited for, as long as they were not there before the moment since. end is
// that of a pod which did not become ready.
func (t Timeline) backFromPod(p *Pod, since, end float64) []link {
	var chain []link
	seen := map[string]bool{}
	for until := min(p.readyAt(), end); p != nil && until > since && !seen[p.Name]; {
		seen[p.Name] = true
		chain = append(chain, link{Link{Kind: "pod", Name: p.Name}, p.begin(), until})
		n := len(p.Waits)
		if n == 0 || p.Waits[n-1].End == nil {
			break
		}
		until = *p.Waits[n-1].End
		name, _, _ := strings.Cut(p.Waits[n-1].For, " ")
		i := slices.IndexFunc(t.Pods, func(o Pod) bool { return o.Name == name && o.Namespace == p.Namespace })
		if i < 0 {
			break
		}
		p = &t.Pods[i]
	}
	return chain
}

// readyAt is infinite for a pod that did not get there, or that is none.
func (p *Pod) readyAt() float64 {
	if p == nil || p.Ready == nil {
		return math.Inf(1)
	}
	return *p.Ready
}

// isCritical says whether something is part of the chain.
func (t Timeline) isCritical(kind, name string) bool {
	return slices.ContainsFunc(t.Critical, func(l Link) bool { return l.Kind == kind && l.Name == name })
}
