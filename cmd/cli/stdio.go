package cli

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Stdio is what the program has from the world around it besides its
// arguments, so that a test can be the world.
type Stdio struct {
	In  io.Reader
	Out io.Writer // results
	Err io.Writer // progress and errors
	Env []string  // "NAME=value", as os.Environ gives it; of doubles the last counts
	// Executable is the path of this program: init starts it again as the supervisor.
	Executable string
}

// OSStdio is the process's own.
func OSStdio() Stdio {
	executable, err := os.Executable()
	if err != nil {
		executable = os.Args[0] // no /proc: good enough for everything but a deleted file
	}
	return Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Environ(), Executable: executable}
}

// getenv returns the value of an environment variable, "" when it is not set.
func (s Stdio) getenv(name string) string {
	for i := len(s.Env) - 1; i >= 0; i-- {
		if key, value, _ := strings.Cut(s.Env[i], "="); key == name {
			return value
		}
	}
	return ""
}

// isTerminal reports whether a stream is a terminal that understands cursor movements.
func (s Stdio) isTerminal(stream any) bool {
	return s.getenv("TERM") != "dumb" && isTTY(stream)
}

// isTTY reports whether a stream is a terminal of any kind: each may obey control characters.
func isTTY(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// width is the number of columns of a terminal, 80 if it is not known.
func (s Stdio) width(stream any) int {
	width, _ := s.size(stream)
	return width
}

// size is the number of columns and lines of a terminal, 80 and 24 if they are not known.
func (s Stdio) size(stream any) (width, height int) {
	if f, ok := stream.(interface{ Fd() uintptr }); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
			return w, h
		}
	}
	return 80, 24
}
