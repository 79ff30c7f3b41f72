//go:build e2e

package e2e

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecrank/kubecrank/phases/diagnose"
)

const (
	certain  = diagnose.Certain
	probable = diagnose.Probable
	passing  = diagnose.Passing
)

// Every cause that needs no init is provoked with the real components, all below
// one supervisor, and status names each; a component that is well has no cause.
func TestDiagnose(t *testing.T) {
	l := newLab(t)
	wants := map[string]expectation{}
	broken := func(name, component, cause string, certainty diagnose.Certainty, texts []string, changes ...change) {
		l.pod(name, component, changes...)
		wants[name] = expectation{cause, certainty, texts}
	}
	well, etcdURL := l.etcdAt(l.dir("well"))
	l.pod("etcd", "etcd", well)

	l.breakFlags(broken)
	l.breakPrograms(broken)
	l.breakNetwork(broken, etcdURL)
	l.breakData(broken, well)
	l.breakDisks(broken)
	l.breakCerts(broken, etcdURL)
	if canLimit(t) {
		small, _ := l.etcdAt(l.dir("small"))
		broken("small", "etcd", "out-of-memory", certain, []string{"the kernel killed it", "resources.limits.memory"}, small, memoryAtMost("12Mi"))
	}
	stopped, _ := l.etcdAt(l.dir("stopped"))
	broken("stopped", "etcd", "process-stopped", certain, []string{"kill -CONT "}, stopped, impatient)

	l.supervise()
	var pid int
	l.eventually(3*time.Minute, "an etcd that is ready", func() error {
		p := l.look()["stopped"]
		if !p.Ready || len(p.Containers) != 1 {
			return fmt.Errorf("%s", p)
		}
		pid = p.Containers[0].PID
		return nil
	})
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	l.expect(wants)
	if out := l.run(30*time.Second, "status"); !strings.Contains(out.stdout, fmt.Sprintf("hint: 'kill -CONT %d'", pid)) || out.code != 4 {
		t.Errorf("status as text lacks the remedy: %s", out)
	}
	l.follow(wants)
}

// impatient makes probes see at once that nobody answers.
func impatient(p *corev1.Pod) {
	probe := p.Spec.Containers[0].ReadinessProbe
	probe.TimeoutSeconds, probe.FailureThreshold = 1, 1
}

type breaker func(name, component, cause string, certainty diagnose.Certainty, texts []string, changes ...change)

func (l *lab) breakFlags(broken breaker) {
	api := l.apiServerAt("https://127.0.0.1:1")
	broken("unknown-flag", "kube-apiserver", "unknown-flag", certain,
		[]string{"--enable-admision-plugins", "it has --enable-admission-plugins", "sed -i"}, api, flagIs("enable-admision-plugins", "x"))
	broken("unknown-flag-etcd", "etcd", "unknown-flag", certain, []string{"no flag --snapshot-counts", "it has --snapshot-count"},
		flagIs("snapshot-counts", "1"))
	broken("bad-value", "kube-apiserver", "bad-flag-value", certain, []string{"--secure-port=6443x", "invalid syntax"}, flagIs("secure-port", "6443x"))
	broken("bad-mode", "kube-apiserver", "bad-flag-value", certain, []string{"--authorization-mode=Node,RBACC", `"RBACC" is not a valid mode`},
		api, flagIs("authorization-mode", "Node,RBACC"))
	broken("bad-value-etcd", "etcd", "bad-flag-value", certain, []string{"--snapshot-count=many"}, flagIs("snapshot-count", "many"))
	broken("bad-level-etcd", "etcd", "bad-flag-value", certain, []string{"--log-level=loud"}, flagIs("log-level", "loud"))
	broken("bad-gate", "kube-apiserver", "bad-feature-gate", certain, []string{"WatchLists", "the nearest one is WatchList"}, api, flagIs("feature-gates", "WatchLists=true"))
	broken("bad-gate-value", "kube-apiserver", "bad-feature-gate", certain, []string{"true or false, not maybe"}, api, flagIs("feature-gates", "WatchList=maybe"))
	broken("bad-gate-etcd", "etcd", "bad-feature-gate", certain, []string{"NoSuch"}, flagIs("feature-gates", "NoSuch=true"))
	broken("no-file", "kube-apiserver", "file-missing", certain, []string{l.pki("no.crt"), "--tls-cert-file"}, api, flagIs("tls-cert-file", l.pki("no.crt")))
	if os.Geteuid() == 0 { // the staged components are for root alone
		broken("no-right", "kube-apiserver", "file-unreadable", certain, []string{l.pki("sa.key"), "chown 65534"}, api, runsAs(65534), programIs(l.anybodys("kube-apiserver")))
	}
}

