//go:build e2e

package docs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubecrank/kubecrank/procfs"
)

// session is a bash that reads commands as it would from a terminal: directory,
// variables and background jobs of one are there for the next.
type session struct {
	base    string // all that the session writes is below it
	dir     string // where it starts, and its HOME
	scripts string // commands and their outputs
	bash    *exec.Cmd
	stdin   io.WriteCloser
	codes   *bufio.Reader // exit codes, one a line
	n       int
}

// nobodyID is the user nobody and its group.
const nobodyID = 65534

// newSession starts a shell in a fresh directory. When the test ends, all that was
// started in it ends.
func newSession(t *testing.T, bin string, asNobody bool) *session {
	t.Helper()
	// Not t.TempDir: a path with the page's name in it would be longer than any reader's.
	base, err := os.MkdirTemp("", "kubecrank-docs-")
	if err == nil {
		base, err = filepath.EvalSymlinks(base)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &session{base: base, dir: filepath.Join(base, "you"), scripts: filepath.Join(base, "scripts")}
	t.Cleanup(func() { s.end(t) })
	tmp := filepath.Join(base, "tmp")
	for _, dir := range []string{s.dir, s.scripts, tmp} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.bash = exec.Command("bash", "--noprofile", "--norc")
	s.bash.Dir = s.dir
	s.bash.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if asNobody && os.Geteuid() == 0 {
		s.bash.SysProcAttr.Credential = &syscall.Credential{Uid: nobodyID, Gid: nobodyID}
		for _, dir := range []string{base, s.dir, s.scripts, tmp} {
			if err := os.Chown(dir, nobodyID, nobodyID); err != nil {
				t.Fatal(err)
			}
		}
		bin = copyProgram(t, bin, base) // the repository may be in a directory that others cannot enter
	}
	s.bash.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + s.dir, "TMPDIR=" + tmp, "TERM=dumb", "LC_ALL=C.UTF-8"}
	s.start(t)
	return s
}

// serve is the reader's web server.
func (s *session) serve(t *testing.T, web webServer) {
	t.Helper()
	listener, err := net.Listen("tcp", web.address)
	if err != nil {
		t.Fatalf("cannot serve what the page needs: %v", err)
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(filepath.Join(s.dir, web.dir)))}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
}

// copyProgram copies the program under test to another directory, which it returns.
func copyProgram(t *testing.T, from, to string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(from, "kubecrank"))
	if err == nil {
		err = os.WriteFile(filepath.Join(to, "kubecrank"), data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func (s *session) start(t *testing.T) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.codes = bufio.NewReader(read)
	s.bash.ExtraFiles = []*os.File{write} // 3
	if s.stdin, err = s.bash.StdinPipe(); err == nil {
		err = s.bash.Start()
	}
	write.Close()
	if err != nil {
		t.Fatalf("cannot start a shell: %v", err)
	}
	t.Cleanup(func() { read.Close() })
}

// run runs one command to its end and returns what it printed.
func (s *session) run(command string, limit time.Duration) (got []string, code int, err error) {
	s.n++
	script := filepath.Join(s.scripts, fmt.Sprintf("%d.sh", s.n))
	output := filepath.Join(s.scripts, fmt.Sprintf("%d.out", s.n))
	if err := os.WriteFile(script, []byte(command), 0o644); err != nil {
		return nil, 0, err
	}
	// Files and no pipes: what goes on in the background holds up nobody. "source" runs it in this very shell.
	line := fmt.Sprintf("source %s 3>&- </dev/null >%s 2>&1; echo $? >&3\n", script, output)
	ended := make(chan answer, 1)
	go func() { ended <- s.ask(line) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case a := <-ended:
		if code = a.code; a.err != nil {
			err = fmt.Errorf("ends the shell: %w", a.err)
		}
	case <-timer.C:
		err = fmt.Errorf("does not end within %s", limit)
	}
	data, readErr := os.ReadFile(output)
	return s.lines(string(data)), code, errors.Join(err, readErr)
}

// answer is what the shell says at the end of a command.
type answer struct {
	code int
	err  error
}

func (s *session) ask(line string) answer {
	if _, err := io.WriteString(s.stdin, line); err != nil {
		return answer{err: err}
	}
	text, err := s.codes.ReadString('\n')
	if err != nil {
		return answer{err: err}
	}
	code, err := strconv.Atoi(strings.TrimSpace(text))
	return answer{code, err}
}

// lines takes an output apart, with the directory under the name that the pages give it.
func (s *session) lines(output string) []string {
	if output == "" {
		return nil
	}
	output = strings.ReplaceAll(output, s.dir, "/home/you")
	return strings.Split(strings.TrimSuffix(output, "\n"), "\n")
}

// end kills all that is left of the session, and removes its directories.
func (s *session) end(t *testing.T) {
	if s.bash != nil && s.bash.Process != nil {
		s.stdin.Close()
		_ = s.bash.Process.Kill() // it may have ended
		_ = s.bash.Wait()
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left := s.processes()
		for _, p := range left {
			s.kill(p)
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Errorf("cannot end:\n%s", strings.Join(describe(left), "\n"))
			break
		}
	}
	if err := os.RemoveAll(s.base); err != nil {
		t.Errorf("cannot clean up: %v", err)
	}
}

// process is a process that was started in the session.
type process struct {
	pid  int
	args []string // none while it is in the middle of execve
}

func describe(all []process) []string {
	var lines []string
	for _, p := range all {
		lines = append(lines, fmt.Sprintf("  %d %s", p.pid, strings.Join(p.args, " ")))
	}
	return lines
}

// processes are those that have to do with the session's directories, the shell itself excepted.
func (s *session) processes() []process {
	pids, err := procfs.PIDs()
	if err != nil {
		panic(err) // a machine without /proc
	}
	var found []process
	for _, pid := range pids {
		if pid == os.Getpid() || s.bash != nil && s.bash.Process != nil && pid == s.bash.Process.Pid {
			continue
		}
		if s.owns(pid) {
			args, _ := procfs.Args(pid)
			found = append(found, process{pid, args})
		}
	}
	return found
}

// owns says whether a process names one of the session's directories in its arguments or its
// environment, or has something open there: nothing that a page starts can do without. Of what is gone, or
// another user's, nothing is known.
func (s *session) owns(pid int) bool {
	args, _ := procfs.Args(pid)
	environ, _ := procfs.Environ(pid)
	if slices.ContainsFunc(append(args, environ...), func(text string) bool { return strings.Contains(text, s.base+"/") }) {
		return true
	}
	files, _ := procfs.Files(pid)
	exe, _ := procfs.Exe(pid)
	cwd, _ := procfs.Cwd(pid)
	paths := append(slices.Collect(maps.Values(files)), exe, cwd)
	return slices.ContainsFunc(paths, func(path string) bool { return strings.HasPrefix(path, s.base+"/") })
}

// kill ends a process, if it still is the one that was seen: FindProcess pins it first.
func (s *session) kill(p process) {
	handle, err := os.FindProcess(p.pid)
	if err != nil {
		return
	}
	defer handle.Release()
	if s.owns(p.pid) {
		_ = handle.Kill() // it may just have ended
	}
}
