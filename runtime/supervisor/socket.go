package supervisor

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/kubecrank/kubecrank/durable"
)

// A socket's path has room for 107 bytes (struct sockaddr_un), and a root may be deeper than that. So the
// directory is opened, and the socket addressed through /proc/self/fd.
func throughDirectory(path string) (short string, closeDir func(), err error) {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	return filepath.Join("/proc/self/fd", strconv.Itoa(dir), filepath.Base(path)), func() { _ = unix.Close(dir) }, nil
}

// listen makes the control socket; only its owner can reach it. The lock is held, so a socket that is
// there already belongs to nobody.
func listen(path string) (net.Listener, error) {
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of the control socket: %w", err)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().IsRegular() || info.IsDir() {
			return nil, fmt.Errorf("cannot make the control socket: %s is there, and is no socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("cannot replace the control socket: %w", err)
		}
	}
	short, closeDir, err := throughDirectory(path)
	if err != nil {
		return nil, fmt.Errorf("cannot make the control socket: %w", err)
	}
	defer closeDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // its short name is gone by then
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close() // the first error is the one to report
		return nil, fmt.Errorf("cannot protect the control socket: %w", err)
	}
	return l, nil
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	short, closeDir, err := throughDirectory(path)
	if err != nil {
		return nil, err
	}
	defer closeDir()
	return (&net.Dialer{}).DialContext(ctx, "unix", short)
}
