// Package docs runs what the documentation shows: each ```console block of
// README.md, docs/tutorial and docs/how-to, as it is written, with bin/kubecrank
// in PATH, and compares what is printed with the page.
//
//	page --parse--> blocks of steps --one bash per page, a fresh directory--> output, exit code
//	                     |                                                        |
//	                     +------------------------ compare ---------- diff <------+
//
// The notation of a block, which docs/README.md explains to readers:
//
//	$ command               a command; lines that start with "> " continue it
//	text                    what it prints, on stdout and stderr, in order
//	...                     within a line: anything; alone on a line: any number of lines
//	(exit code 3)           how it ends, as its last line; without it, with 0
//	/home/you               the directory in which the page is run, which is HOME too
//
// What differs between two runs stands for anything of its kind: a duration
// (0.3 s, 24s, 1m30s), a number of four digits or more (a PID, a size), the width of
// a gap between words. Progress of kubecrank that starts with " ✓ " may come in any
// order, as phases run side by side, and with " • " it may come or not.
//
// A block that starts with "```console root" is left out when root does not run the
// test. A page with "<!-- as: nobody -->" is run as the user nobody when root runs it. For one with
// "<!-- web server: www at 127.0.0.1:18080 -->" the test is the web server that the reader has somewhere: it serves
// the directory www of the page.
//
//	make build && go test -tags e2e ./test/docs                              all pages
//	go test -tags e2e ./test/docs -run TestPages/static-pods   one
package docs

import (
	"fmt"
	"strconv"
	"strings"
)

// page is one Markdown file.
type page struct {
	asNobody bool
	web      webServer
	blocks   []block
}

// webServer is what a page expects to find; none when dir is "".
type webServer struct{ dir, address string }

// block is one ```console block.
type block struct {
	line     int // of its first line, from 1
	rootOnly bool
	steps    []step
}

// step is one command, and what the page says of it.
type step struct {
	line    int
	command string // with its line ends
	want    []string
	code    int
}

const (
	fence    = "```"
	console  = "console"
	nobody   = "<!-- as: nobody -->"
	prompt   = "$ "
	more     = "> "
	anything = "..."
	webStart = "<!-- web server: "
)

// parse reads the console blocks of a page. What cannot be understood is an
// error: a block that is silently not run would be worth nothing.
func parse(text string) (page, error) {
	var p page
	var inside, other bool // a console block; any other
	for i, line := range strings.Split(text, "\n") {
		n := i + 1
		switch info, isFence := strings.CutPrefix(strings.TrimSpace(line), fence); {
		case isFence && (inside || other):
			if inside && len(p.blocks[len(p.blocks)-1].steps) == 0 {
				return p, fmt.Errorf("line %d: a console block without a command", n)
			}
			inside, other = false, false
		case isFence && strings.HasPrefix(info, console):
			if line != strings.TrimSpace(line) {
				return p, fmt.Errorf("line %d: a console block must not be indented", n)
			}
			b := block{line: n + 1}
			switch strings.TrimSpace(strings.TrimPrefix(info, console)) {
			case "":
			case "root":
				b.rootOnly = true
			default:
				return p, fmt.Errorf("line %d: %q is no kind of console block", n, info)
			}
			p.blocks = append(p.blocks, b)
			inside = true
		case isFence:
			other = true
		case inside:
			if err := p.blocks[len(p.blocks)-1].add(n, line); err != nil {
				return p, err
			}
		case line == nobody:
			p.asNobody = true
		case strings.HasPrefix(line, webStart):
			dir, address, ok := strings.Cut(strings.TrimPrefix(line, webStart), " at ")
			if p.web = (webServer{dir, strings.TrimSuffix(address, " -->")}); !ok || p.web.address == address {
				return p, fmt.Errorf("line %d: a web server is written <!-- web server: DIRECTORY at ADDRESS -->", n)
			}
		}
	}
	if inside || other {
		return p, fmt.Errorf("the last block does not end")
	}
	return p, nil
}

// add takes one line of a block.
func (b *block) add(n int, line string) error {
	if command, ok := strings.CutPrefix(line, prompt); ok {
		b.steps = append(b.steps, step{line: n, command: command + "\n"})
		return nil
	}
	if len(b.steps) == 0 {
		return fmt.Errorf("line %d: output before the first command", n)
	}
	s := &b.steps[len(b.steps)-1]
	if rest, ok := strings.CutPrefix(line, more); ok && len(s.want) == 0 {
		s.command += rest + "\n"
		return nil
	}
	if s.code != 0 {
		return fmt.Errorf("line %d: output after the exit code", n)
	}
	if code, ok := strings.CutPrefix(line, "(exit code "); ok {
		c, err := strconv.Atoi(strings.TrimSuffix(code, ")"))
		if err != nil || c < 1 || c > 255 {
			return fmt.Errorf("line %d: %q is no exit code", n, line)
		}
		s.code = c
		return nil
	}
	s.want = append(s.want, line)
	return nil
}
