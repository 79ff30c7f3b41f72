package journal

import (
	"os"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/phases/resource"
)

// A journal that the program of commit 535e025 wrote is read, with the same claims as that program had.
func TestOldJournal(t *testing.T) {
	data, err := os.ReadFile("testdata/535e025.journal")
	if err != nil {
		t.Fatal(err)
	}
	h, whole, err := parse("/srv/root", "journal", []byte(strings.ReplaceAll(string(data), "ROOT", "/srv/root")))
	if err != nil || whole == 0 || !h.Done || !h.SetUp || h.Node.Name != "node-1" {
		t.Fatalf("%+v, %v", h, err)
	}
	kinds := map[resource.Kind]int{}
	for r, c := range h.Claims {
		kinds[r.Kind]++
		if !c.Done || c.Resource != r || r.Kind == resource.File && !c.Wrote(c.SHA256) {
			t.Errorf("%+v", c)
		}
	}
	for kind, want := range map[resource.Kind]int{resource.Dir: 6, resource.Entries: 5, resource.File: 30, resource.Process: 1, resource.Tree: 3} {
		if kinds[kind] != want {
			t.Errorf("%d of kind %s, want %d", kinds[kind], kind, want)
		}
	}
	for _, r := range []resource.Resource{
		resource.EntriesOf("/srv/root/var/lib/etcd", "member"),
		resource.EntriesOf("/srv/root/var/log/pods", "kube-system_etcd-node-1_"),
		{Kind: resource.Process, Key: "/srv/root/run/kubecrank/supervisor.sock"},
	} {
		if _, ours := h.Claim(r); !ours {
			t.Errorf("there is no claim to %+v", r)
		}
	}
	if len(h.Before) != 2 {
		t.Errorf("before us were %v", h.Before)
	}
}

// The two kinds that only a run without a root has.
func TestOldAccountRecords(t *testing.T) {
	for line, want := range map[string]resource.Resource{
		`{"verb":"init","what":"done","made":{"kind":"line","path":"/etc/passwd:kubeadm-etcd","sha256":"aa"}}`: {Kind: resource.Line, Key: "/etc/passwd:kubeadm-etcd"},
		`{"verb":"init","what":"done","made":{"kind":"owner","path":"/etc/etcd/ca.key@owner","mode":384}}`:     {Kind: resource.Owner, Key: "/etc/etcd/ca.key"},
	} {
		rec, err := parseRecord("", []byte(line))
		if err != nil || rec.Claim.Resource != want {
			t.Errorf("%+v, %v", rec.Claim, err)
		}
	}
}
