package phases

import (
	"bytes"
	"testing"

	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/plan"
)

// BenchmarkDryRun is all of a dry-run but the start of the process: its share of the 50 ms.
func BenchmarkDryRun(b *testing.B) {
	cfg := testConfig(b.TempDir())
	for b.Loop() {
		f, err := look(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		p, err := Init(cfg, f, testPayload)
		if err != nil {
			b.Fatal(err)
		}
		var out bytes.Buffer
		if err := plan.Print(&out, p, plan.Diff(p, f.Host())); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGather(b *testing.B) {
	cfg := testConfig(b.TempDir())
	for b.Loop() {
		if _, err := facts.Gather(b.Context(), cfg); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInit is what init adds to the start of the components.
func BenchmarkInit(b *testing.B) {
	for b.Loop() {
		if _, err := newMachine(b.TempDir()).init(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
