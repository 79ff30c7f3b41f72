package supervisor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubecrank/kubecrank/runtime"
)

// member is what the supervisor knows of one pod machine. Only the main loop touches it.
type member struct {
	pod     *pod
	spec    *runtime.Pod // what is wanted, or was last: the order is made of it
	want    *runtime.Pod // nil: it shall go
	seq     int          // of the last evWant
	last    evWant
	limited bool // a stop waits for it until it is overdue
	stuck   bool // it is overdue, and holds up nobody

	report // what it told last
}

// leaving says that what is there must go.
func (m *member) leaving() bool {
	return m.alive && (m.want == nil || m.want.Hash != m.hash)
}

// apply brings the members in line with what the sources say, once it is known what runs already and
// every source has been heard: before that nothing is started and nothing is stopped.
func (s *supervisor) apply() {
	if !s.listed {
		return
	}
	heard := !slices.Contains(s.latest, nil)
	if !heard && !s.stopping {
		return
	}
	desired := map[string]*runtime.Pod{}
	if !s.stopping {
		desired = s.merge()
	}
	if !s.adopted {
		s.adoptAll(desired)
	}
	if !s.stopping {
		s.keepLastGood(desired)
	}
	for full, want := range desired {
		m := s.members[full]
		if m == nil {
			m = s.join(full, want)
		}
		m.want, m.spec = want, want
	}
	for full, m := range s.members {
		if desired[full] == nil {
			m.want = nil
		}
	}
	s.reorder()
	for _, full := range slices.SortedFunc(maps.Keys(s.members), s.removedFirst) {
		s.permit(s.members[full])
	}
	s.show()
}

