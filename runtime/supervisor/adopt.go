package supervisor

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubecrank/kubecrank/runtime"
)

// adoptAll takes over what runs. A container of a pod whose content is still wanted goes on as if nothing
// had happened; what is not wanted, or has another content, is stopped like any other pod (statement 63).
func (s *supervisor) adoptAll(desired map[string]*runtime.Pod) {
	s.adopted = true
	groups := map[string][]runtime.Found{}
	for _, f := range s.found {
		full := f.Info().PodFullName
		groups[full] = append(groups[full], f)
	}
	s.found = nil
	for full, found := range groups {
		s.adoptOne(full, found, desired)
	}
	for full, want := range desired { // finished before, and not to be run again (4.2)
		if rec := s.records.get(full); len(groups[full]) == 0 && rec != nil && rec.Hash == want.Hash && rec.Phase != "" {
			s.startMember(full, want, func(p *pod) { p.adoptFinished(want, rec) })
		}
	}
	s.records.prune(func(full string) bool { return s.members[full] != nil || desired[full] != nil })
}

func (s *supervisor) adoptOne(full string, found []runtime.Found, desired map[string]*runtime.Pod) {
	alive := slices.DeleteFunc(slices.Clone(found), func(f runtime.Found) bool { return f.Exited })
	want, rec := desired[full], s.records.get(full)
	cur := identify(full, found, want, rec)
	if want == nil && rec != nil && cur.Hash == rec.Hash && s.unreadable(cur) {
		s.lastGood[full] = cur
	}
	if rec != nil && rec.Hash != cur.Hash {
		rec = nil
	}
	s.startMember(full, cur, func(p *pod) {
		p.adoptSpec(cur)
		if found[0].Pod != nil {
			p.closers = []runtime.Closer{found[0].Pod}
		}
		stays := cur == want || s.lastGood[full] == cur
		if len(alive) == 0 && !stays {
			p.close() // only its record is left
			return
		}
		p.adopt(found, rec)
		if stays {
			p.openSandbox(cur)
		}
	})
}

// identify says what pod the found containers are of: the wanted one, the recorded one, or one that is
// only known by what the containers tell themselves. Containers of two contents, or two of one name, make
// it the last: all of them are stopped.
func identify(full string, found []runtime.Found, want *runtime.Pod, rec *record) *runtime.Pod {
	hash, mixed, names := found[0].Info().SpecHash, false, map[string]bool{}
	for _, f := range found {
		info := f.Info()
		if f.Exited {
			continue
		}
		mixed = mixed || info.SpecHash != hash || names[info.Name]
		names[info.Name] = true
	}
	switch {
	case !mixed && want != nil && want.Hash == hash:
		return want
	case !mixed && rec != nil && rec.Hash == hash:
		return rec.pod()
	}
	info := found[0].Info()
	none := int64(1) // what the kubelet grants to containers that it does not know
	name, namespace := splitFullName(full)
	orphan := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, UID: types.UID(info.PodUID)},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &none},
	}
	for i, f := range found {
		if !f.Exited {
			// The index keeps two of one name apart; nothing of this pod is ever started.
			orphan.Spec.Containers = append(orphan.Spec.Containers, corev1.Container{Name: fmt.Sprintf("%s/%d", f.Info().Name, i)})
		}
	}
	return &runtime.Pod{Pod: orphan, Hash: orphanHash}
}

// orphanHash is the hash of no manifest.
const orphanHash = "unknown"

func splitFullName(full string) (name, namespace string) {
	for i := len(full) - 1; i >= 0; i-- {
		if full[i] == '_' {
			return full[:i], full[i+1:]
		}
	}
	return full, metav1.NamespaceDefault
}

// startMember makes a member whose machine begins in the middle of its life.
func (s *supervisor) startMember(full string, cur *runtime.Pod, begin func(*pod)) {
	p := &pod{shared: s.shared, fullName: full, in: newMailbox[event](), state: podIdle}
	m := &member{pod: p, spec: cur}
	m.report = report{fullName: full, hash: cur.Hash, alive: true}
	s.members[full] = m
	begin(p)
	s.work.Go(func() { p.run(s.ctx) })
}

// adoptFinished is for a pod that ended before this supervisor came.
func (p *pod) adoptFinished(cur *runtime.Pod, rec *record) {
	p.adoptSpec(cur)
	p.want = cur
	p.phase, p.progress = rec.Phase, podRunning
	p.transition(podFinished)
	for _, c := range p.containers {
		cr := rec.Containers[c.spec.Name]
		c.state, c.exit, c.began = ctrExited, cr.Exit, true
	}
}

