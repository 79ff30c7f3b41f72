// Package script holds the tests of the command line: each file in testdata is
// a session with kubecrank, run through cli.Main, headed by what it guards.
//
//	go test ./test/script                      all of them
//	go test ./test/script -run TestScripts/exit   one
//	go test ./test/script -update              write the goldens again
package script

import (
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kubecrank/kubecrank/cmd/cli"
	"github.com/kubecrank/kubecrank/test/guardian"
)

var update = flag.Bool("update", false, "write the goldens inside the scripts again")

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "kubecrank" { // that is a command of a script
		guardian.Guard()
	}
	testscript.Main(m, map[string]func(){
		"kubecrank": func() { os.Exit(int(cli.Main(context.Background(), os.Args[1:], cli.OSStdio()))) },
	})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			root := filepath.Join(env.WorkDir, "root")
			env.Defer(func() { cleanUp(t, root) })
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":      exits,
			"eventually": eventually,
			"fetch":      fetch,
			"listing":    listing,
			"occupy":     occupy,
		},
	})
}

// exits runs a program that must end with a certain code: exits 2 kubecrank init --bogus.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGS]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := run(ts, args[1:])
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// eventually runs a program until it ends with a certain code: eventually 0 kubecrank status.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually CODE PROGRAM [ARGS]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var got int
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got = run(ts, args[1:]); got == want {
			return
		}
	}
	ts.Fatalf("still exit code %d, want %d", got, want)
}

// run returns the exit code of a program.
func run(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		ts.Fatalf("cannot run %s: %v", args[0], err)
	}
	return exit.ExitCode()
}

// listing fails unless a directory holds exactly these paths, or with no
// paths, unless it does not exist or is empty: what a refused run must leave.
func listing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: listing DIR [PATH...]")
	}
	dir := ts.MkAbs(args[0])
	var got []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) && path == dir {
			return filepath.SkipAll
		}
		if err == nil && path != dir {
			got = append(got, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	ts.Check(err)
	if strings.Join(got, "\n") != strings.Join(args[1:], "\n") {
		ts.Fatalf("%s holds %q, want %q", args[0], got, args[1:])
	}
}

// occupy listens on a loopback port until the script ends.
func occupy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: occupy PORT")
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
}

// fetch writes what a URL answers to stdout: fetch http://127.0.0.1:1234/metrics.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: fetch URL")
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(args[0])
	if neg {
		if err == nil {
			ts.Fatalf("%s answers %s", args[0], resp.Status)
		}
		return
	}
	ts.Check(err)
	defer resp.Body.Close()
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
}

// cleanUp ends what a script that failed has left running.
func cleanUp(t *testing.T, root string) {
	if _, err := os.Stat(filepath.Join(root, "var/lib/kubecrank/journal.jsonl")); err != nil {
		return
	}
	if out, err := exec.Command("kubecrank", "reset", "--root", root, "--force").CombinedOutput(); err != nil {
		t.Errorf("cannot clean up %s: %v\n%s", root, err, out)
	}
}
