package config_test

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/cmd/cli"
	"github.com/kubecrank/kubecrank/manifests/config"
)

// Every invalid file ends in exit code 2 with its line and a remedy on the
// terminal, and takes less than a second and 100 MB.
func TestInvalidFilesOnTheCommandLine(t *testing.T) {
	limit := 1.0
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		limit = 10
	}
	for _, file := range config.InvalidFiles() {
		t.Run(file.Name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := cpuSeconds(t)
			// Components that are not there: what they say of arguments is another test's subject.
			code := cli.Main(t.Context(), []string{"config", "validate", "-", "--components-dir", "/nonexistent"},
				cli.Stdio{In: strings.NewReader(file.Text), Out: &stdout, Err: &stderr})
			took := cpuSeconds(t) - began
			runtime.ReadMemStats(&after)
			if code != cli.ExitUsage || stdout.Len() > 0 {
				t.Errorf("exit code %d: %s", code, stdout.String())
			}
			if place := fmt.Sprintf("standard input:%d: cannot use ", file.Line); !strings.Contains(stderr.String(), place) {
				t.Errorf("it does not say %q:\n%s", place, stderr.String())
			}
			if !strings.Contains(stderr.String(), "hint: ") {
				t.Errorf("there is no remedy:\n%s", stderr.String())
			}
			if allocated := (after.TotalAlloc - before.TotalAlloc) >> 20; took > limit || allocated > 100 {
				t.Errorf("it took %.1f s of the processor and %d MiB", took, allocated)
			}
		})
	}
}

// cpuSeconds is the process's, so that a busy machine does not count.
func cpuSeconds(t *testing.T) float64 {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