// adopt puts the machine where an earlier supervisor's was.
func (p *pod) adopt(found []runtime.Found, rec *record) {
	cur := p.cur
	p.want = cur
	byName := map[string]runtime.Found{}
	alive, mainAlive := 0, false
	for i, f := range found {
		name := f.Info().Name
		if cur.Hash == orphanHash {
			name = fmt.Sprintf("%s/%d", name, i)
		}
		if old, ok := byName[name]; ok && (!old.Exited || f.Exited && old.Info().RestartCount > f.Info().RestartCount) {
			continue
		}
		byName[name] = f
	}
	for _, c := range p.containers {
		if f, ok := byName[c.spec.Name]; ok && !f.Exited {
			alive++
			mainAlive = mainAlive || !c.init
		}
	}
	if alive == 0 {
		p.progress = podHeld
		p.transition(podHeld)
	} else {
		p.transition(podAdopting)
	}
	// Init containers are not run again while anything that came after them runs (statement 57).
	if mainAlive || alive > 0 && rec != nil && rec.Inited {
		p.progress = podRunning
	}
	for _, c := range p.containers {
		var cr *containerRecord
		if rec != nil {
			if r, ok := rec.Containers[c.spec.Name]; ok {
				cr = &r
				c.backOff, c.failedAt = cr.BackOff, cr.FailedAt
			}
		}
		switch f, ok := byName[c.spec.Name]; {
		case ok && !f.Exited:
			p.adoptRunning(c, f, cr)
		case c.init && !c.sidecar && (p.progress == podRunning || alive > 0 && cr != nil && cr.Exit != nil && !initFailed(cr.Exit)):
			c.state = ctrExited
			c.exit = &runtime.Exit{}
			if cr != nil && cr.Exit != nil {
				c.exit = cr.Exit
			}
		case ok:
			p.adoptExited(c, f, alive > 0)
		case alive > 0 && cr != nil && (cr.ID != "" || cr.Exit != nil):
			c.exit = cr.Exit
			if c.exit == nil {
				c.exit = &runtime.Exit{Code: -1, FinishedAt: time.Now()}
			}
			p.adoptEnd(c)
		}
	}
	if rec != nil && !rec.OpenedAt.IsZero() {
		p.openedAt = rec.OpenedAt
	}
	p.armDeadline()
}

func (p *pod) adoptRunning(c *container, f runtime.Found, cr *containerRecord) {
	c.run++
	p.running(c, f.Container)
	c.state = ctrRunning
	c.started = c.spec.StartupProbe == nil
	c.ready = c.started && c.spec.ReadinessProbe == nil
	if cr != nil && cr.ID == c.info.ID {
		c.started, c.ready = cr.Started, cr.Ready
	}
	p.event(c, runtime.Normal, runtime.ReasonAdopted, fmt.Sprintf("Adopted container %s (PID %d), which runs since %s",
		c.spec.Name, c.info.PID, c.info.StartedAt.Format(time.RFC3339)))
	p.startProbes(c, true)
}

// adoptExited takes note of a container that has ended. Whether that was seen before makes no difference
// for its restart. With nothing of the pod left, init containers start over.
func (p *pod) adoptExited(c *container, f runtime.Found, podAlive bool) {
	c.info = f.Info()
	c.restarts = c.info.RestartCount
	if c.init && !podAlive {
		return
	}
	exit, err := f.Wait(p.ctx) // it returns at once
	if err != nil {
		exit = runtime.Exit{Code: -1, Message: err.Error()}
	}
	c.exit = &exit
	c.began, c.state = true, ctrCleaning
	p.adoptExit(c)
	c.run++ // what it left may still run, and is removed before it is started again
	who, done := p.who(c), evExited{c, c.run}
	p.async(func(ctx context.Context) event { return p.clean(ctx, who, done, f.Container) })
}

func (p *pod) adoptEnd(c *container) {
	c.began, c.state = true, ctrExited
	p.adoptExit(c)
	if decide(p.cur, c) != restartNone {
		p.again(c)
	}
}

// adoptExit tells of an exit that was before this supervisor.
func (p *pod) adoptExit(c *container) {
	now := time.Now()
	if c.exit.FinishedAt.IsZero() || c.exit.FinishedAt.After(now) {
		c.exit.FinishedAt = now
	}
	c.failedAt = c.exit.FinishedAt
	p.tellExit(c, false)
}