// removedFirst is the order in which a change is acted on: what is removed, then the rest, by name (statement 26).
func (s *supervisor) removedFirst(a, b string) int {
	stays := func(full string) int {
		if s.members[full].want == nil {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(stays(a), stays(b)), cmp.Compare(a, b))
}

// join makes the machine of a pod that is new.
func (s *supervisor) join(full string, spec *runtime.Pod) *member {
	p := &pod{shared: s.shared, fullName: full, in: newMailbox[event](), state: podIdle}
	m := &member{pod: p, spec: spec}
	s.members[full] = m
	s.work.Go(func() { p.run(s.ctx) })
	return m
}

// merge makes one set of what the sources say. Of two pods with one full name or one UID that which is
// used already stays, or else that of the first source.
func (s *supervisor) merge() map[string]*runtime.Pod {
	desired, uids := map[string]*runtime.Pod{}, map[string]*runtime.Pod{}
	s.problems = nil
	var all []*runtime.Pod
	for _, u := range s.latest {
		if u != nil {
			all = append(all, u.Pods...)
			s.problems = append(s.problems, u.Problems...)
		}
	}
	slices.SortStableFunc(all, func(a, b *runtime.Pod) int { return cmp.Compare(s.originRank(a), s.originRank(b)) })
	for _, pod := range all {
		other := desired[pod.FullName()]
		if other == nil {
			other = uids[string(pod.UID)]
		}
		if other != nil {
			s.problems = append(s.problems, runtime.Problem{Source: pod.Origin, Warning: true,
				Message: fmt.Sprintf("pod %s is ignored: %s already defines %s with UID %s",
					pod.FullName(), other.Origin, other.FullName(), other.UID)})
			continue
		}
		desired[pod.FullName()], uids[string(pod.UID)] = pod, pod
	}
	return desired
}

// originRank is 0 for a pod of the origin that is in use, 1 for others.
func (s *supervisor) originRank(pod *runtime.Pod) int {
	if m := s.members[pod.FullName()]; m != nil && m.want != nil && m.want.Origin == pod.Origin {
		return 0
	}
	return 1
}

// keepLastGood adds the adopted pods whose manifests cannot be read (statement 28), until they can.
func (s *supervisor) keepLastGood(desired map[string]*runtime.Pod) {
	for full, pod := range s.lastGood {
		if desired[full] == nil && s.unreadable(pod) {
			desired[full] = pod
		} else {
			delete(s.lastGood, full)
		}
	}
}

// unreadable says whether the manifest of a pod is refused now, or its source does not answer.
func (s *supervisor) unreadable(pod *runtime.Pod) bool {
	for _, p := range s.problems {
		if !p.Warning && p.Source == pod.Origin {
			return true
		}
	}
	for i, u := range s.latest {
		name := s.opts.Sources[i].String()
		if u != nil && u.Incomplete && (pod.Origin == name || strings.HasPrefix(pod.Origin, name+"/")) {
			return true
		}
	}
	return false
}

// reorder reads the annotations of all members, those on their way out included.
func (s *supervisor) reorder() {
	specs := map[string]*runtime.Pod{}
	for full, m := range s.members {
		specs[full] = m.spec
	}
	s.order = newOrder(specs)
	s.affects = map[string][]string{}
	for full, firsts := range s.order.startAfter {
		for _, first := range firsts {
			s.affects[first] = append(s.affects[first], full)
		}
	}
	for full, firsts := range s.order.stopAfter {
		for _, first := range firsts {
			s.affects[first] = append(s.affects[first], full)
		}
	}
	s.removed = map[string][]string{}
	for full, m := range s.members {
		if m.want == nil {
			s.removed[m.spec.Origin] = append(s.removed[m.spec.Origin], full)
		}
	}
	for full, m := range s.members {
		if m.want != nil { // a leaving pod holds up what its file defines now
			for _, old := range s.removed[m.want.Origin] {
				s.affects[old] = append(s.affects[old], full)
			}
		}
	}
	for full, texts := range s.order.warnings {
		for _, text := range texts {
			key := "order\x00" + full + "\x00" + text
			if !s.warned[key] && !s.stopping {
				s.warned[key] = true
				spec := specs[full]
				s.history.add(full, runtime.Event{Pod: shortName(spec), Namespace: spec.Namespace,
					Type: runtime.Warning, Reason: runtime.ReasonFailedValidation, Message: text})
			}
		}
	}
}

// permit tells a pod what is wanted and what the order allows, if that has changed. A member that is
// not there any more holds nobody up.
func (s *supervisor) permit(m *member) {
	full := m.pod.fullName
	e := evWant{pod: m.want, start: true, stop: true}
	for _, first := range s.order.startAfter[full] {
		if n := s.members[first]; n != nil && (!n.started || n.leaving()) {
			e.start, e.waitingFor = false, shortName(n.spec)+" to start"
		}
	}
	if m.want != nil {
		for _, old := range s.removed[m.want.Origin] { // statement 31: the file's earlier pod goes first
			if n := s.members[old]; n != nil && n.want == nil && n.alive {
				e.start, e.waitingFor = false, shortName(n.spec)+" to end"
			}
		}
	}
	for _, first := range s.order.stopAfter[full] {
		if n := s.members[first]; n != nil && n.leaving() && !n.stuck {
			e.stop = false
		}
	}
	if e.stop {
		s.limitStop(m)
	}
	if m.seq > 0 && e.pod == m.last.pod && e.start == m.last.start && e.stop == m.last.stop {
		return
	}
	m.last = e
	m.seq++
	e.seq = m.seq
	m.pod.in.put(e)
}

// onReport takes note of what a pod tells, and lets those go ahead that waited for it.
func (s *supervisor) onReport(r report) {
	m := s.members[r.fullName]
	if m == nil {
		return
	}
	m.report = r
	if r.idle && m.want == nil && r.seq == m.seq {
		delete(s.members, r.fullName)
		m.pod.in.put(evQuit{})
		s.metrics.forget(m.spec.Namespace, shortName(m.spec))
		s.stale = true
	}
	for _, full := range s.affects[r.fullName] {
		if other := s.members[full]; other != nil {
			s.permit(other)
		}
	}
}

// show publishes the list of pods for status requests, in start order, then by name.
func (s *supervisor) show() {
	s.stale = false
	v := &view{problems: slices.Clone(s.problems), known: true}
	for _, u := range s.latest {
		v.known = v.known && u != nil && !u.Incomplete
	}
	for _, full := range slices.SortedFunc(maps.Keys(s.members), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.order.rank[a], s.order.rank[b]), cmp.Compare(a, b))
	}) {
		v.pods = append(v.pods, s.members[full].pod)
	}
	s.view.Store(v)
}

// statusNow is the answer to a status request, from any goroutine.
func (s *supervisor) statusNow() runtime.Status {
	v := s.view.Load()
	status := runtime.Status{
		Ready: v.known, Runtime: s.opts.RuntimeName, Problems: v.problems, Pods: []runtime.PodStatus{},
		Supervisor: runtime.SupervisorInfo{PID: pid(), StartedAt: s.begun, Version: s.opts.Version},
	}
	for _, problem := range v.problems {
		status.Ready = status.Ready && problem.Warning
	}
	s.troubles.Range(func(_, trouble any) bool {
		status.Problems = append(slices.Clip(status.Problems), trouble.(runtime.Problem))
		return true
	})
	for _, p := range v.pods {
		if ps := p.status.Load(); ps != nil {
			status.Pods = append(status.Pods, *ps)
			status.Ready = status.Ready && ps.Ready
		} else {
			status.Ready = false
		}
	}
	return status
}