// breakPrograms uses the real program's file wherever a file is needed at all.
func (l *lab) breakPrograms(broken breaker) {
	broken("no-program", "etcd", "program-missing", certain, []string{"etcdd", l.components}, programIs("etcdd"))
	broken("no-program-path", "etcd", "program-missing", certain, []string{"/no/such/etcd"}, programIs("/no/such/etcd"))
	head := make([]byte, 64<<10)
	file, err := os.Open(filepath.Join(l.components, "etcd"))
	if err != nil {
		l.t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Read(head); err != nil {
		l.t.Fatal(err)
	}
	plain, arm, empty := filepath.Join(l.base, "plain"), filepath.Join(l.base, "arm"), filepath.Join(l.base, "empty")
	const aarch64, machine = 183, 18 // e_machine of elf(5), and where it is
	foreign := bytes.Clone(head)
	binary.NativeEndian.PutUint16(foreign[machine:], aarch64)
	for path, data := range map[string][]byte{arm: foreign, empty: nil} {
		if err := os.WriteFile(path, data, 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := os.WriteFile(plain, head, 0o644); err != nil {
		l.t.Fatal(err)
	}
	broken("foreign", "etcd", "wrong-architecture", certain, []string{arm, "made for aarch64"}, programIs(arm))
	broken("no-elf", "etcd", "wrong-architecture", certain, []string{empty, "no program"}, programIs(empty))
	broken("not-executable", "etcd", "not-executable", certain, []string{"chmod 0755 " + plain}, programIs(plain))
	if dir, ok := l.mount("noexec", l.components, "", syscall.MS_BIND, ""); ok {
		if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_NOEXEC, ""); err != nil {
			l.t.Fatal(err)
		}
		broken("noexec", "etcd", "noexec", certain, []string{"mount -o remount,exec " + dir}, programIs(filepath.Join(dir, "etcd")))
	}
}

func (l *lab) breakNetwork(broken breaker, etcdURL string) {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { held.Close() })
	_, port, _ := net.SplitHostPort(held.Addr().String())
	me := fmt.Sprintf("%s (PID %d), at 127.0.0.1", filepath.Base(os.Args[0]), os.Getpid())
	etcd, _ := l.etcdAt(l.dir("port"))
	broken("port-taken", "etcd", "port-taken", certain, []string{"port " + port + " is taken by " + me, fmt.Sprintf("kill %d", os.Getpid())},
		etcd, flagIs("listen-client-urls", "https://127.0.0.1:"+port))
	broken("port-taken-api", "kube-apiserver", "port-taken", certain, []string{"port " + port + " is taken by " + me},
		l.apiServerAt("https://127.0.0.1:1"), flagIs("secure-port", port), flagIs("bind-address", "127.0.0.1"))
	_, wellPort, _ := strings.Cut(strings.TrimPrefix(etcdURL, "https://"), ":")
	second, _ := l.etcdAt(l.dir("second"))
	broken("port-of-pod", "etcd", "port-taken", certain, []string{"of the static pod etcd", "one of the two manifests"},
		second, flagIs("listen-client-urls", "https://127.0.0.1:"+wellPort), after("etcd"))
	address, _ := l.etcdAt(l.dir("address"))
	broken("address", "etcd", "address-missing", certain, []string{"192.0.2.7 of --listen-client-urls", "127.0.0.1"},
		address, flagIs("listen-client-urls", "https://192.0.2.7:1234"))
	broken("address-api", "kube-apiserver", "address-missing", certain, []string{"192.0.2.7 of --bind-address"},
		l.apiServerAt("https://127.0.0.1:1"), flagIs("bind-address", "192.0.2.7"))
	nobody := "https://127.0.0.1:" + strconv.Itoa(freePort(l.t))
	broken("waiting", "kube-apiserver", "waiting-for-etcd", passing, []string{nobody, "no static pod here"}, l.apiServerAt(nobody))
	broken("waiting-scheduler", "kube-scheduler", "waiting-for-apiserver", passing, []string{"no static pod here"}, func(p *corev1.Pod) {
		port := freePort(l.t)
		flagIs("secure-port", strconv.Itoa(port))(p)
		p.Spec.Containers[0].Ports[0].ContainerPort = int32(port)
	})
}

func (l *lab) breakData(broken breaker, well change) {
	good := l.goodData()
	copied := func(name string) string {
		dir := l.dir(name)
		if out, err := exec.Command("cp", "-a", good+"/.", dir).CombinedOutput(); err != nil {
			l.t.Fatalf("cannot copy: %v %s", err, out)
		}
		return dir
	}
	garble := func(pattern string, from, to int) {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			l.t.Fatalf("there is no %s: %v", pattern, err)
		}
		data, err := os.ReadFile(files[0])
		if err != nil {
			l.t.Fatal(err)
		}
		for i := from; i < min(to, len(data)); i++ {
			data[i] ^= 0xff
		}
		if err := os.WriteFile(files[0], data, 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
	at := func(dir string) change { c, _ := l.etcdAt(dir); return c }
	wal := copied("wal")
	garble(wal+"/member/wal/*.wal", 64, 256) // entries
	broken("wal", "etcd", "corrupt-wal", certain, []string{wal + "/member/wal", "mv " + wal}, at(wal))
	cut := copied("wal-cut")
	garble(cut+"/member/wal/*.wal", 8, 40) // its head
	broken("wal-cut", "etcd", "corrupt-wal", certain, []string{cut}, at(cut))
	meta := copied("db-meta")
	garble(meta+"/member/snap/db", 0, 1<<30)
	broken("db-meta", "etcd", "corrupt-database", certain, []string{meta + "/member/snap/db"}, at(meta))
	pages := copied("db-pages")
	garble(pages+"/member/snap/db", 8192, 1<<30)
	broken("db-pages", "etcd", "corrupt-database", certain, []string{pages}, at(pages))

	peer := peerOf(well)
	joining := l.dir("joining")
	broken("joining", "etcd", "other-cluster", certain, []string{joining}, at(joining), after("etcd"), withMember("lab", peer), flagIs("initial-cluster-state", "existing"))
	foreign := l.dir("foreign")
	broken("other-cluster", "etcd", "other-cluster", certain, []string{foreign}, at(foreign), after("etcd"), withMember("lab", peer))
}

// peerOf is the URL at which an etcd with these flags talks to its peers.
func peerOf(etcd change) string {
	var pod corev1.Pod
	pod.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{}}}}
	etcd(&pod)
	return peerIn(&pod)
}

