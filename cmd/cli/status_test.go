package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/diagnose"
	"github.com/kubecrank/kubecrank/phases/journal"
	"github.com/kubecrank/kubecrank/phases/resource"
	"github.com/kubecrank/kubecrank/runtime"
)

// The table reads like kubectl's, and what is wrong stands below it, all of it.
func TestStatusTable(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	began := now.Add(-3 * time.Minute)
	pod := func(name string, state runtime.PodState, ready bool, pid int) runtime.PodStatus {
		p := runtime.PodStatus{Name: name, Namespace: "kube-system", State: state, Ready: ready, PID: pid,
			Containers: []runtime.ContainerStatus{{Name: "init", Init: true}, {Name: name, Ready: ready}}}
		if pid != 0 {
			p.StartedAt = &began
		}
		return p
	}
	etcd, sched := pod("etcd", "Running", true, 4711), pod("kube-scheduler", "BackOff", false, 0)
	etcd.LastError = "exited with code 2 an hour ago" // it is well again: no problem any more
	sched.Restarts, sched.LastError = 3, "exited with code 1\nunknown flag: --nonsense"
	st := runtime.Status{
		Pods: []runtime.PodStatus{etcd, sched},
		Problems: []runtime.Problem{
			{Source: "/etc/kubernetes/manifests/x.yaml", Line: 7, Message: "it is no pod"},
			{Source: "/etc/kubernetes/manifests/x.bak", Message: "a backup file", Warning: true},
		},
	}
	found := containerDiagnosis{"kube-scheduler", diagnose.Diagnosis{Certainty: diagnose.Certain,
		Explanation: "kube-scheduler has no flag --nonsense", Remedy: "take it out"}}
	x := examined{Status: st, diagnoses: [][]containerDiagnosis{nil, {found}}}
	var b strings.Builder
	if err := printStatus(&b, x, "table", now); err != nil {
		t.Fatal(err)
	}
	want := `POD              READY   STATE     RESTARTS   PID    AGE
etcd             1/1     Running   0          4711   3m
kube-scheduler   0/1     BackOff   3          -      -

Problems:
  kube-scheduler: cause: kube-scheduler has no flag --nonsense
    hint: take it out
    exited with code 1
    unknown flag: --nonsense
  /etc/kubernetes/manifests/x.yaml:7: it is no pod
  /etc/kubernetes/manifests/x.bak: warning: a backup file
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}

	// The supervisor's hint for what a diagnosis explains is left out: that has a better one.
	x.diagnoses[1][0].Line = "container c cannot be started: cannot run sleeep"
	x.Pods[1].LastError = "container c cannot be started: cannot run sleeep\nhint: install it; before that, exited with code 1"
	b.Reset()
	if err := printStatus(&b, x, "table", now); err != nil {
		t.Fatal(err)
	}
	if out := b.String(); strings.Count(out, "hint: ") != 1 || !strings.Contains(out, "cannot run sleeep; before that, exited with code 1\n") {
		t.Errorf("not one hint for one failure:\n%s", out)
	}

	x.Pods[1].Namespace, x.Problems = "default", nil
	b.Reset()
	if err := printStatus(&b, x, "table", now); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), "NAMESPACE     POD              READY") {
		t.Errorf("two namespaces, but no column for them:\n%s", b.String())
	}
	x.Pods[1].State, x.Pods[1].Message = "Waiting", "waiting for etcd to start"
	b.Reset()
	if err := printStatus(&b, x, "table", now); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), " AGE   MESSAGE\n") || !strings.Contains(b.String(), " waiting for etcd to start\n") {
		t.Errorf("what a pod waits for is not told:\n%s", b.String())
	}
}

// Without a word of init's, nobody knows which sources a supervisor had: one with the defaults would stop their pods.
func TestHowToSupervise(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	a := &app{global: globalFlags{root: root}}
	if hint := a.howToSupervise(); strings.Contains(hint, "kubecrank supervise") || !strings.Contains(hint, "--pod-manifest-path, --manifest-url") {
		t.Errorf("without a journal: %s", hint)
	}
	paths := config.PathsBelow(root)
	j, err := journal.Open(root, paths)
	if err != nil {
		t.Fatal(err)
	}
	started := resource.Claim{Resource: resource.Resource{Kind: resource.Process, Key: paths.Socket}}
	if err := errors.Join(j.Commit(journal.Record{Verb: journal.VerbInit, What: journal.StepDone, Claim: &started}), j.Close()); err != nil {
		t.Fatal(err)
	}
	if hint := a.howToSupervise(); !strings.Contains(hint, "kubecrank supervise --root "+root+" starts it again") {
		t.Errorf("with init's: %s", hint)
	}
}
