// Package flagcheck asks a component's own program whether it takes certain
// arguments: whether it has the flags, and whether it can read their values.
// Nobody else knows that for each version of each component.
//
//	arguments --Check--> PROGRAM arguments --version=true --> it prints its version: all are good
//	                         ^                            \-> it refuses one argument: Refusal
//	                         +---- without that one -------------+
//
// All components read their whole command line before they look whether
// --version is there: kube-* with pflag, and feature gates with it; etcd with
// package flag. What a component finds wrong with a value only later, when it
// starts, is not found. A component that is asked has no environment, opens no
// connection and writes nothing.
package flagcheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Program is the program of a component.
type Program struct {
	Name string // argv[0]: "kube-apiserver"
	Path string
}

// Answer is what a program says of its arguments.
type Answer struct {
	// Version is its own, without a leading v: "1.36.3", or "3.6.8" of an etcd.
	Version string
	Refused []Refusal // in the order of the arguments
	// Deprecated are the sentences with which the program takes flags that will go.
	Deprecated []string
	// Flags are the names in its help text, without dashes. They are read only when a flag is unknown.
	Flags []string
}

// Refusal is one argument that the program does not take.
type Refusal struct {
	Index   int    // of the argument
	Unknown bool   // the program has no such flag
	Problem string // what it says of the value otherwise: "strconv.ParseInt: parsing ..."
}

// Check asks a program about arguments of the form "--name=value". It starts
// it once, and once more for each argument that it refuses (0.1 s each). The
// error says that it could not be asked.
func (p Program) Check(ctx context.Context, args []string) (Answer, error) {
	var a Answer
	left := make([]int, len(args)) // the arguments that were not refused yet
	for i := range left {
		left[i] = i
	}
	for {
		out, err := p.ask(ctx, pick(args, left))
		if err != nil {
			return a, err
		}
		if out.good {
			a.Version, a.Deprecated = versionIn(out.stdout), deprecatedIn(out.stderr)
			break
		}
		refusal, err := p.refusal(ctx, args, left, out.stderr)
		if err != nil {
			return a, err
		}
		a.Refused = append(a.Refused, refusal)
		if refusal.Unknown && len(a.Flags) == 0 {
			a.Flags = flagsIn(out.stderr) // some print them with the error
		}
		left = slices.DeleteFunc(left, func(i int) bool { return i == refusal.Index })
	}
	if a.Version == "" {
		return a, fmt.Errorf("cannot ask %s: it does not tell its version", p.Name)
	}
	slices.SortFunc(a.Refused, func(x, y Refusal) int { return x.Index - y.Index })
	if len(a.Flags) == 0 && slices.ContainsFunc(a.Refused, func(r Refusal) bool { return r.Unknown }) {
		help, err := p.run(ctx, "--help")
		if err != nil {
			return a, err
		}
		a.Flags = flagsIn(help.stdout + help.stderr)
	}
	return a, nil
}

func pick(args []string, indexes []int) []string {
	picked := make([]string, len(indexes))
	for i, at := range indexes {
		picked[i] = args[at]
	}
	return picked
}

// refusal finds out which of the arguments that are left is refused.
func (p Program) refusal(ctx context.Context, args []string, left []int, stderr string) (Refusal, error) {
	c := complaintIn(stderr)
	if c.problem == "" && !c.unknown {
		return Refusal{}, fmt.Errorf("cannot ask %s: %s", p.Name, firstLine(stderr))
	}
	for _, i := range left {
		name, value, _ := strings.Cut(strings.TrimPrefix(args[i], "--"), "=")
		if c.flag != "" && normal(name) == normal(c.flag) && (c.unknown || value == c.value) {
			return Refusal{Index: i, Unknown: c.unknown, Problem: c.problem}, nil
		}
	}
	// It does not say which (feature gates): the last one of the fewest with which it refuses.
	var failed error
	n := sort.Search(len(left), func(n int) bool {
		out, err := p.ask(ctx, pick(args, left[:n]))
		failed = errors.Join(failed, err)
		return err == nil && !out.good
	})
	if failed != nil {
		return Refusal{}, failed
	}
	if n == 0 {
		return Refusal{}, fmt.Errorf("cannot ask %s: %s", p.Name, c.problem)
	}
	return Refusal{Index: left[n-1], Problem: c.problem}, nil
}

