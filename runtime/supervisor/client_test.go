package supervisor

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kubecrank/kubecrank/runtime"
)

// A supervisor that is killed while it is asked is one that does not run, and the socket is named as the user knows it.
func TestClientOfOneThatDies(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*net.UnixConn){
		// What is unread when a socket is closed resets it, as the end of its process does: one byte is read, to wait for it.
		"before it read":     func(c *net.UnixConn) { _, _ = c.Read(make([]byte, 1)) },
		"before it answered": func(c *net.UnixConn) { _, _ = c.Read(make([]byte, 4096)) },
		"in its answer": func(c *net.UnixConn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"ready\":"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "s.sock")
			l, err := listen(path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					answer(conn.(*net.UnixConn))
					conn.Close()
				}
			}()
			_, err = NewClient(path).Status(t.Context())
			if !errors.Is(err, runtime.ErrNotRunning) || !strings.Contains(err.Error(), path) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// An error of the connection keeps its cause, and names no path that only this process knows.
func TestClientNamesSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.sock")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := NewClient(path).Status(t.Context())
	if err == nil || strings.Contains(err.Error(), "/proc/self") || !strings.Contains(err.Error(), path) {
		t.Errorf("of a file that is no socket: %v", err)
	}
	c := NewClient(path)
	err = c.lost(&net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), path) {
		t.Errorf("of a socket of somebody else's: %v", err)
	}
}
