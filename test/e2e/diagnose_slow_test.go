//go:build e2e

package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// memoryAtMost gives the container a limit that the kernel enforces.
func memoryAtMost(limit string) change {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)}
		p.Spec.Containers[0].Resources.Requests = nil
	}
}

// canLimit says whether this user can make cgroups for memory, without which limits are refused.
func canLimit(t testing.TB) bool {
	for _, dir := range []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup"} {
		probe := filepath.Join(dir, "kubecrank-e2e-"+strconv.Itoa(os.Getpid()))
		if os.Mkdir(probe, 0o755) == nil {
			_ = os.Remove(probe)
			return true
		}
	}
	t.Log("out-of-memory is left out: cannot make a cgroup here")
	return false
}

// A disk that is too slow: the kernel throttles the block device for etcd (cgroup v1, blkio).
func TestFaultDiagnoseSlowDisk(t *testing.T) {
	if !*everyFault {
		t.Skip("make faults runs it")
	}
	l := newLab(t)
	data := l.dir("slow")
	var st syscall.Stat_t
	if err := syscall.Stat(data, &st); err != nil {
		t.Fatal(err)
	}
	group := filepath.Join("/sys/fs/cgroup/blkio", "kubecrank-e2e-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skipf("cannot throttle a disk here: %v", err)
	}
	t.Cleanup(func() {
		l.eventually(time.Minute, "the cgroup can be removed", func() error { return os.Remove(group) })
	})
	device := fmt.Sprintf("%d:%d", st.Dev>>8&0xfff, st.Dev&0xff|st.Dev>>12&0xfff00)
	if err := os.WriteFile(filepath.Join(group, "blkio.throttle.write_bps_device"), []byte(device+" 6000"), 0o600); err != nil {
		t.Skipf("the disk of %s (%s) cannot be throttled: %v", data, device, err)
	}
	etcd, _ := l.etcdAt(data)
	l.pod("slow-disk", "etcd", etcd)
	l.supervise("/bin/sh", "-c", "echo $$ > "+group+`/cgroup.procs; exec "$@"`, "sh")
	t.Cleanup(l.killAll)
	l.expect(map[string]expectation{"slow-disk": {"disk-slow", probable, []string{data, "onto the disk took "}}})
}

// A member that was removed and comes back with its old data.
func TestFaultDiagnoseRemovedMember(t *testing.T) {
	if !*everyFault {
		t.Skip("make faults runs it")
	}
	l := newLab(t)
	first, url := l.etcdAt(l.dir("first"))
	l.pod("etcd", "etcd", first)
	l.supervise()
	l.ready("etcd")
	data := l.dir("second")
	second, _ := l.etcdAt(data)
	added := l.askEtcd(url, "cluster/member/add", `{"peerURLs":["`+peerOf(second)+`"]}`)
	_, id, _ := strings.Cut(added, `"member":{"ID":"`)
	id, _, _ = strings.Cut(id, `"`)
	l.pod("second", "etcd", second, withMember("lab", peerOf(first)), flagIs("initial-cluster-state", "existing"))
	l.ready("second")
	l.eventually(time.Minute, "the member is removed", func() error { // etcd wants all to be connected for five seconds
		if answer := l.askEtcd(url, "cluster/member/remove", `{"ID":"`+id+`"}`); !strings.Contains(answer, `"members"`) {
			return errors.New(answer)
		}
		return nil
	})
	l.expect(map[string]expectation{"second": {"removed-member", certain, []string{data, "mv " + data}}})
}

// An etcd whose database has reached its quota, and an API server that cannot write.
func TestFaultDiagnoseQuota(t *testing.T) {
	if !*everyFault {
		t.Skip("make faults runs it")
	}
	l := newLab(t)
	etcd, url := l.etcdAt(l.dir("data"))
	l.pod("etcd", "etcd", etcd, flagIs("quota-backend-bytes", "40000"))
	l.supervise()
	l.ready("etcd")
	value := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 100_000))
	for range 3 {
		if answer := l.askEtcd(url, "kv/put", `{"key":"a2V5","value":"`+value+`"}`); strings.Contains(answer, "space exceeded") {
			break
		}
	}
	l.pod("quota", "kube-apiserver", l.apiServerAt(url))
	l.expect(map[string]expectation{"quota": {"etcd-quota", certain, []string{"--quota-backend-bytes"}}})
}

// ready waits until a pod is ready.
func (l *lab) ready(name string) {
	l.t.Helper()
	l.eventually(time.Minute, name+" is ready", func() error {
		if p := l.look()[name]; !p.Ready {
			return fmt.Errorf("%s", p)
		}
		return nil
	})
}

// askEtcd calls etcd's JSON API.
func (l *lab) askEtcd(url, method, body string) string {
	l.t.Helper()
	cert, err := tls.LoadX509KeyPair(l.pki("apiserver-etcd-client.crt"), l.pki("apiserver-etcd-client.key"))
	if err != nil {
		l.t.Fatal(err)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	resp, err := client.Post(url+"/v3/"+method, "application/json", strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(answer)
}
