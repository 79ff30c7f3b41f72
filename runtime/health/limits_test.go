package health

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A server that answers without an end, in the head or in the body, costs neither much memory nor more than the probe's
// timeout.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"head":          "HTTP/1.1 200 OK\r\n",
		"one header":    "HTTP/1.1 200 OK\r\nX: ",
		"informational": "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n",
		"body":          "HTTP/1.1 500 Oh\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			sent := make(chan int64, 1)
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				n, _ := io.WriteString(conn, answer)
				more := map[string]string{"head": "X-Header: " + strings.Repeat("y", 1000) + "\r\n", "informational": answer}[name]
				if more == "" {
					more = strings.Repeat("y", 1000)
				}
				total := int64(n)
				for err == nil && total < 1<<30 {
					n, err = io.WriteString(conn, more)
					total += int64(n)
				}
				sent <- total
			}()
			port := l.Addr().(*net.TCPAddr).Port
			check, err := HTTP(&corev1.HTTPGetAction{Port: intstr.FromInt32(int32(port)), Path: "/"}, Target{Host: "127.0.0.1"}, http.RoundTripper(nil))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			err = check(ctx)
			if err == nil || len(fmt.Sprintf("%+v", err)) > 3*maxBody {
				t.Errorf("an answer of %d bytes", len(fmt.Sprint(err)))
			}
			if n := <-sent; n > 16<<20 { // what the sockets hold, and what is read
				t.Errorf("%d bytes were taken", n)
			}
		})
	}
}