func peerIn(p *corev1.Pod) string {
	for _, word := range p.Spec.Containers[0].Command {
		if url, ok := strings.CutPrefix(word, "--initial-advertise-peer-urls="); ok {
			return url
		}
	}
	return ""
}

// withMember makes the pod's etcd a second member, beside one that is there.
func withMember(name, peer string) change {
	return func(p *corev1.Pod) {
		flagIs("name", "second")(p)
		flagIs("initial-cluster", name+"="+peer+",second="+peerIn(p))(p)
	}
}

func (l *lab) breakDisks(broken breaker) {
	at := func(dir string) change { c, _ := l.etcdAt(dir); return c }
	if dir, ok := l.mount("full", "tmpfs", "tmpfs", 0, "size=1m"); ok {
		broken("full", "etcd", "disk-full", certain, []string{dir, "of 1.0 MB are free", "du -xh " + dir}, at(dir))
	}
	if dir, ok := l.mount("read-only", "tmpfs", "tmpfs", syscall.MS_RDONLY, "size=1m"); ok {
		broken("read-only", "etcd", "data-not-writable", certain, []string{"read-only file system", "mount -o remount,rw " + dir}, at(dir))
	}
	file := filepath.Join(l.base, "a-file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		l.t.Fatal(err)
	}
	broken("no-dir", "etcd", "data-not-writable", certain, []string{"not a directory", "mv " + file}, at(file))
	if os.Geteuid() == 0 {
		dir := l.dir("roots")
		broken("no-right-etcd", "etcd", "data-not-writable", certain, []string{"belongs to user 0", "chown -R 65534 " + dir}, at(dir), runsAs(65534), programIs(l.anybodys("etcd")))
	}
}

