package process

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kubecrank/kubecrank/runtime"
)

// A container that writes a burst and ends has its log cut back as one that runs on.
func TestHousekeepBoundsEndedLogs(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	rt.opts.LogMaxBytes, rt.opts.LogMaxFiles = 64<<10, 2
	signal := filepath.Join(t.TempDir(), "go")
	pod := testPod("burst", "while ! [ -e "+signal+" ]; do sleep 0.01; done; yes | head -c 5000000")
	s, err := rt.OpenPod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Start(t.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0]})
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.Housekeep(t.Context()); err != nil { // it runs, and has written nothing
		t.Fatal(err)
	}
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	_ = rt.Housekeep(t.Context()) // it tells of the lost bytes
	dir := filepath.Dir(c.Info().LogPath)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			sum += info.Size()
		}
	}
	if sum > 400<<10 {
		t.Errorf("%d bytes are left", sum)
	}
}
