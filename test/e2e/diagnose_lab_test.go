//go:build e2e

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"maps"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubecrank/kubecrank/phases/diagnose"
	"github.com/kubecrank/kubecrank/phases/evidence"
	"github.com/kubecrank/kubecrank/runtime/flagcheck"
)

// lab is a node whose certificates, manifests and components are made, and
// whose control plane is not started: tests break copies of its manifests and
// give them to a supervisor.
type lab struct {
	*node
	components string // the staged directory
	pods       string // where the manifests of this lab's pods are
}

func newLab(t *testing.T) *lab {
	t.Helper()
	n := newNode(t)
	for _, phase := range []string{"components", "certs", "kubeconfig", "etcd", "control-plane"} {
		n.must("init", "phase", phase, "--apiserver-advertise-address", "127.0.0.1", "--node-name", "lab")
	}
	staged, err := filepath.Glob(filepath.Join(n.root, "var/lib/kubecrank/components/*/etcd"))
	if err != nil || len(staged) != 1 {
		t.Fatalf("staged are %v, %v", staged, err)
	}
	l := &lab{node: n, components: filepath.Dir(staged[0]), pods: filepath.Join(n.base, "pods")}
	if err := os.Mkdir(l.pods, 0o755); err != nil {
		t.Fatal(err)
	}
	return l
}

// dir is a new directory that nobody has used.
func (l *lab) dir(name string) string {
	l.t.Helper()
	dir := filepath.Join(l.base, "dirs", name)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		l.t.Fatal(err)
	}
	return dir
}

// pki is a file below the node's certificates.
func (l *lab) pki(name string) string { return filepath.Join(l.root, "etc/kubernetes/pki", name) }

// change alters a pod of the control plane before it is written for the supervisor.
type change func(*corev1.Pod)

// flagIs sets a flag of the command; "" takes it out.
func flagIs(name, value string) change {
	return func(p *corev1.Pod) {
		c := &p.Spec.Containers[0]
		c.Command = slices.DeleteFunc(c.Command, func(word string) bool { return strings.HasPrefix(word, "--"+name+"=") })
		if value != "" {
			c.Command = append(c.Command, "--"+name+"="+value)
		}
	}
}

// programIs replaces the first word of the command.
func programIs(path string) change {
	return func(p *corev1.Pod) { p.Spec.Containers[0].Command[0] = path }
}

func runsAs(uid int64) change {
	return func(p *corev1.Pod) {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &uid, RunAsGroup: &uid}
	}
}

// after makes a pod wait until another one has started.
func after(pod string) change {
	return func(p *corev1.Pod) { p.Annotations["kubecrank.dev/start-after"] = pod }
}

// anybodys is a component's program where every user can run it.
func (l *lab) anybodys(name string) string {
	l.t.Helper()
	dir := filepath.Join(l.base, "anybody")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.Link(filepath.Join(l.components, "components"), path); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// pod writes the manifest of a component, changed, under another name.
func (l *lab) pod(name, component string, changes ...change) {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.root, "etc/kubernetes/manifests", component+".yaml"))
	if err != nil {
		l.t.Fatal(err)
	}
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict(data, &pod); err != nil {
		l.t.Fatal(err)
	}
	pod.Name = name
	delete(pod.Annotations, "kubecrank.dev/start-after")
	delete(pod.Annotations, "kubecrank.dev/stop-before")
	for _, c := range changes {
		c(&pod)
	}
	if data, err = yaml.Marshal(pod); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.pods, name+".yaml"), data, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// etcdAt are the flags of an etcd that gets in nobody's way, and the URL of its clients.
func (l *lab) etcdAt(dataDir string) (change, string) {
	l.t.Helper()
	client, peer, metrics := freePort(l.t), freePort(l.t), freePort(l.t)
	url := fmt.Sprintf("https://127.0.0.1:%d", client)
	peerURL := fmt.Sprintf("https://127.0.0.1:%d", peer)
	return func(p *corev1.Pod) {
		for name, value := range map[string]string{
			"data-dir": dataDir, "listen-client-urls": url, "advertise-client-urls": url,
			"listen-peer-urls": peerURL, "initial-advertise-peer-urls": peerURL,
			"listen-metrics-urls": fmt.Sprintf("http://127.0.0.1:%d", metrics), "name": "lab", "initial-cluster": "lab=" + peerURL,
		} {
			flagIs(name, value)(p)
		}
		p.Spec.Containers[0].Ports[0].ContainerPort = int32(metrics)
	}, url
}