func (l *lab) breakCerts(broken breaker, etcdURL string) {
	shows := func(cert, key string) change {
		return func(p *corev1.Pod) { flagIs("etcd-certfile", cert)(p); flagIs("etcd-keyfile", key)(p) }
	}
	serves := func(cert, key string) change {
		return func(p *corev1.Pod) { flagIs("cert-file", cert)(p); flagIs("key-file", key)(p) }
	}
	cert, key := l.cert("expired", "etcd/ca", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().AddDate(-2, 0, 0), time.Now().AddDate(-1, 0, 0)
	})
	broken("expired", "kube-apiserver", "certificate-expired", certain, []string{cert, "365 days ago", "kube-apiserver and etcd cannot talk"},
		l.apiServerAt(etcdURL), shows(cert, key))
	later := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().AddDate(1, 0, 0), time.Now().AddDate(2, 0, 0)
	}
	cert, key = l.cert("early", "etcd/ca", later)
	broken("early", "kube-apiserver", "certificate-not-yet-valid", certain, []string{cert, "set this machine's clock"}, l.apiServerAt(etcdURL), shows(cert, key))
	// What a machine has whose clock was set back after its certificates were made.
	cert, key = l.cert("set-back", "etcd/ca", later)
	if err := os.Chtimes(cert, time.Time{}, time.Now().AddDate(1, 0, 0)); err != nil {
		l.t.Fatal(err)
	}
	broken("set-back", "kube-apiserver", "clock-jump", certain, []string{cert, "clock was set back"}, l.apiServerAt(etcdURL), shows(cert, key))
	cert, key = l.cert("stranger", "", func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })
	broken("wrong-ca", "kube-apiserver", "certificate-wrong-ca", certain, []string{cert, "not signed by the CA in " + l.pki("etcd/ca.crt")},
		l.apiServerAt(etcdURL), shows(cert, key))
	cert, key = l.cert("elsewhere", "etcd/ca", func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"elsewhere"} })
	nameless, namelessURL := l.etcdAt(l.dir("nameless"))
	l.pod("etcd-nameless", "etcd", nameless, serves(cert, key))
	broken("wrong-name", "kube-apiserver", "certificate-wrong-name", certain, []string{cert, "not valid for 127.0.0.1, only for elsewhere"}, l.apiServerAt(namelessURL))

	_, otherKey := l.cert("other", "etcd/ca", nil)
	mismatched, _ := l.etcdAt(l.dir("mismatched"))
	broken("mismatch-etcd", "etcd", "key-mismatch", certain, []string{otherKey, l.pki("etcd/server.crt")}, mismatched, flagIs("key-file", otherKey))
	broken("mismatch-api", "kube-apiserver", "key-mismatch", certain, []string{otherKey, l.pki("apiserver.crt")},
		l.apiServerAt(etcdURL), flagIs("tls-private-key-file", otherKey))
	garbage := filepath.Join(l.base, "garbage.crt")
	if err := os.WriteFile(garbage, []byte("no certificate\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
	broken("garbage", "kube-apiserver", "certificate-broken", certain, []string{garbage}, l.apiServerAt(etcdURL), flagIs("tls-cert-file", garbage))
}

// A limit on open files that is too low, as a shell or a unit may set it.
func TestDiagnoseTooManyFiles(t *testing.T) {
	l := newLab(t)
	well, _ := l.etcdAt(l.dir("data"))
	l.pod("few-files", "etcd", well)
	l.supervise("/bin/sh", "-c", `ulimit -n 100; exec "$@"`, "sh")
	l.expect(map[string]expectation{"few-files": {"too-many-files", certain, []string{"the limit is 100", "ulimit -n"}}})
}
