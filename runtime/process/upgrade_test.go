package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The supervisor is upgraded: the program that started a container is killed, its file is replaced, and another
// program, of another file, goes on with the container as if nothing had happened; its log has no hole.
func TestAdoptByAnotherBinary(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	old := filepath.Join(root, "kubecrank")
	// Another process writes it: one that is forked here meanwhile would hold it open for writing (ETXTBSY).
	build := exec.Command("sh", "-c", `cat "$1" >"$2" && echo another build >>"$2" && chmod 700 "$2"`, "sh", os.Args[0], old)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	end := filepath.Join(root, "end")
	spec := testPod("upgraded", "i=0; while [ ! -e "+end+" ]; do i=$((i+1)); echo $i; sleep 0.005; done").Spec
	pid := killedProgram(t, old, root, "upgraded", spec)
	if err := os.WriteFile(old+".new", []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old+".new", old); err != nil {
		t.Fatal(err)
	}

	c := one(t, runtimeAt(t, root))
	if c.Exited || c.Info().PID != pid {
		t.Errorf("exited %t, %+v", c.Exited, c.Info())
	}
	lines := func() []string { return strings.Fields(logOf(t, c)) }
	seen := len(lines())
	eventually(t, "the container goes on", func() bool { return len(lines()) > seen+20 })
	if err := os.WriteFile(end, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wait(t, c)
	for i, n := range lines() {
		if n != strconv.Itoa(i+1) {
			t.Fatalf("line %d of the log is %s", i+1, n)
		}
	}
}
