package facts

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/manifests/config"
)

// What is measured leaves nothing behind, is bounded, and is not measured where a member is at work.
func TestProbeMeasuresTheDisk(t *testing.T) {
	root := t.TempDir()
	cfg := config.Default(root)
	before := time.Now()
	p := Probe(t.Context(), cfg, Quick)()
	took := time.Since(before)
	if len(p.Fsyncs) == 0 {
		t.Skip("the file system of the temporary directory has no files without names")
	}
	if len(p.Fsyncs) > mostFsyncs || slices.Min(p.Fsyncs) <= 0 {
		t.Errorf("%d writes took %s", len(p.Fsyncs), p.Fsyncs)
	}
	const generous = 5 * time.Second // a busy machine is no failure
	if took > generous {
		t.Errorf("it took %s", took)
	}
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) > 0 {
		t.Errorf("it leaves %v, %v", entries, err)
	}
	write(t, filepath.Join(cfg.Paths().EtcdData, "member", "wal"), "x")
	if p := Probe(t.Context(), cfg, Quick)(); len(p.Fsyncs) > 0 {
		t.Error("it writes beside a member that may be at work")
	}
}

// A write that does not come back is told as slow, and is not waited for.
func TestFsyncThatHangs(t *testing.T) {
	timer := &fsyncTimer{done: make(chan struct{}), began: time.Now().Add(-time.Minute)}
	if took := timer.wait(time.Millisecond); len(took) != 1 || took[0] < time.Minute {
		t.Errorf("it is told to take %s", took)
	}
	if timer.next() {
		t.Error("it goes on after the wait")
	}
}

// Each endpoint of an external etcd is asked, and what is wrong with one is told of that one.
func TestProbeAsksExternalEtcd(t *testing.T) {
	etcd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/version" {
			t.Errorf("it asks for %s", r.URL.Path)
		}
		_, _ = w.Write([]byte(`{"etcdserver":"3.6.8","etcdcluster":"3.6.0"}`))
	}))
	defer etcd.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	cfg := config.Default(t.TempDir())
	cfg.Etcd.External = &config.ExternalEtcd{Endpoints: []string{etcd.URL + "/", other.URL, gone.URL}}
	got := Probe(t.Context(), cfg, Quick)().Etcd
	if len(got) != 3 || got[0].Version != "3.6.8" || got[0].Error != "" || !strings.Contains(got[1].Error, "404") ||
		!strings.Contains(got[2].Error, "refused") {
		t.Errorf("answers are %+v", got)
	}
	cfg.Etcd.External.CAFile = "/nonexistent/ca.crt"
	if got := Probe(t.Context(), cfg, Quick)().Etcd; len(got) != 1 || !strings.Contains(got[0].Error, "cannot read its CA /nonexistent/ca.crt") {
		t.Errorf("answers are %+v", got)
	}
}

// This machine's own limits are read: a wrong path below /proc would be a check that never fails.
func TestLimits(t *testing.T) {
	f := mustGather(t, config.Default(t.TempDir()))
	if l := f.Limits; l.OpenFiles == 0 || l.InotifyInstances == 0 || l.InotifyWatches == 0 {
		t.Errorf("limits are %+v", l)
	}
	if f.KernelRelease == "" {
		t.Error("there is no kernel release")
	}
}
