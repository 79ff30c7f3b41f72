package ports

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// The holder of a port is named, whatever address it listens on.
func TestListenersNameTheHolder(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("no %s here: %v", address, err)
			continue
		}
		port := l.Addr().(*net.TCPAddr).Port
		got := Listeners([]int{port, 1})
		if h := got[port]; len(got) != 1 || h.PID != os.Getpid() || h.Program != filepath.Base(os.Args[0]) || h.Address == "" {
			t.Errorf("%s: %+v", address, got)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if got := Listeners([]int{port}); len(got) != 0 {
			t.Errorf("closed, and yet %+v", got)
		}
	}
}

// A connection that is open, or waits to be forgotten, does not take its port.
func TestConnectionsAreNoListeners(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := Listeners([]int{c.LocalAddr().(*net.TCPAddr).Port}); len(got) != 0 {
		t.Errorf("listeners are %+v", got)
	}
}
