//go:build e2e

package docs

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/test/guardian"
)

var program = flag.String("kubecrank", "../../bin/kubecrank", "the program under test; its name must be kubecrank")

func TestMain(m *testing.M) {
	guardian.Guard()
	os.Exit(m.Run())
}

// TestPages runs every page that shows commands.
func TestPages(t *testing.T) {
	path, err := filepath.Abs(*program)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil || filepath.Base(path) != "kubecrank" {
		t.Fatalf("cannot find the program under test, run make build: %s: %v", path, err)
	}
	run := 0
	for _, name := range pages(t) {
		text, err := os.ReadFile(filepath.Join(repository, name))
		if err != nil {
			t.Fatal(err)
		}
		p, err := parse(string(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(p.blocks) == 0 {
			continue
		}
		run++
		t.Run(strings.TrimSuffix(filepath.Base(name), ".md"), func(t *testing.T) { runPage(t, name, p, filepath.Dir(path)) })
	}
	if run < 5 {
		t.Errorf("only %d pages show commands: they are not found", run)
	}
}

// pages are the pages whose commands are run, relative to the repository.
func pages(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md"}
	for _, dir := range []string{"docs/tutorial", "docs/how-to"} {
		entries, err := os.ReadDir(filepath.Join(repository, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".md") {
				all = append(all, filepath.Join(dir, e.Name()))
			}
		}
	}
	return all
}

// patience is how long a command may take. One init takes 4 s, and half a minute on a busy machine.
const patience = 3 * time.Minute

// runPage runs the blocks of a page in one shell. After a command that does not
// do what the page says, the rest of the page would only be noise.
func runPage(t *testing.T, name string, p page, bin string) {
	s := newSession(t, bin, p.asNobody)
	if p.web.dir != "" {
		s.serve(t, p.web)
	}
	for _, b := range p.blocks {
		if b.rootOnly && os.Geteuid() != 0 {
			t.Logf("%s:%d: left out: it needs root", name, b.line)
			continue
		}
		for _, step := range b.steps {
			got, code, err := s.run(step.command, patience)
			where := fmt.Sprintf("%s:%d: $ %s", name, step.line, step.command)
			if err != nil {
				t.Fatalf("%s%v; it printed:\n%s", where, err, strings.Join(got, "\n"))
			}
			if diff := compare(step.want, got); diff != "" {
				t.Errorf("%sprints something else (- the page, + what was printed):\n%s\nall that it printed:\n%s",
					where, diff, strings.Join(got, "\n"))
			}
			if code != step.code {
				t.Errorf("%sends with exit code %d, not %d; it printed:\n%s", where, code, step.code, strings.Join(got, "\n"))
			}
			if t.Failed() {
				return
			}
		}
	}
	if left := s.processes(); len(left) > 0 {
		t.Errorf("%s leaves running what it started:\n%s", name, strings.Join(describe(left), "\n"))
	}
}
