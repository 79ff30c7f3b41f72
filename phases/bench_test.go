package phases

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/kubecrank/kubecrank/manifests/config"
	"github.com/kubecrank/kubecrank/phases/facts"
	"github.com/kubecrank/kubecrank/phases/plan"
	"github.com/kubecrank/kubecrank/test/largest"
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

// BenchmarkDryRunLargest is that of a file with every field and patch in it, from reading it on: with
// two items in each list, and with as many as a file may have.
func BenchmarkDryRunLargest(b *testing.B) {
	for _, n := range []int{2, largest.Most} {
		b.Run(fmt.Sprintf("items=%d", n), func(b *testing.B) {
			root := b.TempDir()
			file, err := largest.Write(root, n)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				dryRunFile(b, root, file)
			}
		})
	}
}

func dryRunFile(b *testing.B, root, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	documents, errs := config.Parse(file, data)
	cfg, more := documents.ApplyInit(config.Default(root))
	f, err := look(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	cfg = cfg.Complete(f.HostFacts(cfg))
	if errs := slices.Concat(errs, more, cfg.Validate()); len(errs) > 0 {
		b.Fatal(errs)
	}
	cfg.IgnorePreflightErrors = []string{"all"} // what this machine lacks is not the matter
	p, err := Init(cfg, f, testPayload)
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	if err := plan.Print(&out, p, plan.Diff(p, f.Host())); err != nil {
		b.Fatal(err)
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
