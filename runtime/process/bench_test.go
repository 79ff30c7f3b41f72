package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/runtime"
)

// BenchmarkStart is from the call to a running, recorded process, and from SIGKILL to the Exit: as it is; with the read-only
// mounts of a kube-apiserver; with limits.
func BenchmarkStart(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchmarkStart(b, func(*runtime.Pod) {}) })
	b.Run("mounts", func(b *testing.B) {
		benchmarkStart(b, func(pod *runtime.Pod) {
			for _, path := range []string{"/etc", "/usr/share", "/usr/bin", "/usr/lib", "/var/lib"} {
				volume(pod, hostPath(path), corev1.VolumeMount{MountPath: path, ReadOnly: true})
			}
		})
	})
	b.Run("limits", func(b *testing.B) {
		benchmarkStart(b, func(pod *runtime.Pod) { pod.Spec.Containers[0].Resources.Limits = quantities("1", "1Gi") })
	})
}

func benchmarkStart(b *testing.B, change func(*runtime.Pod)) {
	rt, err := New(Options{Root: b.TempDir(), LogDir: b.TempDir(), StateDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	pod := testPod("bench", "")
	pod.Spec.Containers[0].Command = []string{"sleep", "1000"}
	change(pod)
	s, err := rt.OpenPod(b.Context(), pod)
	if err != nil {
		b.Fatal(err)
	}
	var started, ended time.Duration
	n := 0
	for b.Loop() {
		at := time.Now()
		c, err := s.Start(b.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0], RestartCount: n})
		if err != nil {
			b.Fatal(err)
		}
		started += time.Since(at)
		at = time.Now()
		if err := c.Stop(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
		ended += time.Since(at)
		n++
	}
	if err := s.Close(b.Context()); err != nil {
		b.Error(err)
	}
	b.ReportMetric(float64(started.Microseconds())/float64(n), "µs/start")
	b.ReportMetric(float64(ended.Microseconds())/float64(n), "µs/kill")
}

// BenchmarkAdopt is a new supervisor's List with 100 containers running, and BenchmarkHousekeep what the same
// 100 cost when there is nothing to do.
func BenchmarkAdopt(b *testing.B) {
	root := b.TempDir()
	opts := Options{Root: root, LogDir: filepath.Join(root, "log"), StateDir: filepath.Join(root, "state")}
	rt, err := New(opts)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 100 {
		pod := testPod(fmt.Sprint("p", i), "")
		pod.Spec.Containers[0].Command = []string{"sleep", "1000"}
		s, err := rt.OpenPod(b.Context(), pod)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Start(b.Context(), runtime.ContainerSpec{Container: pod.Spec.Containers[0]}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		next, err := New(opts)
		if err != nil {
			b.Fatal(err)
		}
		found, err := next.List(b.Context())
		if err != nil || len(found) != 100 {
			b.Fatal(len(found), err)
		}
	}
	at := time.Now()
	if err := rt.Housekeep(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(at).Microseconds()), "µs/housekeep")
	status, _ := os.ReadFile("/proc/self/statm")
	b.Logf("statm %s", status)
	for _, c := range rt.running() {
		if err := errors.Join(c.Stop(b.Context(), 0), rt.cgroups.RemovePod(c.rec.UID)); err != nil {
			b.Error(err)
		}
	}
}