// apiServerAt are the flags of an API server that gets in nobody's way.
func (l *lab) apiServerAt(etcd string) change {
	l.t.Helper()
	port := freePort(l.t)
	return func(p *corev1.Pod) {
		flagIs("secure-port", strconv.Itoa(port))(p)
		flagIs("etcd-servers", etcd)(p)
		p.Spec.Containers[0].Ports[0].ContainerPort = int32(port)
	}
}

var lastPort atomic.Int64

// freePort is a port that is free now and that no other call has returned. It lies below those of outgoing connections
// (32768 and more): one that lasts would take the port before the pod that is to have it.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 11000 + os.Getpid()%90*100 + int(lastPort.Add(1))
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("cannot find a free port")
	return 0
}

// supervise runs a supervisor for the lab's pods until the test ends; wrap is a command line in front of it.
func (l *lab) supervise(wrap ...string) {
	l.t.Helper()
	cmd := l.command(l.t.Context(), "supervise", "--components-dir", l.components, "--pod-manifest-path", l.pods, "--node-name", "lab")
	if len(wrap) > 0 {
		cmd.Args = append(wrap, cmd.Args...)
		cmd.Path = wrap[0]
	}
	log, err := os.Create(filepath.Join(l.base, "supervisor.log"))
	if err != nil {
		l.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		for _, p := range l.processes() { // first the supervisor, or it starts the others again
			if p.pid == cmd.Process.Pid {
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
		_ = cmd.Wait()
		log.Close()
		if text, err := os.ReadFile(log.Name()); l.t.Failed() {
			l.t.Logf("the supervisor's log: %v\n%s", err, text)
		}
		for _, p := range l.processes() {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
	})
}

// diagnosed is a pod in status -o json, as far as diagnoses go.
type diagnosed struct {
	Name       string
	Ready      bool
	State      string
	LastError  string
	Containers []struct {
		PID       int
		Reason    string
		LastProbe string
		LogPath   string
	}
	Diagnosis []struct {
		Container string
		diagnose.Diagnosis
	}
}

func (d diagnosed) String() string {
	for _, g := range d.Diagnosis {
		return fmt.Sprintf("%s: %s %s: %s | %s | %q", d.Name, g.Certainty, g.Cause, g.Explanation, g.Remedy, g.Line)
	}
	return fmt.Sprintf("%s: ready %t, %s, no diagnosis: %+v %s", d.Name, d.Ready, d.State, d.Containers, d.LastError)
}

// look returns all pods of `status -o json`, by name.
func (l *lab) look() map[string]diagnosed {
	l.t.Helper()
	r := l.run(time.Minute, "status", "--components-dir", l.components, "-o", "json")
	var status struct{ Pods []diagnosed }
	if err := json.Unmarshal([]byte(r.stdout), &status); err != nil {
		return nil // it does not answer yet
	}
	pods := map[string]diagnosed{}
	for _, p := range status.Pods {
		pods[p.Name] = p
	}
	return pods
}

// expectation is what status is to say of a pod.
type expectation struct {
	cause     string
	certainty diagnose.Certainty
	texts     []string // in the explanation or the remedy
}

func (want expectation) fits(got diagnosed) bool {
	if len(got.Diagnosis) != 1 {
		return false
	}
	d := got.Diagnosis[0]
	text := d.Explanation + "\n" + d.Remedy
	return d.Cause == want.cause && d.Certainty == want.certainty && d.Remedy != "" && !strings.Contains(text, "{") &&
		!slices.ContainsFunc(want.texts, func(s string) bool { return !strings.Contains(text, s) })
}

// expect waits until status says of each pod what is wanted, and of every other pod nothing.
func (l *lab) expect(wants map[string]expectation) {
	l.t.Helper()
	const limit = 3 * time.Minute // a busy machine takes its time for two dozen pods that fail
	var last map[string]diagnosed
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		last = l.look()
		right := 0
		for name, want := range wants {
			if want.fits(last[name]) {
				right++
			}
		}
		if right == len(wants) {
			l.record(wants)
			for name, got := range last {
				if _, wanted := wants[name]; !wanted && (!got.Ready || len(got.Diagnosis) > 0) {
					l.t.Errorf("a pod that nobody has broken: %s", got)
				}
				l.t.Log(got)
			}
			return
		}
	}
	for name, want := range wants {
		if got := last[name]; !want.fits(got) {
			l.t.Errorf("%s: want %s %s with %q, got\n  %s", name, want.certainty, want.cause, want.texts, got)
		}
	}
}

var record = flag.String("record", "", "a `directory` for the evidence of the failures, as phases/diagnose/testdata has it")

// record keeps the evidence of each failure, with the lab's paths shortened and what is long cut.
func (l *lab) record(wants map[string]expectation) {
	l.t.Helper()
	if *record == "" {
		return
	}
	status := l.status()
	for _, pod := range status.Pods {
		if _, wanted := wants[pod.Name]; !wanted {
			continue
		}
		names := func(program string) []string {
			help, _ := exec.Command(filepath.Join(l.components, program), "--help").CombinedOutput() // without it there is no suggestion
			return flagcheck.Set{program: flagcheck.ReadHelp(string(help))}.Names(program)
		}
		e := evidence.Gather(status, pod, pod.Containers[0], evidence.Options{Root: l.root, Names: names})
		d, _ := diagnose.Diagnose(e)
		wrong := d.Values["flag"] + d.Values["gate"]
		e.Names = slices.DeleteFunc(e.Names, func(name string) bool { return !strings.HasPrefix(name, wrong[:min(3, len(wrong))]) })
		maps.DeleteFunc(e.OtherPIDs, func(pid int, _ string) bool { return d.Values["pid"] != strconv.Itoa(pid) })
		e.Log = e.Log[max(0, len(e.Log)-60):]
		for i, line := range e.Log {
			e.Log[i] = line[:min(len(line), 600)]
		}
		d, _ = diagnose.Diagnose(e)
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", " ")
		if err := enc.Encode(map[string]any{"evidence": e, "diagnosis": d}); err != nil {
			l.t.Fatal(err)
		}
		data := strings.NewReplacer(l.components, "/components", l.base, "/lab").Replace(b.String())
		if err := os.WriteFile(filepath.Join(*record, pod.Name+".json"), []byte(data), 0o644); err != nil {
			l.t.Fatal(err)
		}
	}
}

// cert issues a certificate signed by a CA of the node, or by one of its own for "", with the given changes.
func (l *lab) cert(name, ca string, alter func(*x509.Certificate)) (certFile, keyFile string) {
	l.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		l.t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	if alter != nil {
		alter(tmpl)
	}
	parent, signer := tmpl, key
	if ca != "" {
		parent, signer = l.readCA(ca)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		l.t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		l.t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(l.base, name+".crt"), filepath.Join(l.base, name+".key")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func (l *lab) readCA(name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	l.t.Helper()
	var blocks [2][]byte
	for i, ext := range []string{".crt", ".key"} {
		data, err := os.ReadFile(l.pki(name + ext))
		if err != nil {
			l.t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		blocks[i] = block.Bytes
	}
	cert, err := x509.ParseCertificate(blocks[0])
	if err != nil {
		l.t.Fatal(err)
	}
	if key, err := x509.ParseECPrivateKey(blocks[1]); err == nil {
		return cert, key
	}
	key, err := x509.ParsePKCS8PrivateKey(blocks[1])
	if err != nil {
		l.t.Fatal(err)
	}
	return cert, key.(*ecdsa.PrivateKey)
}

// mount mounts something at a new directory and returns that; without the right to, the test goes on without (false).
func (l *lab) mount(name, source, kind string, flags uintptr, options string) (string, bool) {
	l.t.Helper()
	dir := l.dir(name)
	if err := syscall.Mount(source, dir, kind, flags, options); err != nil {
		l.t.Logf("%s is left out: cannot mount here: %v", name, err)
		return "", false
	}
	l.t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir, true
}

// goodData is a data directory that a real etcd has made and left in order.
func (l *lab) goodData() string {
	l.t.Helper()
	dir := l.dir("good-data")
	metrics := freePort(l.t)
	cmd := exec.Command(filepath.Join(l.components, "etcd"), "--data-dir="+dir, "--name=lab",
		fmt.Sprintf("--listen-client-urls=http://127.0.0.1:%d", freePort(l.t)), "--advertise-client-urls=http://127.0.0.1:1",
		fmt.Sprintf("--listen-peer-urls=http://127.0.0.1:%d", freePort(l.t)),
		fmt.Sprintf("--listen-metrics-urls=http://127.0.0.1:%d", metrics))
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.eventually(time.Minute, "an etcd that listens", func() error {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", metrics))
		if err == nil {
			c.Close()
		}
		return err
	})
	time.Sleep(300 * time.Millisecond)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	return dir
}