// normal is a flag's name as component-base compares names.
func normal(name string) string { return strings.ReplaceAll(name, "_", "-") }

// output is how a program ended.
type output struct {
	good           bool // exit code 0
	stdout, stderr string
}

func (p Program) ask(ctx context.Context, args []string) (output, error) {
	return p.run(ctx, append(args, "--version=true")...)
}

// stopDelay is how long a killed program may hold its output open.
const stopDelay = time.Second

func (p Program) run(ctx context.Context, args ...string) (output, error) {
	var stdout, stderr limited
	cmd := exec.CommandContext(ctx, p.Path)
	cmd.Args = append([]string{p.Name}, args...)
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = stopDelay
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return output{}, fmt.Errorf("cannot ask %s: it took too long", p.Name)
	case err != nil && (!errors.As(err, &exit) || !exit.Exited()):
		return output{}, fmt.Errorf("cannot ask %s: %w", p.Name, err)
	}
	return output{good: err == nil, stdout: stdout.String(), stderr: stderr.String()}, nil
}

// limited keeps the first MiB: a help text has a tenth of it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(data []byte) (int, error) {
	const limit = 1 << 20
	l.Buffer.Write(data[:min(len(data), limit-l.Len())])
	return len(data), nil
}

// complaint is why a program refused its arguments.
type complaint struct {
	flag    string // "" if it does not say which
	value   string
	unknown bool
	problem string
}

// complaintIn reads the texts of pflag (errors.go), of package flag, and what
// component-base logs when a check after the flags fails (cli/run.go).
func complaintIn(stderr string) complaint {
	if m := find(`(?m)^Error: unknown flag: --(.+)$`, stderr); m != nil {
		return complaint{flag: m[1], unknown: true}
	}
	if m := find(`(?m)^flag provided but not defined: -(.+)$`, stderr); m != nil {
		return complaint{flag: m[1], unknown: true}
	}
	if m := find(`(?ms)^Error: invalid argument ("(?:[^"\\]|\\.)*") for "(?:-\w, )?--([^"]+)" flag: (.*)\z`, stderr); m != nil {
		return complaint{value: unquoted(m[1]), flag: m[2], problem: strings.TrimSpace(m[3])}
	}
	if m := find(`(?m)^invalid (?:boolean )?value ("(?:[^"\\]|\\.)*") for (?:flag )?-([^:]+): (.*)$`, stderr); m != nil {
		return complaint{value: unquoted(m[1]), flag: m[2], problem: m[3]}
	}
	if m := find(`(?m)^E.*"command failed" err=("(?:[^"\\]|\\.)*")`, stderr); m != nil {
		return complaint{problem: unquoted(m[1])}
	}
	if m := find(`(?ms)^Error: (.*)\z`, stderr); m != nil {
		return complaint{problem: strings.TrimSpace(m[1])}
	}
	return complaint{}
}

func find(pattern, text string) []string { return regexp.MustCompile(pattern).FindStringSubmatch(text) }

func unquoted(s string) string {
	if plain, err := strconv.Unquote(s); err == nil {
		return plain
	}
	return s
}

// versionIn reads "Kubernetes v1.36.3" and "etcd Version: 3.6.8".
func versionIn(stdout string) string {
	if m := find(`(?m)^(?:Kubernetes v|etcd Version: )(\S+)$`, stdout); m != nil {
		return m[1]
	}
	return ""
}

// deprecatedIn reads pflag's "Flag --x has been deprecated, ...".
func deprecatedIn(stderr string) []string {
	return regexp.MustCompile(`(?m)^Flag --\S+ has been deprecated.*$`).FindAllString(stderr, -1)
}

func flagsIn(help string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^\s+(?:-\w, )?--([a-zA-Z0-9][\w.-]*)`).FindAllStringSubmatch(help, -1) {
		names = append(names, m[1])
	}
	return names
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if line == "" {
		return "it says nothing"
	}
	return line
}
