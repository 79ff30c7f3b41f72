package phases

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// A node whose journal the program of commit 535e025 wrote is reset as one of today's: nothing is left of it.
func TestResetWithAnOldJournal(t *testing.T) {
	m := newMachine(t.TempDir())
	if err := os.MkdirAll(m.config().Paths().PodLogs, 0o755); err != nil { // so that there are entries in somebody else's directory
		t.Fatal(err)
	}
	if _, err := m.init(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := m.config().Paths().Journal
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old := strings.NewReplacer(`"claim":{`, `"made":{`, `"key":"`, `"path":"`).Replace(string(data))
	old = regexp.MustCompile(`("kind":"entries","path":"[^"]*)"`).ReplaceAllString(old, `$1*"`)
	if !strings.Contains(old, `_*"`) || strings.Contains(old, `"key"`) || strings.Contains(old, `"claim"`) {
		t.Fatal(old)
	}
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if result, err := m.reset(t.Context()); err != nil || len(result.Left) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	if entries, err := os.ReadDir(m.config().Paths().Kubernetes); err == nil {
		t.Errorf("there are %v", entries)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the journal is there")
	}
}
