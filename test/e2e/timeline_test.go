//go:build e2e

package e2e

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/kubecrank/kubecrank/runtime/timeline"
)

// The timeline of the bring-up has every phase and every component, in an order that can be, and
// is drawn as a picture that is XML.
func testTimeline(t *testing.T, n *node) {
	var tl timeline.Timeline
	if err := json.Unmarshal([]byte(n.must("timeline", "-o", "json").stdout), &tl); err != nil {
		t.Fatal(err)
	}
	if tl.Verb != "init" || tl.Result != "ready" || tl.Ready == nil || *tl.Ready > tl.End || tl.Supervisor == nil {
		t.Errorf("%s is %s, ready %v, end %v, supervisor %+v", tl.Verb, tl.Result, tl.Ready, tl.End, tl.Supervisor)
	}
	phases := map[string]timeline.Phase{}
	for _, p := range tl.Phases {
		phases[p.Name] = p
		if p.End == nil || p.Start < 0 || p.Start > *p.End || *p.End > tl.End || p.Error != "" {
			t.Errorf("phase %+v", p)
		}
		for _, s := range p.Steps {
			if s.End == nil || s.Start < p.Start || *s.End > *p.End || s.Error != "" {
				t.Errorf("step %+v of phase %s", s, p.Name)
			}
		}
		for _, before := range p.After {
			if b, ok := phases[before]; !ok || *b.End > p.Start {
				t.Errorf("phase %s begins at %v, before %s has ended", p.Name, p.Start, before)
			}
		}
	}
	for _, name := range []string{"preflight", "components", "certs", "kubeconfig", "etcd", "control-plane", "supervise",
		"wait-control-plane", "admin-rbac"} {
		if _, ok := phases[name]; !ok {
			t.Errorf("phase %s is missing", name)
		}
	}
	checkPods(t, tl, phases["supervise"])
	checkPicture(t, n.must("timeline", "-o", "svg").stdout)
	text := n.must("timeline").stdout
	for _, want := range append(components(), "wait-control-plane", "Critical path: ", "all ready after") {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %s:\n%s", want, text)
		}
	}
}

func checkPods(t *testing.T, tl timeline.Timeline, supervise timeline.Phase) {
	t.Helper()
	first := map[string]timeline.Instance{}
	for _, p := range tl.Pods {
		for _, c := range p.Containers {
			if len(c.Runs) == 0 {
				t.Errorf("%s has no start", p.Name)
				continue
			}
			g := c.Runs[0]
			if g.Started == nil || g.Ready == nil || g.Start > *g.Started || *g.Started > *g.Ready || *g.Ready > *tl.Ready ||
				p.Ready == nil || *p.Ready < *g.Ready {
				t.Errorf("%s ran %+v, and the pod was ready at %v", p.Name, g, p.Ready)
				continue
			}
			first[p.Name] = g
			if g.Start < supervise.Start || len(c.Probes) == 0 {
				t.Errorf("%s started at %v, the phase supervise at %v; %d probes", p.Name, g.Start, supervise.Start, len(c.Probes))
			}
		}
	}
	for _, name := range components() {
		if _, ok := first[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if t.Failed() {
		return
	}
	api := first["kube-apiserver"]
	if etcd := first["etcd"]; *etcd.Ready > *api.Ready {
		t.Errorf("etcd was ready at %v, after the API server at %v", *etcd.Ready, *api.Ready)
	}
	for _, name := range []string{"kube-scheduler", "kube-controller-manager"} {
		if g := first[name]; g.Start < *api.Started {
			t.Errorf("%s started at %v, before the API server answered at %v", name, g.Start, *api.Started)
		}
	}
}

// checkPicture wants XML that loads nothing and runs nothing.
func checkPicture(t *testing.T, svg string) {
	t.Helper()
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Errorf("the picture is no XML: %v", err)
			return
		}
		if e, ok := token.(xml.StartElement); ok {
			for _, a := range e.Attr {
				if e.Name.Local == "script" || a.Name.Local == "href" || a.Name.Local == "src" || strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("the picture has %s %s=%q", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	}
}
